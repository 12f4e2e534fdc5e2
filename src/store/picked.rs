//! Records in parts: the newest first, those without a time, or those of some ids. A data set may
//! be larger than memory.

use std::collections::HashMap;

use futures::{TryStreamExt as _, stream::BoxStream};

use super::{Error, Store, records::RecordRow};
use crate::{clock::Timestamp, corpus::Record};

/// For how many records one statement asks.
pub(super) const AT_ONCE: usize = 10_000;

impl Store {
    /// Shows the records of a data set that were published and seen by `as_of` to `visit`, one by
    /// one from the newest to the oldest, until it says `false`.
    ///
    /// # Errors
    ///
    /// Where the database fails, a row cannot be read, or `visit` fails.
    #[tracing::instrument(name = "db.records.visit", skip_all)]
    pub async fn visit_newest<E: From<Error>>(
        &self,
        dataset: &str,
        as_of: Timestamp,
        visit: impl FnMut(Record) -> Result<bool, E> + Send,
    ) -> Result<(), E> {
        let as_of = as_of.as_millis();
        let rows = sqlx::query_as!(
            RecordRow,
            "SELECT id, community, author, title, created_at, media, fields FROM records
             WHERE dataset = ?1 AND created_at <= ?2 AND observed_at <= ?2
             ORDER BY created_at DESC, id DESC",
            dataset,
            as_of,
        )
        .fetch(self.content.read());
        show(rows, visit).await
    }

    /// Shows the records of a data set without a time that were seen by `as_of` to `visit`, one by
    /// one from the last id to the first, until it says `false`.
    ///
    /// # Errors
    ///
    /// As [`visit_newest`](Self::visit_newest).
    #[tracing::instrument(name = "db.records.visit_untimed", skip_all)]
    pub async fn visit_untimed<E: From<Error>>(
        &self,
        dataset: &str,
        as_of: Timestamp,
        visit: impl FnMut(Record) -> Result<bool, E> + Send,
    ) -> Result<(), E> {
        let as_of = as_of.as_millis();
        let rows = sqlx::query_as!(
            RecordRow,
            "SELECT id, community, author, title, created_at, media, fields FROM records
             WHERE dataset = ? AND created_at IS NULL AND observed_at <= ?
             ORDER BY id DESC",
            dataset,
            as_of,
        )
        .fetch(self.content.read());
        show(rows, visit).await
    }

    /// The records with these ids, in the order of the ids; unknown ones are left out.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    #[tracing::instrument(name = "db.records.by_id", skip_all, fields(rows = ids.len()))]
    pub async fn records_by_id(&self, dataset: &str, ids: &[String]) -> Result<Vec<Record>, Error> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let wanted = serde_json::json!(ids).to_string();
            let rows = sqlx::query_as!(
                RecordRow,
                "SELECT id, community, author, title, created_at, media, fields FROM records
                 WHERE dataset = ? AND id IN (SELECT value FROM json_each(?))",
                dataset,
                wanted,
            )
            .fetch_all(self.content.read())
            .await?;
            let mut by_id = HashMap::with_capacity(rows.len());
            for row in rows {
                by_id.insert(row.id.clone(), Record::try_from(row)?);
            }
            records.extend(ids.iter().filter_map(|id| by_id.remove(id)));
        }
        Ok(records)
    }
}

async fn show<E: From<Error>>(
    mut rows: BoxStream<'_, Result<RecordRow, sqlx::Error>>,
    mut visit: impl FnMut(Record) -> Result<bool, E> + Send,
) -> Result<(), E> {
    while let Some(row) = rows.try_next().await.map_err(Error::from)? {
        if !visit(Record::try_from(row)?)? {
            break;
        }
    }
    Ok(())
}
