//! Records in parts: the newest first, or those of some ids. A data set may be larger than memory.

use std::collections::HashMap;

use futures::TryStreamExt as _;

use super::{Error, Store, records::RecordRow};
use crate::{clock::Timestamp, corpus::Record};

/// For how many records one statement asks.
pub(super) const AT_ONCE: usize = 10_000;

impl Store {
    /// Shows the records of a data set that were published and seen by `as_of` to `visit`, one by
    /// one from the newest to the oldest and then those without a time, until it says `false`.
    ///
    /// # Errors
    ///
    /// Where the database fails, a row cannot be read, or `visit` fails.
    #[tracing::instrument(name = "db.records.visit", skip_all)]
    pub async fn visit_newest<E: From<Error>>(
        &self,
        dataset: &str,
        as_of: Timestamp,
        mut visit: impl FnMut(Record) -> Result<bool, E> + Send,
    ) -> Result<(), E> {
        let as_of = as_of.as_millis();
        let mut rows = sqlx::query_as!(
            RecordRow,
            "SELECT id, community, author, title, created_at, media, fields FROM records
             WHERE dataset = ?1 AND ifnull(created_at, ?2) <= ?2 AND observed_at <= ?2
             ORDER BY created_at DESC, id DESC",
            dataset,
            as_of,
        )
        .fetch(self.content.read());
        while let Some(row) = rows.try_next().await.map_err(Error::from)? {
            if !visit(Record::try_from(row)?)? {
                break;
            }
        }
        Ok(())
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
