//! Readings of a record's changing numbers, and which of them is a record's label.

use std::{collections::HashMap, time::Duration};

use serde_json::{Map, Value};
use sqlx::{Sqlite, Transaction};

use super::{Error, Store, Writer, picked::AT_ONCE};
use crate::{
    clock::Timestamp,
    corpus::{LabelAge, Observation},
};

/// At which age a reading is a label, and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The age at which the label is read; an earlier reading is none.
    pub age: Duration,
    /// How much later the reading may be.
    pub tolerance: Duration,
}

/// The reading that is a record's label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReading {
    /// The age at which it was read.
    pub age: LabelAge,
    /// The score, where the source has one.
    pub score: Option<f64>,
    /// The other numbers that were read.
    pub values: Map<String, Value>,
}

impl Store {
    /// By record id: the last reading; one without a time counts as the first.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    pub async fn last_readings(
        &self,
        dataset: &str,
    ) -> Result<HashMap<String, Observation>, Error> {
        let rows = sqlx::query!(
            r#"SELECT record_id, observed_at, age, score, "values" FROM observations
               WHERE dataset = ? ORDER BY record_id, observed_at"#,
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let observation = Observation {
                    observed_at: row.observed_at.map(Timestamp::from_millis),
                    age: age_of(row.age),
                    score: row.score,
                    values: values_of(&row.record_id, &row.values)?,
                    record_id: row.record_id.clone(),
                };
                Ok((row.record_id, observation))
            })
            .collect()
    }

    /// By record id: the last score that was read of those with these ids; those without one are
    /// left out.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.observations.last_scores", skip_all, fields(rows = ids.len()))]
    pub async fn last_scores(
        &self,
        dataset: &str,
        ids: &[String],
    ) -> Result<HashMap<String, f64>, Error> {
        let wanted = serde_json::json!(ids).to_string();
        let rows = sqlx::query!(
            r#"SELECT record_id, score AS "score!: f64" FROM observations
               WHERE dataset = ? AND record_id IN (SELECT value FROM json_each(?))
                     AND score IS NOT NULL
               ORDER BY record_id, observed_at"#,
            dataset,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        let scores = rows.into_iter();
        Ok(scores.map(|row| (row.record_id, row.score)).collect())
    }

    /// How many records of a data set had a label by what was known at `as_of`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.observations.label_count", skip_all)]
    pub async fn label_count(
        &self,
        dataset: &str,
        as_of: Timestamp,
        horizon: Horizon,
    ) -> Result<u64, Error> {
        let (age, tolerance) = (millis(horizon.age), millis(horizon.tolerance));
        let as_of = as_of.as_millis();
        let count = sqlx::query_scalar!(
            r#"SELECT count(DISTINCT record_id) AS "count!: i64" FROM observations
               WHERE dataset = ?1 AND ifnull(observed_at, ?2) <= ?2
                 AND (age IS NULL OR age BETWEEN ?3 AND ?3 + ?4)"#,
            dataset,
            as_of,
            age,
            tolerance,
        )
        .fetch_one(self.content.read())
        .await?;
        Ok(count.unsigned_abs())
    }

    /// By record id, for these records: the reading that is its label by what was known at
    /// `as_of`.
    ///
    /// That is the first reading at the horizon or within the tolerance after it; failing that,
    /// one of unknown age.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    #[tracing::instrument(name = "db.observations.labels", skip_all, fields(rows = ids.len()))]
    pub async fn labels(
        &self,
        dataset: &str,
        ids: &[&str],
        as_of: Timestamp,
        horizon: Horizon,
    ) -> Result<HashMap<String, LabelReading>, Error> {
        let (age, tolerance) = (millis(horizon.age), millis(horizon.tolerance));
        let as_of = as_of.as_millis();
        let mut labels = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let wanted = serde_json::json!(ids).to_string();
            let rows = sqlx::query!(
                r#"SELECT record_id, age, score, "values" FROM observations
                   WHERE dataset = ?1 AND record_id IN (SELECT value FROM json_each(?5))
                     AND ifnull(observed_at, ?2) <= ?2
                     AND (age IS NULL OR age BETWEEN ?3 AND ?3 + ?4)
                   ORDER BY record_id, age IS NULL, age, observed_at"#,
                dataset,
                as_of,
                age,
                tolerance,
                wanted,
            )
            .fetch_all(self.content.read())
            .await?;
            for row in rows {
                if labels.contains_key(&row.record_id) {
                    continue;
                }
                let values = values_of(&row.record_id, &row.values)?;
                let age = age_of(row.age);
                labels.insert(
                    row.record_id,
                    LabelReading {
                        age,
                        score: row.score,
                        values,
                    },
                );
            }
        }
        Ok(labels)
    }
}

/// Inserts one reading; returns 1 where it was not there before or is another one, else 0. One of a
/// record that was purged while it was read is not kept.
pub(super) async fn insert(
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    observation: &Observation,
    writer: Writer<'_>,
) -> Result<u64, Error> {
    let observed_at = observation.observed_at.map(Timestamp::as_millis);
    let age = match observation.age {
        LabelAge::Known(age) => Some(millis(age)),
        LabelAge::Unknown => None,
    };
    let values = Value::Object(observation.values.clone()).to_string();
    let stored_at = writer.stored_at.as_millis();
    // A reading that has a time is a fact and stands; without one, the source's last word counts.
    let done = sqlx::query!(
        r#"INSERT INTO observations
               (dataset, record_id, observed_at, age, score, "values", stored_at, run_id)
           SELECT dataset, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM records WHERE dataset = ?1 AND id = ?2
           ON CONFLICT (dataset, record_id, ifnull(observed_at, -1)) DO UPDATE SET
               age = excluded.age, score = excluded.score, "values" = excluded."values",
               stored_at = excluded.stored_at, run_id = excluded.run_id
           WHERE observations.observed_at IS NULL
               AND (age IS NOT excluded.age OR score IS NOT excluded.score
                    OR "values" IS NOT excluded."values")"#,
        dataset,
        observation.record_id,
        observed_at,
        age,
        observation.score,
        values,
        stored_at,
        writer.run_id,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected())
}

/// A length of time as it is stored.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn age_of(stored: Option<i64>) -> LabelAge {
    stored.map_or(LabelAge::Unknown, |age| {
        LabelAge::Known(Duration::from_millis(age.unsigned_abs()))
    })
}

fn values_of(record_id: &str, stored: &str) -> Result<Map<String, Value>, Error> {
    serde_json::from_str(stored).map_err(|error| Error::Inconsistent {
        table: "observations",
        column: "values",
        row: record_id.to_owned(),
        message: error.to_string(),
    })
}
