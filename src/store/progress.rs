//! What a task has done for a run, counted in the same transaction as its batches.

use sqlx::{Sqlite, Transaction};

use super::{Error, Store, Writer};
use crate::corpus::Counted;

/// What a task has done for a run so far, over all attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskProgress {
    /// Results made.
    pub rows_computed: u64,
    /// Bytes read from outside.
    pub bytes: u64,
}

impl Store {
    /// What a task has done for a run so far, over all attempts.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn task_progress(&self, run_id: &str, task_id: &str) -> Result<TaskProgress, Error> {
        let row = sqlx::query!(
            "SELECT rows_computed, bytes FROM task_progress WHERE run_id = ? AND task_id = ?",
            run_id,
            task_id,
        )
        .fetch_optional(self.content.read())
        .await?;
        Ok(row.map_or_else(TaskProgress::default, |row| TaskProgress {
            rows_computed: row.rows_computed.unsigned_abs(),
            bytes: row.bytes.unsigned_abs(),
        }))
    }

    /// What a task has counted for a run up to the cursors of its files, over all attempts.
    ///
    /// # Errors
    ///
    /// Where the database fails or the row cannot be read.
    pub async fn counted(&self, run_id: &str, task_id: &str) -> Result<Counted, Error> {
        let counted = sqlx::query_scalar!(
            "SELECT counted FROM task_progress WHERE run_id = ? AND task_id = ?",
            run_id,
            task_id,
        )
        .fetch_optional(self.content.read())
        .await?
        .flatten();
        let Some(counted) = counted else {
            return Ok(Counted::default());
        };
        serde_json::from_str(&counted).map_err(|error| Error::Inconsistent {
            table: "task_progress",
            column: "counted",
            row: format!("{run_id} {task_id}"),
            message: error.to_string(),
        })
    }

    /// Makes all content committed so far durable.
    ///
    /// Batches commit without a sync each; a task calls this once before it reports success.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub async fn sync_content(&self) -> Result<(), Error> {
        self.content.sync().await
    }
}

/// Adds to a task's counters inside the transaction that stores its batch.
pub(super) async fn add(
    transaction: &mut Transaction<'static, Sqlite>,
    writer: Writer<'_>,
    rows_computed: u64,
    bytes: u64,
) -> Result<(), Error> {
    let rows = i64::try_from(rows_computed).unwrap_or(i64::MAX);
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    sqlx::query!(
        "INSERT INTO task_progress (run_id, task_id, rows_computed, bytes) VALUES (?, ?, ?, ?)
         ON CONFLICT (run_id, task_id) DO UPDATE SET
             rows_computed = rows_computed + excluded.rows_computed,
             bytes = bytes + excluded.bytes",
        writer.run_id,
        writer.task_id,
        rows,
        bytes,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Notes what a task has counted, inside the transaction that stores its batch, after [`add`].
pub(super) async fn note_counted(
    transaction: &mut Transaction<'static, Sqlite>,
    writer: Writer<'_>,
    counted: &Counted,
) -> Result<(), Error> {
    let counted = serde_json::json!(counted).to_string();
    sqlx::query!(
        "UPDATE task_progress SET counted = ? WHERE run_id = ? AND task_id = ?",
        counted,
        writer.run_id,
        writer.task_id,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
