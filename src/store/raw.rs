//! What sources sent of records, as it came: compressed, one row a record, so that each can go with
//! its record.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt as _;
use serde_json::json;
use sqlx::{Sqlite, SqliteConnection, Transaction};
use zstd::bulk::Compressor;

use super::{Error, Store};
use crate::{clock::Timestamp, corpus::RawBody};

/// What zstd is asked for; at 9 it takes 3 % less room, and thrice the time.
const LEVEL: i32 = 3;

/// What was sent of a record when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRaw {
    /// Of which record.
    pub record_id: String,
    /// When it was received, in the source's time.
    pub received_at: Timestamp,
    /// The text of a JSON object, byte by byte.
    pub json: Vec<u8>,
}

impl Store {
    /// What was sent of a record, where it is kept.
    ///
    /// # Errors
    ///
    /// Where the database fails or the row cannot be read.
    pub async fn raw(&self, dataset: &str, id: &str) -> Result<Option<KeptRaw>, Error> {
        let mut connection = self.content.read().acquire().await?;
        of(&mut connection, dataset, id).await
    }

    /// Shows what is kept of a data set to `visit`, one by one.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    #[tracing::instrument(name = "db.raw.visit", skip_all)]
    pub async fn visit_raw(
        &self,
        dataset: &str,
        mut visit: impl FnMut(KeptRaw) + Send,
    ) -> Result<(), Error> {
        let mut rows = sqlx::query_as!(
            Row,
            "SELECT record_id, received_at, body FROM raw WHERE dataset = ?",
            dataset,
        )
        .fetch(self.content.read());
        while let Some(row) = rows.try_next().await? {
            visit(row.try_into()?);
        }
        Ok(())
    }

    /// Before which moment what was stored of a data set was removed, because it had had its time.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn raw_dropped(&self, dataset: &str) -> Result<Option<Timestamp>, Error> {
        let before =
            sqlx::query_scalar!("SELECT before FROM raw_dropped WHERE dataset = ?", dataset)
                .fetch_optional(self.content.read())
                .await?;
        Ok(before.map(Timestamp::from_millis))
    }

    /// Removes what was stored before a moment, at most `limit` rows of it in one transaction, and
    /// notes of its data sets that it is removed. Returns how many rows went.
    ///
    /// # Errors
    ///
    /// Where the database fails; then all of them are there still.
    #[tracing::instrument(name = "db.raw.drop", skip_all)]
    pub async fn drop_raw(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let before = before.as_millis();
        let mut transaction = self.content.write().await?;
        sqlx::query!(
            "INSERT INTO raw_dropped (dataset, before)
             SELECT DISTINCT dataset, ?1 FROM
                 (SELECT dataset FROM raw WHERE stored_at < ?1 ORDER BY stored_at LIMIT ?2)
             WHERE true
             ON CONFLICT DO UPDATE SET before = max(before, excluded.before)",
            before,
            limit,
        )
        .execute(&mut *transaction)
        .await?;
        let done = sqlx::query!(
            "DELETE FROM raw WHERE rowid IN
                 (SELECT rowid FROM raw WHERE stored_at < ? ORDER BY stored_at LIMIT ?)",
            before,
            limit,
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "content").await?;
        Ok(done.rows_affected())
    }
}

/// Keeps what was sent of the records of one page.
pub(super) struct Keeper<'a> {
    sent: &'a BTreeMap<String, RawBody>,
    /// Ids that are purged: what tells of one is not kept.
    purged: &'a HashSet<&'a str>,
    received_at: Timestamp,
    stored_at: Timestamp,
    compressor: Option<Compressor<'static>>,
}

impl<'a> Keeper<'a> {
    pub(super) const fn new(
        sent: &'a BTreeMap<String, RawBody>,
        purged: &'a HashSet<&'a str>,
        received_at: Timestamp,
        stored_at: Timestamp,
    ) -> Self {
        Self {
            sent,
            purged,
            received_at,
            stored_at,
            compressor: None,
        }
    }

    /// Keeps what was sent of a record that was not seen earlier; of one that is not new, only in
    /// the place of what was sent later.
    pub(super) async fn keep(
        &mut self,
        transaction: &mut Transaction<'static, Sqlite>,
        dataset: &str,
        id: &str,
        is_new: bool,
    ) -> Result<(), Error> {
        let Some(sent) = self.sent.get(id) else {
            return Ok(());
        };
        let tells_of_purged = |name: &String| self.purged.contains(name.as_str());
        if sent.tells_of.iter().any(tells_of_purged) {
            return Ok(());
        }
        let body = self.compress(&sent.json).map_err(sqlx::Error::Io)?;
        let tells_of = (!sent.tells_of.is_empty()).then(|| json!(sent.tells_of).to_string());
        let (received_at, stored_at) = (self.received_at.as_millis(), self.stored_at.as_millis());
        if is_new {
            sqlx::query!(
                "INSERT INTO raw (dataset, record_id, received_at, stored_at, body, tells_of)
                 VALUES (?, ?, ?, ?, ?, ?)",
                dataset,
                id,
                received_at,
                stored_at,
                body,
                tells_of,
            )
            .execute(&mut **transaction)
            .await?;
        } else {
            sqlx::query!(
                "UPDATE raw SET received_at = ?3, body = ?4, tells_of = ?5
                 WHERE dataset = ?1 AND record_id = ?2 AND received_at > ?3",
                dataset,
                id,
                received_at,
                body,
                tells_of,
            )
            .execute(&mut **transaction)
            .await?;
        }
        Ok(())
    }

    fn compress(&mut self, json: &[u8]) -> std::io::Result<Vec<u8>> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(Compressor::new(LEVEL)?),
        };
        compressor.compress(json)
    }
}

/// What was sent of a record, where it is kept, as this connection sees it.
pub(super) async fn of(
    connection: &mut SqliteConnection,
    dataset: &str,
    id: &str,
) -> Result<Option<KeptRaw>, Error> {
    let row = sqlx::query_as!(
        Row,
        "SELECT record_id, received_at, body FROM raw WHERE dataset = ? AND record_id = ?",
        dataset,
        id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(KeptRaw::try_from).transpose()
}

/// Removes what was sent of these records, a JSON list of ids. Returns how many rows went.
pub(super) async fn forget(
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    ids: &str,
) -> Result<u64, Error> {
    Ok(sqlx::query!(
        "DELETE FROM raw WHERE dataset = ? AND record_id IN (SELECT value FROM json_each(?))",
        dataset,
        ids,
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected())
}

/// Removes what was sent of records and has the words of others: of those with these ids and by
/// these authors, a JSON list. Returns how many rows went.
pub(super) async fn forget_about(
    transaction: &mut Transaction<'static, Sqlite>,
    names: &str,
) -> Result<u64, Error> {
    Ok(sqlx::query!(
        "DELETE FROM raw WHERE tells_of IS NOT NULL
           AND EXISTS (SELECT 1 FROM json_each(tells_of) AS told
                       WHERE told.value IN (SELECT value FROM json_each(?)))",
        names,
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected())
}

struct Row {
    record_id: String,
    received_at: i64,
    body: Vec<u8>,
}

impl TryFrom<Row> for KeptRaw {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let json = zstd::stream::decode_all(row.body.as_slice());
        let json = json.map_err(|error| Error::Inconsistent {
            table: "raw",
            column: "body",
            row: row.record_id.clone(),
            message: error.to_string(),
        })?;
        Ok(Self {
            record_id: row.record_id,
            received_at: Timestamp::from_millis(row.received_at),
            json,
        })
    }
}

#[cfg(test)]
mod tests;
