//! What the API needs of the process in which it runs.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    BackfillMove, BackfillWanted, Fault, GuardSettings, Metrics, PredictAnswer, PredictWanted,
    PurgeWanted, RunWanted,
};
use crate::{
    clock::{Clock, Timestamp},
    engine::{Handle, RunRequest},
    registry::{ModelVersion, Registry},
    store::Store,
};

/// Where a daemon stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It takes up what was left.
    Starting,
    /// It works.
    Ready,
    /// It lets running attempts end and takes nothing new.
    Draining,
    /// Nothing runs any more.
    Ended,
}

/// What the API needs of the process in which it runs.
pub trait Host: fmt::Debug + Send + Sync {
    /// The databases.
    fn store(&self) -> &Store;

    /// The model versions.
    fn registry(&self) -> &Registry;

    /// The pipelines of the home, as `pipelines list --json` tells them.
    fn pipelines(&self) -> BoxFuture<'_, Result<Value, Fault>>;

    /// One pipeline, as `pipelines show --json` tells it.
    fn pipeline<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Value, Fault>>;

    /// The folder of databases, logs and artifacts.
    fn data_dir(&self) -> &Path;

    /// The engine.
    fn engine(&self) -> &Handle;

    /// Where the time comes from.
    fn clock(&self) -> &dyn Clock;

    /// Where the daemon stands.
    fn phase(&self) -> Phase;

    /// Waits until the daemon has taken up what was left.
    fn started(&self) -> BoxFuture<'_, ()>;

    /// When the daemon started.
    fn started_at(&self) -> Timestamp;

    /// What keeps attempts within their memory, in words.
    fn memory_limits(&self) -> String;

    /// How long the oldest tick that is due has not been handled.
    fn scheduler_lag(&self) -> Duration;

    /// What is asked of callers, as of now.
    fn guard(&self) -> GuardSettings;

    /// What is counted.
    fn metrics(&self) -> &Metrics;

    /// All schedules, with what comes next.
    fn schedules(&self) -> BoxFuture<'_, Result<Value, Fault>>;

    /// The next ticks of a pipeline.
    fn next(&self, pipeline: &str, count: usize) -> Result<Value, Fault>;

    /// Pauses the schedules of a pipeline or lets them go on; whether that changed anything.
    fn set_paused<'a>(
        &'a self,
        pipeline: &'a str,
        paused: bool,
    ) -> BoxFuture<'a, Result<bool, Fault>>;

    /// All backfills, the newest first.
    fn backfills(&self) -> BoxFuture<'_, Result<Value, Fault>>;

    /// A backfill with its intervals.
    fn backfill<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Value, Fault>>;

    /// The intervals that a backfill would meet.
    fn plan_backfill(&self, wanted: BackfillWanted) -> BoxFuture<'_, Result<Value, Fault>>;

    /// Makes a backfill; none where no interval gets a run.
    fn create_backfill(
        &self,
        wanted: BackfillWanted,
    ) -> BoxFuture<'_, Result<Option<Value>, Fault>>;

    /// Pauses, resumes or cancels a backfill.
    fn move_backfill<'a>(
        &'a self,
        id: &'a str,
        to: BackfillMove,
    ) -> BoxFuture<'a, Result<Value, Fault>>;

    /// Purges records, or says what that would remove, as `records purge --json` tells it.
    fn purge(&self, wanted: PurgeWanted) -> BoxFuture<'_, Result<Value, Fault>>;

    /// Predicts records with a model version.
    fn predict<'a>(
        &'a self,
        version: &'a ModelVersion,
        wanted: PredictWanted,
    ) -> BoxFuture<'a, Result<PredictAnswer, Fault>>;

    /// Checks a run that is wanted, and finds all that it needs.
    fn request(&self, wanted: RunWanted) -> BoxFuture<'_, Result<RunRequest, Fault>>;
}

/// A host that all requests share.
pub type SharedHost = Arc<dyn Host>;
