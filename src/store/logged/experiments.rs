//! Experiments.

use super::{LogError, LoggedExperiment, gathered};
use crate::{
    clock::Timestamp,
    store::{Error, Store},
};

impl Store {
    /// All experiments, also those that are deleted.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.logged.experiments", skip_all)]
    pub async fn logged_experiments(&self) -> Result<Vec<LoggedExperiment>, Error> {
        let rows = sqlx::query!(
            r#"SELECT id, name, created_at, updated_at, deleted_at,
                   ifnull((SELECT json_group_object(key, value) FROM logged_experiment_tags
                           WHERE experiment = logged_experiments.id), '{}') AS "tags!: String"
               FROM logged_experiments ORDER BY id"#
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(LoggedExperiment {
                    tags: gathered("logged_experiment_tags", &row.id, &row.tags)?,
                    id: row.id,
                    name: row.name,
                    created_at: Timestamp::from_millis(row.created_at),
                    updated_at: Timestamp::from_millis(row.updated_at),
                    deleted: row.deleted_at.is_some(),
                })
            })
            .collect()
    }

    /// Makes an experiment and gives its id.
    ///
    /// # Errors
    ///
    /// [`LogError::Exists`] where one has this name; else where the database fails.
    #[tracing::instrument(name = "db.logged.add_experiment", skip_all)]
    pub async fn add_logged_experiment(
        &self,
        name: &str,
        tags: &[(String, String)],
        now: Timestamp,
    ) -> Result<i64, LogError> {
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO logged_experiments (name, created_at, updated_at) VALUES (?1, ?2, ?2)
             ON CONFLICT (name) DO NOTHING RETURNING id",
            name,
            now,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let id = id.ok_or_else(|| {
            LogError::Exists(format!(
                "Experiment '{name}' already exists; one that is deleted keeps its name"
            ))
        })?;
        for (key, value) in tags {
            tag(&mut transaction, id, key, value).await?;
        }
        self.state.commit(transaction, "logged_experiment").await?;
        Ok(id)
    }

    /// Gives an experiment another name.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] and [`LogError::Refused`] where it is not there or deleted,
    /// [`LogError::Exists`] where another one has this name; else where the database fails.
    #[tracing::instrument(name = "db.logged.rename_experiment", skip_all)]
    pub async fn rename_logged_experiment(
        &self,
        id: i64,
        name: &str,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        if is_deleted(&mut transaction, id).await? {
            let told = "Cannot rename a non-active experiment.";
            return Err(LogError::Refused(told.to_owned()));
        }
        let done = sqlx::query!(
            "UPDATE OR IGNORE logged_experiments SET name = ?, updated_at = ? WHERE id = ?",
            name,
            now,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            let told = format!("Experiment '{name}' already exists");
            return Err(LogError::Exists(told));
        }
        self.state.commit(transaction, "logged_experiment").await?;
        Ok(())
    }

    /// Deletes an experiment or restores it, with its runs.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] where it is not there, or is deleted or restored already; else where
    /// the database fails.
    #[tracing::instrument(name = "db.logged.delete_experiment", skip_all)]
    pub async fn set_logged_experiment_deleted(
        &self,
        id: i64,
        deleted: bool,
        now: Timestamp,
    ) -> Result<(), LogError> {
        let now = now.as_millis();
        let deleted_at = deleted.then_some(now);
        let mut transaction = self.state.write().await?;
        if is_deleted(&mut transaction, id).await? == deleted {
            return Err(unknown(id));
        }
        sqlx::query!(
            "UPDATE logged_experiments SET deleted_at = ?, updated_at = ? WHERE id = ?",
            deleted_at,
            now,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "UPDATE logged_runs SET deleted_at = ? WHERE experiment = ?",
            deleted_at,
            id,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "logged_experiment").await?;
        Ok(())
    }

    /// Sets a tag of an experiment, or takes it away where it has no value.
    ///
    /// # Errors
    ///
    /// [`LogError::Unknown`] where there is no such experiment, or no such tag to take away; else
    /// where the database fails.
    #[tracing::instrument(name = "db.logged.tag_experiment", skip_all)]
    pub async fn tag_logged_experiment(
        &self,
        id: i64,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), LogError> {
        let mut transaction = self.state.write().await?;
        is_deleted(&mut transaction, id).await?;
        if let Some(value) = value {
            tag(&mut transaction, id, key, value).await?;
        } else {
            let done = sqlx::query!(
                "DELETE FROM logged_experiment_tags WHERE experiment = ? AND key = ?",
                id,
                key,
            )
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() == 0 {
                return Err(LogError::Unknown(format!(
                    "No tag with name: {key} in experiment with id {id}"
                )));
            }
        }
        self.state.commit(transaction, "logged_experiment").await?;
        Ok(())
    }
}

/// What is said of an experiment that is not there.
pub(super) fn unknown(id: i64) -> LogError {
    LogError::Unknown(format!("No Experiment with id={id} exists"))
}

/// Whether an experiment is deleted, which must have been there.
pub(super) async fn is_deleted(
    transaction: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    id: i64,
) -> Result<bool, LogError> {
    let row = sqlx::query!("SELECT deleted_at FROM logged_experiments WHERE id = ?", id)
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.ok_or_else(|| unknown(id))?.deleted_at.is_some())
}

async fn tag(
    transaction: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    id: i64,
    key: &str,
    value: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO logged_experiment_tags (experiment, key, value) VALUES (?, ?, ?)
         ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value",
        id,
        key,
        value,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
