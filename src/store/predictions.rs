//! Predictions for records whose label was still to come.

use std::collections::BTreeMap;

use super::{Error, Store, Writer, progress};

/// A prediction on the training scale, with the ends of its interval; of classes, that of the most
/// probable one.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPrediction {
    /// The record's id.
    pub record_id: String,
    /// The expected value.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// How probable each class is; empty where a number is predicted.
    pub classes: BTreeMap<String, f64>,
}

impl Store {
    /// Stores a version's predictions for records of a data set, in one transaction; returns how
    /// many are new.
    ///
    /// # Errors
    ///
    /// Where the database fails; then none is stored.
    pub async fn store_predictions(
        &self,
        dataset: &str,
        model: &str,
        version: u32,
        predictions: &[StoredPrediction],
        writer: Writer<'_>,
    ) -> Result<u64, Error> {
        let predicted_at = writer.stored_at.as_millis();
        let mut transaction = self.content.write().await?;
        let mut new = 0;
        for prediction in predictions {
            let classes = &prediction.classes;
            let classes =
                (!classes.is_empty()).then(|| serde_json::to_string(classes).expect("plain data"));
            let done = sqlx::query!(
                "INSERT INTO predictions (dataset, record_id, model, version, value, low, high,
                                          predicted_at, run_id, classes)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (dataset, record_id, model, version) DO NOTHING",
                dataset,
                prediction.record_id,
                model,
                version,
                prediction.value,
                prediction.low,
                prediction.high,
                predicted_at,
                writer.run_id,
                classes,
            )
            .execute(&mut *transaction)
            .await?;
            new += done.rows_affected();
        }
        progress::add(&mut transaction, writer, new, 0).await?;
        self.content.commit(transaction, "content").await?;
        Ok(new)
    }

    /// The first prediction of a model for each record of a data set, with the version that made it.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn first_predictions(
        &self,
        dataset: &str,
        model: &str,
    ) -> Result<Vec<(u32, StoredPrediction)>, Error> {
        // SQLite takes the other columns from the row with the least time.
        let rows = sqlx::query!(
            r#"SELECT record_id AS "record_id!", version AS "version!: u32", value AS "value!",
                      low AS "low!", high AS "high!", classes AS "classes?",
                      MIN(predicted_at * 1000000 + version) AS "at: i64"
               FROM predictions WHERE dataset = ? AND model = ?
               GROUP BY record_id ORDER BY record_id"#,
            dataset,
            model,
        )
        .fetch_all(self.content.read())
        .await?;
        let first = rows.into_iter().map(|row| {
            let read = |json: &str| {
                serde_json::from_str(json).map_err(|error| Error::Inconsistent {
                    table: "predictions",
                    column: "classes",
                    row: row.record_id.clone(),
                    message: error.to_string(),
                })
            };
            let prediction = StoredPrediction {
                classes: row
                    .classes
                    .as_deref()
                    .map(read)
                    .transpose()?
                    .unwrap_or_default(),
                record_id: row.record_id,
                value: row.value,
                low: row.low,
                high: row.high,
            };
            Ok((row.version, prediction))
        });
        first.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[tokio::test]
    async fn the_first_prediction_of_each_record_is_found() {
        let store = Store::in_memory().await.unwrap();
        let prediction = |record_id: &str, value| StoredPrediction {
            record_id: record_id.to_owned(),
            value,
            low: value - 1.0,
            high: value + 1.0,
            classes: [("warm".to_owned(), value / 10.0)].into(),
        };
        let made = [
            (5, 200, ["b", "a"].as_slice(), 5.0),
            (4, 300, &["a", "c"], 4.0),
            (6, 300, &["c"], 6.0),
        ];
        for (version, at, ids, value) in made {
            let writer = Writer {
                run_id: "r",
                task_id: "score",
                stored_at: Timestamp::from_millis(at),
            };
            let rows: Vec<StoredPrediction> = ids.iter().map(|id| prediction(id, value)).collect();
            store
                .store_predictions("d", "m", version, &rows, writer)
                .await
                .unwrap();
        }
        let found = store.first_predictions("d", "m").await.unwrap();
        let wanted = [("a", 5.0, 5), ("b", 5.0, 5), ("c", 4.0, 4)];
        let wanted = wanted.map(|(id, value, version)| (version, prediction(id, value)));
        assert_eq!(found, wanted);
        assert_eq!(store.first_predictions("d", "other").await.unwrap(), []);
    }
}
