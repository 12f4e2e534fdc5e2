//! Runs: made, changed, deleted.

use super::{
    LogError,
    entries::{RUN_NAME, tag},
    experiments,
};
use crate::{
    clock::Timestamp,
    store::{Error, Store},
};

/// A run that is about to be made.
#[derive(Clone, Debug)]
pub struct NewLoggedRun<'a> {
    /// By which clients shall name it.
    pub run_id: &'a str,
    /// Its experiment.
    pub experiment: i64,
    /// Its name.
    pub name: &'a str,
    /// Who logs it.
    pub user: &'a str,
    /// When it began.
    pub started_at: Timestamp,
    /// Its tags, beside its name.
    pub tags: &'a [(String, String)],
}

/// What of a run changes; what is not given stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunUpdate<'a> {
    /// How it stands.
    pub status: Option<&'a str>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its name.
    pub name: Option<&'a str>,
}

impl Store {
    /// Whether a run of this id was logged, also where it is deleted.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn is_logged_run(&self, run_id: &str) -> Result<bool, Error> {
        let found = sqlx::query_scalar!(
            "SELECT 1 AS found FROM logged_runs WHERE run_id = ?",
            run_id
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(found.is_some())
    }

    /// Makes a run.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] and [`LogError::Refused`] where its experiment is not there or
    /// deleted; else where the database fails.
    #[tracing::instrument(name = "db.logged.add_run", skip_all)]
    pub async fn add_logged_run(&self, new: NewLoggedRun<'_>) -> Result<(), LogError> {
        let started_at = new.started_at.as_millis();
        let mut transaction = self.state.write().await?;
        if experiments::is_deleted(&mut transaction, new.experiment).await? {
            return Err(LogError::Refused(format!(
                "The experiment {} must be in the 'active' state. Current state is deleted.",
                new.experiment
            )));
        }
        let run = sqlx::query_scalar!(
            r#"INSERT INTO logged_runs (run_id, experiment, name, user_id, status, started_at)
               VALUES (?, ?, ?, ?, 'RUNNING', ?) RETURNING id AS "id!""#,
            new.run_id,
            new.experiment,
            new.name,
            new.user,
            started_at,
        )
        .fetch_one(&mut *transaction)
        .await?;
        for (key, value) in new.tags {
            tag(&mut transaction, run, key, value).await?;
        }
        tag(&mut transaction, run, RUN_NAME, new.name).await?;
        self.state.commit(transaction, "logged_run").await?;
        Ok(())
    }

    /// Changes how a run stands, when it ended, or its name.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] and [`LogError::Refused`] where it is not there or deleted; else where
    /// the database fails.
    #[tracing::instrument(name = "db.logged.update_run", skip_all)]
    pub async fn update_logged_run(
        &self,
        run_id: &str,
        update: RunUpdate<'_>,
    ) -> Result<(), LogError> {
        let ended_at = update.ended_at.map(Timestamp::as_millis);
        let mut transaction = self.state.write().await?;
        let run = active(&mut transaction, run_id).await?;
        sqlx::query!(
            "UPDATE logged_runs SET status = ifnull(?, status), ended_at = ifnull(?, ended_at)
             WHERE id = ?",
            update.status,
            ended_at,
            run,
        )
        .execute(&mut *transaction)
        .await?;
        if let Some(name) = update.name {
            tag(&mut transaction, run, RUN_NAME, name).await?;
        }
        self.state.commit(transaction, "logged_run").await?;
        Ok(())
    }

    /// Deletes a run or restores it.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] where it is not there; else where the database fails.
    #[tracing::instrument(name = "db.logged.delete_run", skip_all)]
    pub async fn set_logged_run_deleted(
        &self,
        run_id: &str,
        deleted_at: Option<Timestamp>,
    ) -> Result<(), LogError> {
        let deleted_at = deleted_at.map(Timestamp::as_millis);
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE logged_runs SET deleted_at = ? WHERE run_id = ?",
            deleted_at,
            run_id,
        )
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(unknown(run_id));
        }
        self.state.commit(transaction, "logged_run").await?;
        Ok(())
    }
}

/// What is said of a run that is not there.
pub(super) fn unknown(run_id: &str) -> LogError {
    LogError::Unknown(format!("Run with id={run_id} not found"))
}

/// The short id of a run, which must be there and not deleted.
pub(super) async fn active(
    transaction: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    run_id: &str,
) -> Result<i64, LogError> {
    let row = sqlx::query!(
        "SELECT id, deleted_at FROM logged_runs WHERE run_id = ?",
        run_id
    )
    .fetch_optional(&mut **transaction)
    .await?
    .ok_or_else(|| unknown(run_id))?;
    if row.deleted_at.is_some() {
        return Err(LogError::Refused(format!(
            "The run {run_id} must be in the 'active' state. Current state is deleted."
        )));
    }
    Ok(row.id)
}
