//! How the numbers of records have grown: all readings, in order.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Error, Store};
use crate::clock::Timestamp;

/// A point of a record's curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The record's id.
    pub id: String,
    /// Its community.
    pub community: Option<String>,
    /// When it was published.
    pub created_at: Option<Timestamp>,
    /// When it was read; `None` where the source does not say.
    pub observed_at: Option<Timestamp>,
    /// How old it was then, in seconds; `None` where that is not known.
    pub age_seconds: Option<f64>,
    /// For which age it was read, in seconds; `None` where it was met by the way.
    pub due_age_seconds: Option<f64>,
    /// Whether it was read later than its age allows, and is no label.
    pub late: bool,
    /// The score, where the source has one.
    pub score: Option<f64>,
    /// The other numbers that were read.
    pub values: Map<String, Value>,
}

impl Store {
    /// The readings of the records of a data set whose ids come after `after`, of at most `limit`
    /// records; by id and time. With them the id of the last of these records, if there is one.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    #[tracing::instrument(name = "db.curves", skip_all)]
    pub async fn curves(
        &self,
        dataset: &str,
        after: &str,
        limit: u32,
    ) -> Result<(Vec<CurvePoint>, Option<String>), Error> {
        let rows = sqlx::query!(
            r#"SELECT page.id AS "id!", page.community, page.created_at, observed_at,
                      observations.age AS "age?", score, "values" AS "values?",
                      due_readings.age AS "due_age?", state AS "state?"
               FROM (SELECT dataset, id, community, created_at FROM records
                     WHERE dataset = ?1 AND id > ?2 ORDER BY id LIMIT ?3) AS page
               LEFT JOIN observations
                 ON observations.dataset = page.dataset AND observations.record_id = page.id
               LEFT JOIN due_readings
                 ON due_readings.dataset = page.dataset AND due_readings.record_id = page.id
                AND read_at = observed_at AND state != 'absent'
               ORDER BY page.id, observed_at, due_readings.age"#,
            dataset,
            after,
            limit,
        )
        .fetch_all(self.content.read())
        .await?;
        let last = rows.last().map(|row| row.id.clone());
        let seconds = |age: i64| age as f64 / 1000.0;
        let mut points = Vec::with_capacity(rows.len());
        for row in rows {
            // A record without readings.
            let Some(values) = row.values else { continue };
            let values = serde_json::from_str(&values).map_err(|error| Error::Inconsistent {
                table: "observations",
                column: "values",
                row: row.id.clone(),
                message: error.to_string(),
            })?;
            points.push(CurvePoint {
                community: row.community,
                created_at: row.created_at.map(Timestamp::from_millis),
                observed_at: row.observed_at.map(Timestamp::from_millis),
                age_seconds: row.age.map(seconds),
                due_age_seconds: row.due_age.map(seconds),
                late: row.state.as_deref() == Some("late"),
                score: row.score,
                values,
                id: row.id,
            });
        }
        Ok((points, last))
    }
}
