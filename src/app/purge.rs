//! Records that are to be gone everywhere in the home.

#[cfg(test)]
mod tests;
mod wish;

use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::{App, Error};
use crate::{
    clock::Clock,
    engine::{EngineEvent, Handle, HomeLock},
    operators::{Environment, Others, Purged},
    server::PurgeWanted,
    store::{PurgedRows, RecordKey, family},
    telemetry::chain,
};

/// How often the daemon looks at least whether a purge was not carried out to its end.
const EVERY: Duration = Duration::from_mins(10);

/// How long it waits for whoever reads the databases, so that their logs can be emptied.
const LOGS_AGAIN: Duration = Duration::from_secs(30);

/// What is noted as the cause.
const CAUSE: &str = "asked for by `records purge`";

/// What a purge would remove, as `records purge --dry-run --json` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PurgeMeant {
    /// True.
    pub dry_run: bool,
    /// The records.
    pub records: Vec<RecordKey>,
    /// What was purged before: ids, and an author as `u/NAME`.
    pub purged_before: Vec<String>,
    /// What is not here: ids, an author as `u/NAME`, a community as `r/NAME`.
    pub unknown: Vec<String>,
    /// The versions that have learned from them or were measured by them.
    pub models: Vec<PurgedRows>,
}

/// What a purge has removed, as `records purge --json` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeDone {
    /// What has become of everything.
    #[serde(flatten)]
    pub purged: Purged,
    /// False.
    pub dry_run: bool,
    /// The records that were here.
    pub records: Vec<RecordKey>,
    /// What was purged before: ids, and an author as `u/NAME`.
    pub purged_before: Vec<String>,
    /// What was not here: ids, an author as `u/NAME`, a community as `r/NAME`. Neither such an id
    /// nor anything by such an author is stored later.
    pub unknown: Vec<String>,
}

impl App {
    /// The records that are wanted to be gone, and the versions that have learned from them or were
    /// measured by them. Changes nothing.
    ///
    /// # Errors
    ///
    /// Where it is not clear which data set is meant, something is no id, or the store or the
    /// registry cannot be read.
    pub async fn meant(&self, wanted: &PurgeWanted) -> Result<PurgeMeant, Error> {
        let understood = self.understand(wanted).await?;
        let records = understood.records;
        let ids: HashSet<(&str, &str)> = records
            .iter()
            .map(|key| (family(&key.dataset), key.id.as_str()))
            .collect();
        let models = self
            .registry()
            .versions_with(|dataset, id| ids.contains(&(family(dataset), id)))
            .await?;
        Ok(PurgeMeant {
            dry_run: true,
            records,
            purged_before: understood.purged_before,
            unknown: understood.unknown,
            models,
        })
    }

    /// Purges the records that are wanted to be gone, and those that were noted before: they are
    /// gone from everything that the home holds, and nothing brings them back. Of an author who is
    /// named nothing is stored any more.
    ///
    /// # Errors
    ///
    /// Where another process is at work on the home, it is not clear which data set is meant, or the
    /// store or the disk refuses. What was noted is carried out by the next purge, or by the daemon.
    pub async fn purge(&self, wanted: &PurgeWanted) -> Result<PurgeDone, Error> {
        let lock = HomeLock::acquire(self.data_dir(), self.clock().now())?;
        let done = self.purge_beside(wanted, Others::None).await?;
        drop(lock);
        Ok(done)
    }

    /// The same by the process that has the home, whose runs go on: what they had read of the
    /// records is looked for again once they have ended.
    ///
    /// # Errors
    ///
    /// Where it is not clear which data set is meant, or the store or the disk refuses. What was
    /// noted is carried out later.
    pub(super) async fn purge_beside_runs(&self, wanted: &PurgeWanted) -> Result<PurgeDone, Error> {
        self.purge_beside(wanted, Others::RunsAndAPerson).await
    }

    async fn purge_beside(
        &self,
        wanted: &PurgeWanted,
        others: Others<'_>,
    ) -> Result<PurgeDone, Error> {
        let (store, now) = (self.store(), self.clock().now());
        let understood = self.understand(wanted).await?;
        if let Some(author) = &understood.author {
            // While their records still tell which accounts are theirs.
            store.note_author(&understood.dataset, author, now).await?;
        }
        if !understood.noted.is_empty() {
            store.note_purges(&understood.noted, CAUSE, now).await?;
        }
        let now = self.clock().now();
        let purged = self.environment.carry_out_purges(others, now).await?;
        Ok(PurgeDone {
            purged,
            dry_run: false,
            records: understood.records,
            purged_before: understood.purged_before,
            unknown: understood.unknown,
        })
    }

    /// What carries out purges to their end while the daemon runs.
    pub(super) fn purger(&self, engine: &Handle) -> Purger {
        Purger {
            environment: self.environment(),
            clock: Arc::clone(self.clock()),
            events: engine.subscribe(),
        }
    }
}

/// Carries out what was noted and is not through, beside runs that are at work.
#[derive(Debug)]
pub(super) struct Purger {
    environment: Arc<Environment>,
    clock: Arc<dyn Clock>,
    events: broadcast::Receiver<EngineEvent>,
}

impl Purger {
    /// Looks at once, whenever a run has ended, and from time to time, until it is told to end.
    ///
    /// # Errors
    ///
    /// None: what cannot be removed now may be later.
    pub(super) async fn run(mut self, ending: CancellationToken) -> Result<(), Infallible> {
        loop {
            let now = self.clock.now();
            let done = self.environment.carry_out_purges(Others::Runs(""), now);
            let wait = match done.await {
                Ok(purged) if purged.logs_wait => LOGS_AGAIN,
                Ok(_) => EVERY,
                Err(error) => {
                    tracing::warn!("purges wait: {}", chain(&error));
                    EVERY
                }
            };
            tokio::select! {
                () = ending.cancelled() => return Ok(()),
                () = run_ended(&mut self.events) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// Waits until a run has ended.
async fn run_ended(events: &mut broadcast::Receiver<EngineEvent>) {
    loop {
        match events.recv().await {
            // Among what was missed there may be an end.
            Ok(EngineEvent::RunEnded { .. }) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
