//! Readings that are due when a record reaches an age, and what became of them.

mod by_the_way;

use std::{collections::HashMap, time::Duration};

use sqlx::{Sqlite, Transaction};

use self::by_the_way::ByTheWay;
use super::{Error, Horizon, Store, Writer, observations, progress, settled_readings::Settling};
use crate::{
    clock::Timestamp,
    corpus::{LabelAge, Observation},
};

/// How long after it was due a reading is waited for where the source has earlier ones only. No
/// clock is so far behind.
const PATIENCE: Duration = Duration::from_hours(6);

/// A reading that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueReading {
    /// The id of the record.
    pub record_id: String,
    /// When it was due: publication plus the age.
    pub due_at: Timestamp,
    /// The age, and how much later the reading counts as made in time.
    pub horizon: Horizon,
}

/// What is due of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DueReadings {
    /// What is to be read, the earliest first.
    pub due: Vec<DueReading>,
    /// What need not be read: readings that were met by the way stand for it.
    pub met: DueCounts,
}

/// What became of readings that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueCounts {
    /// Made in time.
    pub read: u64,
    /// Made too late to count as made at the age.
    pub late: u64,
    /// Not to be had: the source no longer knew the record, or had no reading of the age.
    pub absent: u64,
}

/// What becomes of a due reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Read,
    Late,
    Absent,
}

impl Became {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Late => "late",
            Self::Absent => "absent",
        }
    }
}

impl Store {
    /// The readings that were due by `as_of` and of which nothing is known, the earliest first.
    ///
    /// `ages` are in ascending order. Where the source `replays` the past, every age counts. Where
    /// it does not, the last age counts that a record has reached: there is nothing to be had for
    /// the others any more. A reading that was met by the way, such as one of a listing, stands for
    /// one that is due, and this is noted: as made in time where it was, and as late where it was
    /// not and no earlier one can be had.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.due_readings.list", skip_all)]
    pub async fn due_readings(
        &self,
        dataset: &str,
        as_of: Timestamp,
        ages: &[Horizon],
        replays: bool,
    ) -> Result<DueReadings, Error> {
        let mut due = Vec::new();
        let mut met = DueCounts::default();
        // A record that another writes meanwhile would be taken as settled: nobody does.
        let mut transaction = self.content.write().await?;
        for (place, horizon) in ages.iter().enumerate() {
            let (age, tolerance) = (
                observations::millis(horizon.age),
                observations::millis(horizon.tolerance),
            );
            let next = ages.get(place + 1).filter(|_| !replays);
            let youngest = as_of.as_millis().saturating_sub(age);
            let oldest = next.map_or(i64::MIN, |next| {
                as_of
                    .as_millis()
                    .saturating_sub(observations::millis(next.age))
            });
            let settling = Settling {
                dataset,
                age,
                stands_until: age.saturating_add(tolerance),
                given_up_at: next.map_or(i64::MAX, |next| observations::millis(next.age)),
            };
            let settled_to = settling.settled_to(&mut transaction).await?;
            let oldest = oldest.max(settled_to.unwrap_or(i64::MIN));
            let by_the_way = ByTheWay {
                dataset,
                age,
                tolerance,
                oldest,
                youngest,
                late_counts: !replays,
            };
            by_the_way.note(&mut transaction, &mut met).await?;
            let rows = sqlx::query!(
                r#"SELECT id, created_at + ?2 AS "due!: i64" FROM records
                   WHERE dataset = ?1 AND created_at <= ?3 AND created_at > ?4
                     AND NOT EXISTS (
                         SELECT 1 FROM due_readings
                         WHERE due_readings.dataset = records.dataset
                           AND due_readings.record_id = records.id AND age = ?2)
                   ORDER BY created_at, id"#,
                dataset,
                age,
                youngest,
                oldest,
            )
            .fetch_all(&mut *transaction)
            .await?;
            let first_left = rows.first().map_or(youngest, |row| row.due - age - 1);
            if Some(first_left) > settled_to {
                settling.settle(&mut transaction, first_left).await?;
            }
            due.extend(rows.into_iter().map(|row| DueReading {
                record_id: row.id,
                due_at: Timestamp::from_millis(row.due),
                horizon: *horizon,
            }));
        }
        self.content.commit(transaction, "content").await?;
        // Stable: equal moments stay in the order of ages and ids.
        due.sort_by_key(|due| due.due_at);
        Ok(DueReadings { due, met })
    }

    /// Stores readings with what became by them of those that were due, in one transaction.
    /// A due reading whose record is not among them was asked for in vain at `asked_at`.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing is stored.
    #[tracing::instrument(name = "db.due_readings.store", skip_all, fields(rows = due.len()))]
    pub async fn store_due_readings(
        &self,
        dataset: &str,
        due: &[DueReading],
        observations: &[Observation],
        asked_at: Timestamp,
        writer: Writer<'_>,
    ) -> Result<DueCounts, Error> {
        let mut by_record: HashMap<&str, Vec<&Observation>> = HashMap::new();
        for observation in observations {
            let of_record = by_record.entry(&observation.record_id).or_default();
            of_record.push(observation);
        }
        let mut transaction = self.content.write().await?;
        let mut new = 0;
        for observation in observations {
            new += observations::insert(&mut transaction, dataset, observation, writer).await?;
        }
        let mut counts = DueCounts::default();
        for due in due {
            let made = by_record.get(due.record_id.as_str());
            let (became, at) = match made {
                None => (Became::Absent, asked_at),
                Some(made) => match became(due, made) {
                    Some(became) => became,
                    // Read too early, by a clock that is behind: it is still due.
                    None if asked_at < due.due_at + PATIENCE => continue,
                    // By then it should have been there: it will not come.
                    None => (Became::Absent, asked_at),
                },
            };
            if !note(&mut transaction, dataset, due, became, at, writer).await? {
                continue;
            }
            match became {
                Became::Read => counts.read += 1,
                Became::Late => counts.late += 1,
                Became::Absent => counts.absent += 1,
            }
        }
        progress::add(&mut transaction, writer, new, 0).await?;
        self.content.commit(transaction, "content").await?;
        Ok(counts)
    }

    /// What became of the readings of a data set that were due.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn due_counts(&self, dataset: &str) -> Result<DueCounts, Error> {
        let rows = sqlx::query!(
            r#"SELECT state, count(*) AS "rows!: i64" FROM due_readings
               WHERE dataset = ? GROUP BY state"#,
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        let mut counts = DueCounts::default();
        for row in rows {
            let rows = row.rows.unsigned_abs();
            match row.state.as_str() {
                "read" => counts.read = rows,
                "late" => counts.late = rows,
                _ => counts.absent = rows,
            }
        }
        Ok(counts)
    }
}

/// What becomes of a due reading by the readings of its record, and when; `None` where none of
/// them was made at the age or later.
fn became(due: &DueReading, made: &[&Observation]) -> Option<(Became, Timestamp)> {
    let ages = made.iter().filter_map(|made| match made.age {
        LabelAge::Known(age) if age >= due.horizon.age => Some((age, made.observed_at)),
        _ => None,
    });
    let (age, at) = ages.min()?;
    let became = if age <= due.horizon.age + due.horizon.tolerance {
        Became::Read
    } else {
        Became::Late
    };
    Some((became, at.unwrap_or(due.due_at)))
}

/// Notes it, unless the record was purged while it was read.
async fn note(
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    due: &DueReading,
    became: Became,
    at: Timestamp,
    writer: Writer<'_>,
) -> Result<bool, Error> {
    let (age, tolerance) = (
        observations::millis(due.horizon.age),
        observations::millis(due.horizon.tolerance),
    );
    let (state, at) = (became.name(), at.as_millis());
    let done = sqlx::query!(
        "INSERT INTO due_readings (dataset, record_id, age, tolerance, state, read_at, run_id)
         SELECT dataset, id, ?3, ?4, ?5, ?6, ?7 FROM records WHERE dataset = ?1 AND id = ?2
         ON CONFLICT (dataset, record_id, age) DO UPDATE SET
             tolerance = excluded.tolerance, state = excluded.state,
             read_at = excluded.read_at, run_id = excluded.run_id",
        dataset,
        due.record_id,
        age,
        tolerance,
        state,
        at,
        writer.run_id,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() > 0)
}

#[cfg(test)]
mod tests;
