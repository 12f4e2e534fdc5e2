//! Which data sets have records of which models may be made by permission only.

use super::{Error, Store};
use crate::clock::Timestamp;

impl Store {
    /// Notes that a data set has such records, before the first of them is stored. Nothing takes
    /// this back.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn note_by_permission(&self, dataset: &str, now: Timestamp) -> Result<(), Error> {
        if self.is_by_permission(dataset).await? {
            return Ok(());
        }
        let now = now.as_millis();
        let mut transaction = self.content.write().await?;
        sqlx::query!(
            "INSERT INTO by_permission (dataset, since) VALUES (?, ?) ON CONFLICT DO NOTHING",
            dataset,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "content").await
    }

    /// Whether a data set has such records.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn is_by_permission(&self, dataset: &str) -> Result<bool, Error> {
        let found = sqlx::query_scalar!(
            r#"SELECT 1 AS "found!: i64" FROM by_permission WHERE dataset = ?"#,
            dataset
        )
        .fetch_optional(self.content.read())
        .await?;
        Ok(found.is_some())
    }
}
