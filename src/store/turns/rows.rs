//! What a turn changes, row by row.

use serde::{Serialize, Serializer};

use crate::clock::Timestamp;

/// Everything that one turn changes. Written in this order, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Runs that begin to exist.
    pub new_runs: Vec<NewRun>,
    /// Runs whose graph changes, because a mapped task has other shards.
    pub graphs: Vec<GraphChange>,
    /// Tasks that come to a run that exists.
    pub added_tasks: Vec<AddedTask>,
    /// Runs whose state or owner changes.
    pub runs: Vec<RunChange>,
    /// Tasks whose state changes, each once, with its last state.
    pub tasks: Vec<TaskChange>,
    /// Attempts that start.
    pub started: Vec<NewAttempt>,
    /// Attempts that ended.
    pub ended: Vec<AttemptEnded>,
    /// What is told to end, or not any more.
    pub cancels: Vec<CancelMark>,
    /// Every move, in order.
    pub transitions: Vec<Transition>,
}

impl Turn {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.new_runs.is_empty()
            && self.graphs.is_empty()
            && self.added_tasks.is_empty()
            && self.runs.is_empty()
            && self.tasks.is_empty()
            && self.started.is_empty()
            && self.ended.is_empty()
            && self.cancels.is_empty()
            && self.transitions.is_empty()
    }
}

/// A run that begins to exist.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The SHA-256 of the pipeline's text.
    pub definition_hash: String,
    /// The pipeline's text.
    pub definition: String,
    /// All tasks with rendered settings, as JSON.
    pub graph: String,
    /// The parameters, as a JSON object.
    pub params: String,
    /// The source, where the run has one.
    pub source: Option<String>,
    /// The profile, where the run has one.
    pub profile: Option<String>,
    /// The schedule that made it.
    pub schedule: Option<String>,
    /// The moment it is for.
    pub scheduled_for: Timestamp,
    /// The data interval's first instant.
    pub interval_start: Timestamp,
    /// The first instant after the data interval.
    pub interval_end: Timestamp,
    /// The moment whose knowledge it may use.
    pub as_of: Timestamp,
    /// Whether everything is computed again.
    pub force: bool,
    /// What made it: `manual`, `scheduled` or `backfill`.
    pub trigger: &'static str,
    /// Why it was made, in words.
    pub cause: String,
    /// Equal for runs that are one and the same to a person.
    pub identity: String,
    /// The process at work on it; `None` where it is held.
    pub owner: Option<String>,
    /// Why it may not start yet, in words; `None` where it may.
    pub hold: Option<String>,
    /// When it is to have ended.
    pub deadline_at: Option<Timestamp>,
    /// The backfill that wants it, and its place in there.
    pub backfill: Option<(String, u32)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its tasks, in the graph's order.
    pub tasks: Vec<NewTask>,
}

/// A task of a new run.
#[derive(Clone, Debug, Serialize)]
pub struct NewTask {
    /// Its id in the pipeline.
    pub task_id: String,
    /// Its operator.
    pub op: String,
    /// The name of its state.
    pub state: &'static str,
    /// Why it has this state.
    pub cause: String,
    /// For people.
    pub message: Option<String>,
    /// The outcome as JSON, where it was taken over from another run.
    pub outcome: Option<String>,
    /// When it ended, where it was taken over or left out.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
}

/// A run whose graph changes.
#[derive(Clone, Debug, Serialize)]
pub struct GraphChange {
    /// The run.
    pub run: String,
    /// The fence that the run must have.
    pub fence: i64,
    /// All tasks with rendered settings, as JSON.
    pub graph: String,
}

/// A task that comes to a run that exists; it waits.
#[derive(Clone, Debug, Serialize)]
pub struct AddedTask {
    /// The run.
    pub run: String,
    /// Its position in the run's graph.
    pub position: usize,
    /// Its id.
    pub task_id: String,
    /// Its operator.
    pub op: String,
    /// Why it is there.
    pub cause: &'static str,
}

/// A run whose state or owner changes.
#[derive(Clone, Debug, Serialize)]
pub struct RunChange {
    /// The run.
    pub run: String,
    /// The fence that it must have.
    pub fence: i64,
    /// The fence that it gets: one more where it changes hands.
    pub new_fence: i64,
    /// The process at work on it; `None` where it ended or was left.
    pub owner: Option<String>,
    /// The name of its state.
    pub state: &'static str,
    /// Why, in words.
    pub cause: String,
    /// Whether it was told to end.
    pub cancel_requested: bool,
    /// When it was started; kept where it was before.
    #[serde(serialize_with = "optional_millis")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
}

/// A task whose state changes.
#[derive(Clone, Debug, Serialize)]
pub struct TaskChange {
    /// The run.
    pub run: String,
    /// The fence that the run must have.
    pub fence: i64,
    /// The task's position.
    pub position: usize,
    /// The name of its new state.
    pub state: &'static str,
    /// Why, in words.
    pub cause: String,
    /// When its delay ends.
    #[serde(serialize_with = "optional_millis")]
    pub delayed_until: Option<Timestamp>,
    /// How many attempts were started.
    pub attempts: u32,
    /// How many of them failed or timed out.
    pub failures: u32,
    /// How many crashed in a row.
    pub crashes: u32,
    /// How many were lost with their process in all.
    pub losses: u32,
    /// For people.
    pub message: Option<String>,
    /// The outcome as JSON, once it succeeded.
    pub outcome: Option<String>,
    /// When its first attempt started since it was last cleared.
    #[serde(serialize_with = "optional_millis")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
}

/// An attempt that starts.
#[derive(Clone, Debug, Serialize)]
pub struct NewAttempt {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// The run.
    pub run: String,
    /// The fence of the run.
    pub fence: i64,
    /// The task's position.
    pub position: usize,
    /// The task's id.
    pub task_id: String,
    /// Which try this is, from 1.
    pub number: u32,
    /// The process that watches over it.
    pub owner: String,
    /// When it starts.
    #[serde(serialize_with = "millis")]
    pub started_at: Timestamp,
    /// Its log, below the data folder.
    pub log: String,
}

/// An attempt that ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AttemptEnded {
    /// Its id.
    pub id: String,
    /// The name of its state.
    pub state: &'static str,
    /// When it ended.
    #[serde(serialize_with = "optional_millis")]
    pub ended_at: Option<Timestamp>,
    /// How long it ran.
    pub seconds: f64,
    /// Rows committed.
    pub rows_done: u64,
    /// Rows that came in.
    pub rows_in: Option<u64>,
    /// Rows that have a result.
    pub rows_out: Option<u64>,
    /// Results made.
    pub rows_computed: Option<u64>,
    /// Results that were there.
    pub rows_reused: Option<u64>,
    /// Bytes read from outside.
    pub bytes: Option<u64>,
    /// Rows that go no further by reason, as JSON.
    pub dropped: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Its stable code.
    pub error_code: Option<String>,
    /// The most memory that its processes held, in bytes.
    pub peak_bytes: Option<u64>,
}

/// Whether a run, or a task of it, is told to end.
#[derive(Clone, Debug, Serialize)]
pub struct CancelMark {
    /// The run.
    pub run: String,
    /// The fence that the run must have.
    pub fence: i64,
    /// The task's position; `None` for the run itself.
    pub position: Option<usize>,
    /// Whether it is; a process that takes the run on reads that first.
    pub requested: bool,
}

/// A change of state with its cause.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// The run.
    pub run: String,
    /// The task's position; `None` for the run itself.
    pub position: Option<usize>,
    /// The state that was left.
    pub from: &'static str,
    /// The state that came.
    pub to: &'static str,
    /// Why, in words.
    pub cause: String,
    /// When.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands references over"
)]
fn millis<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.as_millis())
}

#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
fn optional_millis<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(Timestamp::as_millis).serialize(serializer)
}
