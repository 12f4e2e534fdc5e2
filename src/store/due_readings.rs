//! Readings that are due when a record reaches an age, and what became of them.

use std::{collections::HashMap, time::Duration};

use sqlx::{Sqlite, Transaction};

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
    /// it does not, the last age counts that a record has reached, and only as long as nothing was
    /// read since: there is nothing to be had for the others any more.
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
    ) -> Result<Vec<DueReading>, Error> {
        let mut due = Vec::new();
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
            let enough = if replays { age + tolerance } else { i64::MAX };
            let settling = Settling {
                dataset,
                age,
                stands_until: enough,
                given_up_at: next.map_or(i64::MAX, |next| observations::millis(next.age)),
            };
            let settled_to = settling.settled_to(&mut transaction).await?;
            let oldest = oldest.max(settled_to.unwrap_or(i64::MIN));
            let rows = sqlx::query!(
                r#"SELECT id, created_at + ?2 AS "due!: i64" FROM records
                   WHERE dataset = ?1 AND created_at <= ?4 AND created_at > ?5
                     AND NOT EXISTS (
                         SELECT 1 FROM due_readings
                         WHERE due_readings.dataset = records.dataset
                           AND due_readings.record_id = records.id AND age = ?2)
                     AND NOT EXISTS (
                         SELECT 1 FROM observations
                         WHERE observations.dataset = records.dataset
                           AND observations.record_id = records.id
                           AND age BETWEEN ?2 AND ?3)
                   ORDER BY created_at, id"#,
                dataset,
                age,
                enough,
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
        Ok(due)
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
            match became {
                Became::Read => counts.read += 1,
                Became::Late => counts.late += 1,
                Became::Absent => counts.absent += 1,
            }
            note(&mut transaction, dataset, due, became, at, writer).await?;
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

async fn note(
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    due: &DueReading,
    became: Became,
    at: Timestamp,
    writer: Writer<'_>,
) -> Result<(), Error> {
    let (age, tolerance) = (
        observations::millis(due.horizon.age),
        observations::millis(due.horizon.tolerance),
    );
    let (state, at) = (became.name(), at.as_millis());
    sqlx::query!(
        "INSERT INTO due_readings (dataset, record_id, age, tolerance, state, read_at, run_id)
         VALUES (?, ?, ?, ?, ?, ?, ?)
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::corpus::Record;

    const AGES: [Horizon; 2] = [hours(1), hours(24)];

    const fn hours(age: u64) -> Horizon {
        Horizon {
            age: Duration::from_hours(age),
            tolerance: Duration::from_mins(10),
        }
    }

    /// A moment, `minutes` after the record was made.
    const fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000)
    }

    fn writer(run_id: &str) -> Writer<'_> {
        Writer {
            run_id,
            task_id: "refresh",
            stored_at: at(0),
        }
    }

    /// Stores a record that was made then.
    async fn keep(store: &Store, id: &str, made: Timestamp) {
        let record = Record {
            id: id.to_owned(),
            community: Some("pics".to_owned()),
            author: None,
            title: Some("t".to_owned()),
            created_at: Some(made),
            media: Vec::new(),
            fields: Map::new(),
        };
        let page = [(record, None)];
        store
            .store_page("d", &page, at(1), 0, writer("r"))
            .await
            .unwrap();
    }

    async fn store() -> Store {
        let store = Store::in_memory().await.unwrap();
        keep(&store, "a", at(0)).await;
        store
    }

    /// The ages, in hours, at which readings are due.
    async fn due(store: &Store, minutes: i64, replays: bool) -> Vec<u64> {
        let due = store.due_readings("d", at(minutes), &AGES, replays).await;
        let ages = due.unwrap().into_iter();
        ages.map(|due| due.horizon.age.as_secs() / 3600).collect()
    }

    /// Asks for what is due; the source answers at once, or does not know the record.
    async fn read(store: &Store, minutes: i64, knows: bool) -> DueCounts {
        let due = store
            .due_readings("d", at(minutes), &AGES, false)
            .await
            .unwrap();
        let observation = Observation {
            record_id: "a".to_owned(),
            observed_at: Some(at(minutes)),
            age: LabelAge::Known(Duration::from_mins(minutes.unsigned_abs())),
            score: Some(3.0),
            values: Map::new(),
        };
        let found = if knows { vec![observation] } else { Vec::new() };
        store
            .store_due_readings("d", &due, &found, at(minutes), writer("r"))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_reading_is_due_once_at_each_age() {
        let store = store().await;
        assert_eq!(due(&store, 59, false).await, [0; 0]);
        assert_eq!(due(&store, 60, false).await, [1]);
        assert_eq!(read(&store, 65, true).await.read, 1);
        assert_eq!(due(&store, 70, false).await, [0; 0]);
        assert_eq!(due(&store, 24 * 60, false).await, [24]);
        // After an outage: it is made, and known to be late, once.
        assert_eq!(read(&store, 30 * 60, true).await.late, 1);
        assert_eq!(due(&store, 90 * 60, false).await, [0; 0]);
        let counts = store.due_counts("d").await.unwrap();
        assert_eq!((counts.read, counts.late, counts.absent), (1, 1, 0));
        let labels = store
            .labels("d", &["a"], at(90 * 60), AGES[1])
            .await
            .unwrap();
        assert!(labels.is_empty(), "what was read late is no label");
    }

    #[tokio::test]
    async fn what_the_source_no_longer_knows_is_asked_for_once_an_age() {
        let store = store().await;
        assert_eq!(read(&store, 60, false).await.absent, 1);
        assert_eq!(due(&store, 61, false).await, [0; 0]);
        assert_eq!(read(&store, 24 * 60, true).await.read, 1);
    }

    #[tokio::test]
    async fn an_age_that_has_passed_is_given_up_unless_the_past_can_be_asked() {
        let store = store().await;
        assert_eq!(due(&store, 25 * 60, false).await, [24]);
        assert_eq!(due(&store, 25 * 60, true).await, [1, 24]);
    }

    #[tokio::test]
    async fn what_is_found_late_or_gets_another_time_is_still_due() {
        let store = store().await;
        assert_eq!(due(&store, 60, false).await, [1]);
        assert_eq!(read(&store, 60, true).await.read, 1);
        assert_eq!(due(&store, 80, false).await, [0; 0]);
        keep(&store, "b", at(-5)).await;
        assert_eq!(due(&store, 80, false).await, [1]);
        let writer = writer("r");
        let due_now = store.due_readings("d", at(80), &AGES, false).await.unwrap();
        let stored = store.store_due_readings("d", &due_now, &[], at(80), writer);
        assert_eq!(stored.await.unwrap().absent, 1);
        assert_eq!(due(&store, 81, false).await, [0; 0]);
        // The day's reading of all three.
        keep(&store, "c", at(70)).await;
        keep(&store, "c", at(-6)).await;
        assert_eq!(due(&store, 82, false).await, [1]);
        assert_eq!(due(&store, 24 * 60, false).await, [24, 24, 24]);
    }

    #[tokio::test]
    async fn a_reading_that_was_made_too_early_is_still_due() {
        let store = store().await;
        let due_now = store.due_readings("d", at(60), &AGES, false).await.unwrap();
        let early = Observation {
            record_id: "a".to_owned(),
            observed_at: Some(at(58)),
            age: LabelAge::Known(Duration::from_mins(58)),
            score: Some(3.0),
            values: Map::new(),
        };
        let counts = store
            .store_due_readings(
                "d",
                &due_now,
                std::slice::from_ref(&early),
                at(60),
                writer("r"),
            )
            .await
            .unwrap();
        assert_eq!(counts, DueCounts::default());
        assert_eq!(due(&store, 60, true).await, [1]);

        // Not for ever: what an archive has not read by then, it will not read.
        let (seven, late) = (at(7 * 60), [early]);
        let stored = store.store_due_readings("d", &due_now, &late, seven, writer("r"));
        assert_eq!(stored.await.unwrap().absent, 1);
        assert_eq!(due(&store, 7 * 60, true).await, [0; 0]);
    }
}
