//! Readings that were met by the way, when a listing showed the record, and stand for due ones.

use sqlx::{Sqlite, Transaction};

use super::{super::Error, DueCounts};

/// For which due readings one is looked for that was met by the way. All times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByTheWay<'a> {
    pub(super) dataset: &'a str,
    /// The age at which they were due.
    pub(super) age: i64,
    /// How much later a reading counts as made in time.
    pub(super) tolerance: i64,
    /// The records were made after this,
    pub(super) oldest: i64,
    /// and not after this.
    pub(super) youngest: i64,
    /// Whether one that was made later stands for it too, as a late one: none that is in time can
    /// be had any more.
    pub(super) late_counts: bool,
}

impl ByTheWay<'_> {
    /// Notes the first that was made at the age or later, and counts it in `met`.
    pub(super) async fn note(
        self,
        transaction: &mut Transaction<'static, Sqlite>,
        met: &mut DueCounts,
    ) -> Result<(), Error> {
        let in_time = self.age.saturating_add(self.tolerance);
        let latest = if self.late_counts { i64::MAX } else { in_time };
        let states = sqlx::query_scalar!(
            "INSERT INTO due_readings (dataset, record_id, age, tolerance, state, read_at, run_id)
             SELECT ?1, id, ?2, ?3, CASE WHEN first <= ?4 THEN 'read' ELSE 'late' END,
                    ifnull(read_at, created_at + ?2), run_id
             FROM (SELECT id, created_at, min(age) AS first,
                          observations.observed_at AS read_at, observations.run_id
                   FROM records
                   JOIN observations
                     ON observations.dataset = records.dataset
                    AND observations.record_id = records.id
                   WHERE records.dataset = ?1 AND created_at <= ?6 AND created_at > ?7
                     AND age BETWEEN ?2 AND ?5
                     AND NOT EXISTS (
                         SELECT 1 FROM due_readings
                         WHERE due_readings.dataset = records.dataset
                           AND due_readings.record_id = records.id AND due_readings.age = ?2)
                   GROUP BY id)
             RETURNING state",
            self.dataset,
            self.age,
            self.tolerance,
            in_time,
            latest,
            self.youngest,
            self.oldest,
        )
        .fetch_all(&mut **transaction)
        .await?;
        for state in states {
            match state.as_str() {
                "read" => met.read += 1,
                _ => met.late += 1,
            }
        }
        Ok(())
    }
}
