//! What the API needs of the process in which it runs.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Fault, GuardSettings, Metrics, RunWanted};
use crate::{
    clock::{Clock, Timestamp},
    engine::{Handle, RunRequest},
    registry::Registry,
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
    fn pipelines(&self) -> Result<Value, Fault>;

    /// One pipeline, as `pipelines show --json` tells it.
    fn pipeline(&self, name: &str) -> Result<Value, Fault>;

    /// The folder of databases, logs and artifacts.
    fn data_dir(&self) -> &Path;

    /// The engine.
    fn engine(&self) -> &Handle;

    /// Where the time comes from.
    fn clock(&self) -> &dyn Clock;

    /// Where the daemon stands.
    fn phase(&self) -> Phase;

    /// When the daemon started.
    fn started_at(&self) -> Timestamp;

    /// How long the oldest tick that is due has not been handled.
    fn scheduler_lag(&self) -> Duration;

    /// What is asked of callers.
    fn guard(&self) -> &GuardSettings;

    /// What is counted.
    fn metrics(&self) -> &Metrics;

    /// Checks a run that is wanted, and finds all that it needs.
    fn request(&self, wanted: RunWanted) -> BoxFuture<'_, Result<RunRequest, Fault>>;
}

/// A host that all requests share.
pub type SharedHost = Arc<dyn Host>;
