//! What the engine and the operators say to each other.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Mark;
use crate::{
    clock::{Clock, Timestamp},
    dag::ExecutorKind,
};

/// What a task does: one implementation per operator, generic over the data it is pointed at.
///
/// An operator works by "what lacks a result?": it commits its results in batches and computes
/// only what is missing, so that an attempt after a crash goes on where the last one stopped.
pub trait Operator: Send + Sync {
    /// The name in pipeline files; the same as that of its file and struct.
    fn name(&self) -> &'static str;

    /// Checks rendered settings without doing anything.
    ///
    /// # Errors
    ///
    /// The first setting that is wrong, with what is allowed.
    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError>;

    /// Where its attempts run unless a pipeline says otherwise. Default: inline.
    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Inline
    }

    /// Runs one attempt.
    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>>;
}

/// A setting that an operator refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingsError {
    /// The key of the setting; `None` where one is missing.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What is allowed, or what to write.
    pub hint: Option<String>,
}

/// The operators that pipelines can name.
#[derive(Clone, Default)]
pub struct Catalogue(BTreeMap<&'static str, Arc<dyn Operator>>);

impl Catalogue {
    /// Adds an operator under its own name; a later one replaces an earlier one.
    #[must_use]
    pub fn with(mut self, operator: impl Operator + 'static) -> Self {
        self.0.insert(operator.name(), Arc::new(operator));
        self
    }

    /// The operator of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Operator>> {
        self.0.get(name)
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The data interval of a run: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

/// What an attempt knows of its run, and its means to report and to be stopped.
#[derive(Clone, Debug)]
pub struct TaskContext {
    /// The run's id, a `UUIDv7`.
    pub run_id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The task's id.
    pub task_id: String,
    /// Which try of this task this is, from 1.
    pub attempt: u32,
    /// When its first attempt began; that of a task that was cleared, since then.
    pub first_started_at: Timestamp,
    /// The run's data interval.
    pub interval: Interval,
    /// The moment whose knowledge the run may use.
    pub as_of: Timestamp,
    /// Whether everything is to be computed again (`--force`).
    pub force: bool,
    /// The run's parameters.
    pub params: Map<String, Value>,
    /// The task's settings, all templates rendered.
    pub settings: Map<String, Value>,
    /// The outputs of all succeeded tasks upstream, direct or not, by task id; the nearest task
    /// first, that is in the reverse of an order in which they can run.
    pub upstream: Map<String, Value>,
    /// The folder for this run's files: `data/runs/<run_id>`; it may not exist yet.
    pub run_dir: PathBuf,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the attempt must stop: at once, leaving nothing half committed.
    pub cancelled: CancellationToken,
    /// Where the attempt tells how far it is.
    pub progress: Progress,
    /// By what batches are to be divided: more than 1 where an earlier attempt ran out of memory.
    pub batch_divisor: usize,
    /// What every process that the attempt starts must carry, so that none outlives it.
    pub mark: Mark,
}

/// How far an attempt is; cheap to update from any thread.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<ProgressCounters>);

#[derive(Debug, Default)]
struct ProgressCounters {
    done: AtomicU64,
    total: AtomicU64,
    /// Signs of life: whatever tells that the attempt gets further.
    signs: AtomicU64,
    /// The most bytes of memory that its processes held together.
    peak: AtomicU64,
}

impl Progress {
    /// Sets how many rows there are to do.
    pub fn expect(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// Adds rows that are done.
    pub fn advance(&self, rows: u64) {
        self.0.done.fetch_add(rows, Ordering::Relaxed);
        self.touch();
    }

    /// Shows that the attempt gets further where there are no rows to count.
    pub fn touch(&self) {
        self.0.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that changes whenever the attempt gets further.
    pub(super) fn signs(&self) -> u64 {
        self.0.signs.load(Ordering::Relaxed)
    }

    /// Records how much memory its processes hold.
    pub(super) fn note_peak(&self, bytes: u64) {
        self.0.peak.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The most memory that was recorded; none for an attempt without a process of its own.
    pub(super) fn peak(&self) -> Option<u64> {
        Some(self.0.peak.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }

    /// Sets what the process of an attempt has told.
    pub(super) fn set(&self, done: u64, total: u64) {
        self.0.done.store(done, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
        self.touch();
    }

    /// Rows done, and rows to do in all (0 where unknown).
    pub fn get(&self) -> (u64, u64) {
        (
            self.0.done.load(Ordering::Relaxed),
            self.0.total.load(Ordering::Relaxed),
        )
    }
}

/// What a succeeded attempt reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskOutcome {
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that have a result after the task.
    pub rows_out: u64,
    /// Results made by this run, over all attempts.
    pub rows_computed: u64,
    /// Results that were there.
    pub rows_reused: u64,
    /// Bytes read from outside.
    pub bytes: u64,
    /// Rows that go no further, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// One sentence for people, where there is something to say.
    pub message: Option<String>,
    /// What the tasks downstream need: fingerprints, paths of artifacts.
    pub output: Value,
    /// The files that the tasks downstream read, by their names in the run's folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// How an attempt ended that did not succeed; the variant is the decision.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// Trying again may help: the retry policy decides.
    #[error("{0:#}")]
    Retry(anyhow::Error),
    /// Trying again is useless.
    #[error("{0:#}")]
    Fail(anyhow::Error),
    /// There is nothing to do, for this reason; the task ends as skipped.
    #[error("{0}")]
    Skip(String),
    /// There is nothing to do before this time: another attempt begins then, and until then the
    /// task holds no slot. Spends no retry.
    #[error("{reason}")]
    Defer {
        /// When the next attempt begins.
        until: Timestamp,
        /// What is waited for, in words.
        reason: String,
    },
    /// The attempt was told to stop and did.
    #[error("cancelled")]
    Cancelled,
}

impl TaskError {
    /// An error that the retry policy may try again.
    pub fn retry(error: impl Into<anyhow::Error>) -> Self {
        Self::Retry(error.into())
    }

    /// An error that will not go away by trying again.
    pub fn fail(error: impl Into<anyhow::Error>) -> Self {
        Self::Fail(error.into())
    }

    /// Gives the error a class of its own, which rules of the retry policy can name.
    #[must_use]
    pub fn classed(self, class: impl Into<String>) -> Self {
        self.with(class.into(), None)
    }

    /// Gives the error a class of its own, and says how long trying again is useless.
    #[must_use]
    pub fn classed_until(self, class: impl Into<String>, after: Duration) -> Self {
        self.with(class.into(), Some(after))
    }

    fn with(self, class: String, after: Option<Duration>) -> Self {
        let classed = |error| Classed {
            class,
            after,
            error,
        };
        match self {
            Self::Retry(error) => Self::retry(classed(error)),
            Self::Fail(error) => Self::fail(classed(error)),
            Self::Skip(_) | Self::Defer { .. } | Self::Cancelled => self,
        }
    }

    /// How long trying again is useless, where that is known.
    pub(super) fn after(&self) -> Option<Duration> {
        self.classes()?.after
    }

    fn classes(&self) -> Option<&Classed> {
        match self {
            Self::Retry(error) | Self::Fail(error) => error.downcast_ref(),
            Self::Skip(_) | Self::Defer { .. } | Self::Cancelled => None,
        }
    }

    /// The error's own class, where it has one.
    pub fn class(&self) -> Option<&str> {
        Some(&self.classes()?.class)
    }

    /// A wait for a time, and what for.
    pub fn defer(until: Timestamp, reason: impl Into<String>) -> Self {
        Self::Defer {
            until,
            reason: reason.into(),
        }
    }

    /// The reason why there is nothing to do.
    pub fn skip(reason: impl Into<String>) -> Self {
        Self::Skip(reason.into())
    }
}

/// An error with a class of its own.
#[derive(Debug, thiserror::Error)]
#[error("{error:#}")]
struct Classed {
    class: String,
    after: Option<Duration>,
    error: anyhow::Error,
}
