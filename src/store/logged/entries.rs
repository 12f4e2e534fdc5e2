//! What is logged in a run: parameters, metrics, tags.

use super::{LogError, LoggedMetric, runs};
use crate::{
    clock::Timestamp,
    store::{Error, Store},
};

/// The tag that is the name of its run.
pub(super) const RUN_NAME: &str = "mlflow.runName";

impl Store {
    /// Logs in a run, all of it or nothing. A point that is there already is not there twice.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] and [`LogError::Refused`] where the run is not there or deleted, or a
    /// parameter has another value already; else where the database fails.
    #[tracing::instrument(name = "db.logged.entries", skip_all)]
    pub async fn log_entries(
        &self,
        run_id: &str,
        metrics: &[LoggedMetric],
        params: &[(String, String)],
        tags: &[(String, String)],
    ) -> Result<(), LogError> {
        let mut transaction = self.state.write().await?;
        let run = runs::active(&mut transaction, run_id).await?;
        for (key, value) in params {
            param(&mut transaction, (run, run_id), key, value).await?;
        }
        for metric in metrics {
            point(&mut transaction, run, metric).await?;
        }
        for (key, value) in tags {
            tag(&mut transaction, run, key, value).await?;
        }
        self.state.commit(transaction, "logged_entries").await?;
        Ok(())
    }

    /// Takes a tag of a run away.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] and [`LogError::Refused`] where the run or the tag is not there, or
    /// the run is deleted; else where the database fails.
    #[tracing::instrument(name = "db.logged.untag", skip_all)]
    pub async fn untag_logged_run(&self, run_id: &str, key: &str) -> Result<(), LogError> {
        let mut transaction = self.state.write().await?;
        let run = runs::active(&mut transaction, run_id).await?;
        let done = sqlx::query!(
            "DELETE FROM logged_tags WHERE run = ? AND key = ?",
            run,
            key
        )
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(LogError::Unknown(format!(
                "No tag with name: {key} in run with id {run_id}"
            )));
        }
        self.state.commit(transaction, "logged_entries").await?;
        Ok(())
    }

    /// The points of a metric of a run in the order of their times: at most `limit` after the first
    /// `from`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.logged.history", skip_all)]
    pub async fn logged_history(
        &self,
        run_id: &str,
        key: &str,
        (from, limit): (i64, i64),
    ) -> Result<Vec<LoggedMetric>, Error> {
        let rows = sqlx::query!(
            "SELECT logged_metrics.key, at, step, value, is_nan
             FROM logged_metrics JOIN logged_runs ON logged_runs.id = run
             WHERE run_id = ? AND key = ? ORDER BY at, step, value LIMIT ? OFFSET ?",
            run_id,
            key,
            limit,
            from,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| LoggedMetric {
                key: row.key,
                value: number(row.value, row.is_nan != 0),
                at: Timestamp::from_millis(row.at),
                step: row.step,
            })
            .collect())
    }
}

/// A value as it was logged.
pub(super) const fn number(value: f64, is_nan: bool) -> f64 {
    if is_nan { f64::NAN } else { value }
}

type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// A parameter has one value for ever.
async fn param(
    transaction: &mut Transaction,
    (run, run_id): (i64, &str),
    key: &str,
    value: &str,
) -> Result<(), LogError> {
    sqlx::query!(
        "INSERT INTO logged_params (run, key, value) VALUES (?, ?, ?)
         ON CONFLICT (run, key) DO NOTHING",
        run,
        key,
        value,
    )
    .execute(&mut **transaction)
    .await?;
    let kept = sqlx::query_scalar!(
        "SELECT value FROM logged_params WHERE run = ? AND key = ?",
        run,
        key,
    )
    .fetch_one(&mut **transaction)
    .await?;
    if kept == value {
        return Ok(());
    }
    Err(LogError::Refused(format!(
        "Changing param values is not allowed. Param with key='{key}' was already logged with \
         value='{kept}' for run ID='{run_id}'. Attempted logging new value '{value}'."
    )))
}

/// A point, which becomes the last one where its step, time and value say so.
async fn point(
    transaction: &mut Transaction,
    run: i64,
    metric: &LoggedMetric,
) -> Result<(), Error> {
    let is_nan = metric.value.is_nan();
    let value = if is_nan { 0.0 } else { metric.value };
    let at = metric.at.as_millis();
    sqlx::query!(
        "INSERT INTO logged_metrics (run, key, at, step, value, is_nan) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
        run,
        metric.key,
        at,
        metric.step,
        value,
        is_nan,
    )
    .execute(&mut **transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO logged_latest (run, key, at, step, value, is_nan) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (run, key) DO UPDATE SET at = excluded.at, step = excluded.step,
             value = excluded.value, is_nan = excluded.is_nan
         WHERE (excluded.step, excluded.at, excluded.value)
             > (logged_latest.step, logged_latest.at, logged_latest.value)",
        run,
        metric.key,
        at,
        metric.step,
        value,
        is_nan,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// A tag; the name of the run is one.
pub(super) async fn tag(
    transaction: &mut Transaction,
    run: i64,
    key: &str,
    value: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO logged_tags (run, key, value) VALUES (?, ?, ?)
         ON CONFLICT (run, key) DO UPDATE SET value = excluded.value",
        run,
        key,
        value,
    )
    .execute(&mut **transaction)
    .await?;
    if key == RUN_NAME {
        sqlx::query!("UPDATE logged_runs SET name = ? WHERE id = ?", value, run)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
