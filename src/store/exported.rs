//! What exports are made of: records page by page, and what their columns are.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Error, Store, records::RecordRow};
use crate::corpus::Record;

impl Store {
    /// The records of a data set whose ids come after `after`, by id, at most `limit`.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    #[tracing::instrument(name = "db.exported.records", skip_all)]
    pub async fn records_after(
        &self,
        dataset: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Record>, Error> {
        let rows = sqlx::query_as!(
            RecordRow,
            "SELECT id, community, author, title, created_at, media, fields FROM records
             WHERE dataset = ? AND id > ? ORDER BY id LIMIT ?",
            dataset,
            after,
            limit,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter().map(Record::try_from).collect()
    }

    /// By name of a field: of which types of JSON its values are in the records of a data set, in
    /// SQLite's words (`text`, `integer`, `real`, `true`, `false`, `array`, `object`).
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.exported.fields", skip_all)]
    pub async fn field_types(
        &self,
        dataset: &str,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
        let rows = sqlx::query!(
            r#"SELECT DISTINCT key || '' AS "key!: String", type || '' AS "kind!: String"
               FROM records, json_each(records.fields)
               WHERE dataset = ? AND type != 'null'"#,
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            types.entry(row.key).or_default().insert(row.kind);
        }
        Ok(types)
    }

    /// The ages at which records of a data set were read on purpose, the lowest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.exported.ages", skip_all)]
    pub async fn due_ages(&self, dataset: &str) -> Result<Vec<Duration>, Error> {
        let ages = sqlx::query_scalar!(
            "SELECT DISTINCT age FROM due_readings WHERE dataset = ? ORDER BY age",
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        let ages = ages.into_iter();
        Ok(ages
            .map(|age| Duration::from_millis(age.unsigned_abs()))
            .collect())
    }
}
