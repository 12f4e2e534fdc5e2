//! Records that are to be gone everywhere in the home.

use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{App, Error};
use crate::{
    clock::Clock,
    engine::HomeLock,
    operators::{Environment, Others, Purged},
    store::{PurgeWish, PurgedRows, RecordKey, family},
    telemetry::chain,
};

/// How often the daemon looks whether a purge was not carried out to its end.
const EVERY: Duration = Duration::from_mins(10);

impl App {
    /// The records that a wish means, and the versions that have learned from them or were measured
    /// by them. Changes nothing.
    ///
    /// # Errors
    ///
    /// Where the store or the registry cannot be read.
    pub async fn meant(
        &self,
        wish: &PurgeWish,
    ) -> Result<(Vec<RecordKey>, Vec<PurgedRows>), Error> {
        let keys = self.store().chosen(wish).await?;
        let ids: HashSet<(&str, &str)> = keys
            .iter()
            .map(|key| (family(&key.dataset), key.id.as_str()))
            .collect();
        let versions = self
            .registry()
            .versions_with(|dataset, id| ids.contains(&(family(dataset), id)))
            .await?;
        Ok((keys, versions))
    }

    /// Purges these records, which are what the wish means, and those that were noted before: they
    /// are gone from everything that the home holds, and nothing brings them back. Of an author
    /// who is named nothing is stored any more.
    ///
    /// # Errors
    ///
    /// Where another process is at work on the home, or the store or the disk refuses. What was
    /// noted is carried out by the next purge, or by the daemon.
    pub async fn purge(
        &self,
        wish: &PurgeWish,
        keys: &[RecordKey],
        cause: &str,
    ) -> Result<Purged, Error> {
        let now = self.clock().now();
        let lock = HomeLock::acquire(self.data_dir(), now)?;
        if let Some(author) = &wish.author {
            // While their records still tell which accounts are theirs.
            self.store().note_author(&wish.dataset, author, now).await?;
        }
        if !keys.is_empty() {
            self.store().note_purges(keys, cause, now).await?;
        }
        let purged = self
            .environment
            .carry_out_purges(Others::None, self.clock().now())
            .await?;
        drop(lock);
        Ok(purged)
    }

    /// What carries out purges to their end while the daemon runs.
    pub(super) fn purger(&self) -> Purger {
        Purger {
            environment: self.environment(),
            clock: Arc::clone(self.clock()),
        }
    }
}

/// Carries out what was noted and is not through, beside runs that are at work.
#[derive(Debug)]
pub(super) struct Purger {
    environment: Arc<Environment>,
    clock: Arc<dyn Clock>,
}

impl Purger {
    /// Looks again and again, until it is told to end.
    ///
    /// # Errors
    ///
    /// None: what cannot be removed now may be later.
    pub(super) async fn run(self, ending: CancellationToken) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                () = ending.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
            let now = self.clock.now();
            let done = self.environment.carry_out_purges(Others::Runs(""), now);
            if let Err(error) = done.await {
                tracing::warn!("purges wait: {}", chain(&error));
            }
        }
    }
}
