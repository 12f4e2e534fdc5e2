//! Bytes of removed rows in free pages and in the write-ahead log are overwritten.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    store::{Database, Error, Store},
};

impl Store {
    /// Since when bytes of purged records may lie in free pages; none where there are none.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn scrub_due(&self) -> Result<Option<Timestamp>, Error> {
        let due = sqlx::query_scalar!("SELECT due_since FROM scrubs")
            .fetch_optional(self.content.read())
            .await?;
        Ok(due.flatten().map(Timestamp::from_millis))
    }

    /// Whether the databases were last written anew within `most` before `now`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn scrubbed_within(&self, most: Duration, now: Timestamp) -> Result<bool, Error> {
        let done = sqlx::query_scalar!("SELECT done_at FROM scrubs")
            .fetch_optional(self.content.read())
            .await?;
        Ok(done
            .flatten()
            .is_some_and(|done| now.since(Timestamp::from_millis(done)) < most))
    }

    /// Writes both databases anew and empties their logs: `secure_delete` zeroes what a row leaves,
    /// but not what moving rows from page to page has left of it before.
    ///
    /// It takes the right to write for as long as copying the databases takes. Returns whether it
    /// is done: it is not where somebody goes on reading, and then is due still.
    ///
    /// # Errors
    ///
    /// Where the disk has no room for a second copy of the larger database.
    #[tracing::instrument(name = "db.purge.scrub", skip_all)]
    pub async fn scrub(&self, now: Timestamp) -> Result<bool, Error> {
        for database in [&self.state, &self.content] {
            sqlx::query("VACUUM").execute(database.writer()).await?;
            if !empty_log(database).await? {
                return Ok(false);
            }
        }
        let now = now.as_millis();
        let mut transaction = self.content.write().await?;
        sqlx::query!("UPDATE scrubs SET due_since = NULL, done_at = ?", now)
            .execute(&mut *transaction)
            .await?;
        self.content.commit(transaction, "purge_scrub").await?;
        empty_log(&self.content).await
    }
}

/// Puts the log into the file and cuts it to nothing; false where a reader needs it.
async fn empty_log(database: &Database) -> Result<bool, Error> {
    let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(database.writer())
        .await?;
    Ok(busy == 0)
}
