//! Predictions for records whose label was still to come.

use super::{Error, Store, Writer, progress};

/// A prediction on the training scale, with the ends of its interval.
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
            let done = sqlx::query!(
                "INSERT INTO predictions (dataset, record_id, model, version, value, low, high,
                                          predicted_at, run_id)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
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
            )
            .execute(&mut *transaction)
            .await?;
            new += done.rows_affected();
        }
        progress::add(&mut transaction, writer, new, 0).await?;
        self.content.commit(transaction, "content").await?;
        Ok(new)
    }
}
