//! The profiles that pipelines use in place of those that their files say.

use std::collections::BTreeMap;

use super::{Error, Store};
use crate::clock::Timestamp;

/// The profile to which a pipeline was switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchedProfile {
    /// Its name.
    pub profile: String,
    /// When it was switched.
    pub switched_at: Timestamp,
}

impl Store {
    /// By pipeline: the profile to which it was switched.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.profiles.list", skip_all, level = "debug")]
    pub async fn switched_profiles(&self) -> Result<BTreeMap<String, SwitchedProfile>, Error> {
        let rows = sqlx::query!("SELECT pipeline, profile, switched_at FROM default_profiles")
            .fetch_all(self.state.read())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let switched = SwitchedProfile {
                    profile: row.profile,
                    switched_at: Timestamp::from_millis(row.switched_at),
                };
                (row.pipeline, switched)
            })
            .collect())
    }

    /// Lets the runs of a pipeline use this profile from now on, where they do not say.
    ///
    /// # Errors
    ///
    /// Where the database fails; then the pipeline is as it was.
    #[tracing::instrument(name = "db.profiles.switch", skip_all)]
    pub async fn switch_profile(
        &self,
        pipeline: &str,
        profile: &str,
        at: Timestamp,
    ) -> Result<(), Error> {
        let at = at.as_millis();
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "INSERT INTO default_profiles (pipeline, profile, switched_at) VALUES (?, ?, ?)
             ON CONFLICT (pipeline) DO UPDATE
             SET profile = excluded.profile, switched_at = excluded.switched_at",
            pipeline,
            profile,
            at,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "switch_profile").await
    }

    /// Lets a pipeline use the profile of its file again. `false` where it did.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.profiles.clear", skip_all)]
    pub async fn clear_profile(&self, pipeline: &str) -> Result<bool, Error> {
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!("DELETE FROM default_profiles WHERE pipeline = ?", pipeline)
            .execute(&mut *transaction)
            .await?;
        self.state.commit(transaction, "switch_profile").await?;
        Ok(done.rows_affected() > 0)
    }
}
