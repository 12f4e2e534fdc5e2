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

    /// Whether the databases are written anew, and only their logs wait for somebody who reads.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn only_logs_wait(&self) -> Result<bool, Error> {
        let written = sqlx::query_scalar!("SELECT written_at FROM scrubs")
            .fetch_optional(self.content.read())
            .await?;
        Ok(written.flatten().is_some())
    }

    /// Writes both databases anew and empties their logs: `secure_delete` zeroes what a row leaves,
    /// but not what moving rows from page to page has left of it before.
    ///
    /// It takes the right to write for as long as copying the databases takes, once: where somebody
    /// goes on reading, only the logs are left for the next time. Returns whether it is done. No
    /// purge may end meanwhile.
    ///
    /// # Errors
    ///
    /// Where the disk has no room for a second copy of the larger database.
    #[tracing::instrument(name = "db.purge.scrub", skip_all)]
    pub async fn scrub(&self, now: Timestamp) -> Result<bool, Error> {
        let databases = [&self.state, &self.content];
        let now = now.as_millis();
        if !self.only_logs_wait().await? {
            for database in databases {
                sqlx::query("VACUUM").execute(database.writer()).await?;
            }
            let mut transaction = self.content.write().await?;
            sqlx::query!("UPDATE scrubs SET written_at = ?", now)
                .execute(&mut *transaction)
                .await?;
            self.content.commit(transaction, "purge_scrub").await?;
        }
        for database in databases {
            if !empty_log(database).await? {
                return Ok(false);
            }
        }
        let mut transaction = self.content.write().await?;
        sqlx::query!(
            "UPDATE scrubs SET due_since = NULL, written_at = NULL, done_at = ?",
            now
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "purge_scrub").await?;
        // What the log holds now is this last step alone.
        empty_log(&self.content).await?;
        Ok(true)
    }
}

/// Puts the log into the file and cuts it to nothing; false where a reader needs it.
async fn empty_log(database: &Database) -> Result<bool, Error> {
    let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(database.writer())
        .await?;
    Ok(busy == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[tokio::test]
    async fn where_somebody_reads_only_the_logs_wait() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        for database in [&store.state, &store.content] {
            let at_once = sqlx::query("PRAGMA busy_timeout = 1");
            at_once.execute(database.writer()).await.unwrap();
        }
        let write = async |statements| {
            let done = sqlx::raw_sql(statements).execute(store.content.writer());
            done.await.unwrap();
        };
        let free = async || {
            let pages: i64 = sqlx::query_scalar("PRAGMA freelist_count")
                .fetch_one(store.content.writer())
                .await
                .unwrap();
            pages
        };
        store.finish_purges(&[], NOW).await.unwrap();
        assert!(!store.only_logs_wait().await.unwrap());
        let mut reader = store.content.read().begin().await.unwrap();
        sqlx::query("SELECT count(*) FROM records")
            .execute(&mut *reader)
            .await
            .unwrap();
        assert!(!store.scrub(NOW).await.unwrap());
        assert!(store.only_logs_wait().await.unwrap());
        assert_eq!(store.scrub_due().await.unwrap(), Some(NOW));
        // Writing it anew once more would leave no free page.
        write("CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(100000)); DROP TABLE t").await;
        assert!(free().await > 0);
        assert!(!store.scrub(NOW).await.unwrap());
        reader.rollback().await.unwrap();
        assert!(store.scrub(NOW).await.unwrap());
        assert!(free().await > 0);
        assert_eq!(store.scrub_due().await.unwrap(), None);
        // What is purged later is in new pages.
        store.finish_purges(&[], NOW).await.unwrap();
        assert!(!store.only_logs_wait().await.unwrap());
        assert!(store.scrub(NOW).await.unwrap());
        assert_eq!(free().await, 0);
        let log = fs_err::metadata(folder.path().join("content.db-wal")).unwrap();
        assert_eq!(log.len(), 0);
    }
}
