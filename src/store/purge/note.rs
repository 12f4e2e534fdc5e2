//! The note that a record is to be gone, durable before anything of it goes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::RecordKey;
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, MediaLocation},
    store::{Error, Store, raw},
};

/// What a record is found by outside its own rows. It is kept no longer than the purge takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// Whether it is about the person alone, whose account is gone: their records stay.
    #[serde(default)]
    pub is_person: bool,
    /// Who published it.
    pub author: Option<String>,
    /// The source's id of the account.
    pub account: Option<String>,
    /// Its headline, and what captioners wrote of its images.
    pub texts: BTreeSet<String>,
    /// Where its images are.
    pub places: BTreeSet<String>,
    /// Its images that nobody else has; known once the rows are removed.
    pub images: BTreeSet<ContentHash>,
    /// Its images with what captioners wrote of them.
    pub pairs: BTreeSet<ContentHash>,
}

/// A purge that is not through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedPurge {
    /// The record; of a person the name as `u/NAME`.
    pub key: RecordKey,
    /// What it is found by.
    pub traces: Traces,
    /// When its rows went; none while they are there.
    pub removed_at: Option<Timestamp>,
}

impl Store {
    /// Notes that these records are to be gone. From this commit on, none of them is stored again.
    /// Returns how many were not noted yet.
    ///
    /// # Errors
    ///
    /// Where the database or the disk refuses; then nothing is noted.
    #[tracing::instrument(name = "db.purge.note", skip_all, fields(rows = keys.len()))]
    pub async fn note_purges(
        &self,
        keys: &[RecordKey],
        cause: &str,
        now: Timestamp,
    ) -> Result<u64, Error> {
        let any = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM purged) AS "any!: bool""#);
        let in_use = any.fetch_one(self.content.read()).await?;
        self.purge_key.make(in_use)?;
        let now = now.as_millis();
        let mut new = 0;
        let mut transaction = self.content.write().await?;
        for key in keys {
            let traces = traces_of(&mut transaction, key).await?;
            let hash = self.purge_key.hash(&key.dataset, &key.id)?;
            let hash = hash.as_slice();
            sqlx::query!(
                "INSERT INTO purged (id_hash, purged_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                hash,
                now,
            )
            .execute(&mut *transaction)
            .await?;
            new += write(&mut transaction, key, cause, &traces, now).await?;
        }
        self.content.commit(transaction, "purge_note").await?;
        self.sync_content().await?;
        Ok(new)
    }

    /// The purges that are not through.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn noted_purges(&self) -> Result<Vec<NotedPurge>, Error> {
        let mut connection = self.content.read().acquire().await?;
        noted(&mut connection).await
    }

    /// Ends purges of which nothing is left but bytes in free pages, which [`Store::scrub`]
    /// overwrites.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.purge.finish", skip_all, fields(rows = keys.len()))]
    pub async fn finish_purges(&self, keys: &[&RecordKey], now: Timestamp) -> Result<(), Error> {
        let now = now.as_millis();
        let mut transaction = self.content.write().await?;
        for key in keys {
            sqlx::query!(
                "DELETE FROM purges WHERE dataset = ? AND record_id = ?",
                key.dataset,
                key.id,
            )
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query!(
            "INSERT INTO scrubs (one, due_since) VALUES (1, ?)
             ON CONFLICT DO UPDATE SET due_since = ifnull(due_since, excluded.due_since),
                 written_at = NULL",
            now,
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "purge_finish").await?;
        self.sync_content().await
    }
}

/// Writes a note, unless there is one; how many were written.
pub(super) async fn write(
    transaction: &mut Transaction<'static, Sqlite>,
    key: &RecordKey,
    cause: &str,
    traces: &Traces,
    noted_at: i64,
) -> Result<u64, Error> {
    let traces = serde_json::json!(traces).to_string();
    Ok(sqlx::query!(
        "INSERT INTO purges (dataset, record_id, cause, traces, noted_at)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        key.dataset,
        key.id,
        cause,
        traces,
        noted_at,
    )
    .execute(&mut **transaction)
    .await?
    .rows_affected())
}

/// The purges that are not through, as this connection sees them.
pub(super) async fn noted(connection: &mut SqliteConnection) -> Result<Vec<NotedPurge>, Error> {
    let rows = sqlx::query!("SELECT dataset, record_id, traces, removed_at FROM purges")
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(NotedPurge {
                traces: read(&row.record_id, &row.traces)?,
                key: RecordKey {
                    dataset: row.dataset,
                    id: row.record_id,
                },
                removed_at: row.removed_at.map(Timestamp::from_millis),
            })
        })
        .collect()
}

/// Traces as they are stored.
fn read(id: &str, traces: &str) -> Result<Traces, Error> {
    serde_json::from_str(traces).map_err(|error| Error::Inconsistent {
        table: "purges",
        column: "traces",
        row: id.to_owned(),
        message: error.to_string(),
    })
}

async fn traces_of(
    transaction: &mut Transaction<'static, Sqlite>,
    key: &RecordKey,
) -> Result<Traces, Error> {
    let row = sqlx::query!(
        r#"SELECT title, author, media, fields ->> 'author_fullname' AS "account: String"
           FROM records WHERE dataset = ? AND id = ?"#,
        key.dataset,
        key.id,
    )
    .fetch_optional(&mut **transaction)
    .await?;
    let Some(row) = row else {
        return Ok(Traces::default());
    };
    // What cannot be read has no places that could be found.
    let media: Vec<MediaLocation> = serde_json::from_str(&row.media).unwrap_or_default();
    let places = media.into_iter().map(|location| match location {
        MediaLocation::Url(url) => url,
        MediaLocation::File(path) => path.display().to_string(),
    });
    let mut traces = Traces {
        author: row.author,
        account: row.account,
        texts: row.title.into_iter().collect(),
        places: places.collect(),
        ..Traces::default()
    };
    add_former(transaction, key, &mut traces).await?;
    Ok(traces)
}

/// Adds what the record was found by when it was first seen: a later look may have found a title,
/// images and an author that were taken away.
async fn add_former(
    transaction: &mut Transaction<'static, Sqlite>,
    key: &RecordKey,
    traces: &mut Traces,
) -> Result<(), Error> {
    let sent = match raw::of(transaction, &key.dataset, &key.id).await {
        // It goes with the record, whatever it was.
        Err(Error::Inconsistent { .. }) => None,
        sent => sent?,
    };
    let sent = sent.and_then(|sent| serde_json::from_slice::<Value>(&sent.json).ok());
    let Some(sent) = sent else { return Ok(()) };
    let text = |name: &str| sent[name].as_str().map(str::to_owned);
    traces.texts.extend(text("title"));
    let is_name = |name: &String| !name.starts_with('[');
    traces.author = traces
        .author
        .take()
        .or_else(|| text("author").filter(is_name));
    traces.account = traces.account.take().or_else(|| text("author_fullname"));
    let mut urls = BTreeSet::new();
    urls_in(&sent, &mut urls);
    let urls = serde_json::json!(urls).to_string();
    traces.places.extend(
        sqlx::query_scalar!(
            "SELECT place FROM media_places WHERE place IN (SELECT value FROM json_each(?))",
            urls,
        )
        .fetch_all(&mut **transaction)
        .await?,
    );
    Ok(())
}

fn urls_in<'a>(value: &'a Value, urls: &mut BTreeSet<&'a str>) {
    match value {
        Value::String(text) if text.starts_with("http") => {
            urls.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| urls_in(item, urls)),
        Value::Object(fields) => fields.values().for_each(|item| urls_in(item, urls)),
        _ => {}
    }
}
