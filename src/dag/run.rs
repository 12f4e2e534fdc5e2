//! The state of one run: its graph, where each task stands, and what follows from both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Graph, RunState, TaskState, trigger::Upstream};
use crate::clock::Timestamp;

/// Where one task of a run stands, and how often it was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRun {
    /// Its state.
    pub state: TaskState,
    /// How many attempts were started; the number of the last one.
    pub attempts: u32,
    /// How many attempts failed or timed out.
    pub failures: u32,
    /// How many attempts in a row crashed without having committed anything.
    pub crashes: u32,
    /// Whether the task was told to end, the run not.
    pub cancel_requested: bool,
}

/// The state of one run; [`plan`](super::plan()) is the only way to change it.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) id: String,
    pub(super) graph: Arc<Graph>,
    pub(super) state: RunState,
    pub(super) tasks: Vec<TaskRun>,
    /// Whether the run was told to end.
    pub(super) cancelled: bool,
    /// Whether nothing new may start: the process is about to end.
    pub(super) held: bool,
    // What follows from the tasks' states, kept so that one task's end costs its out-degree.
    pub(super) upstream: Vec<Upstream>,
    pub(super) ready: BTreeMap<Option<String>, BTreeSet<usize>>,
    pub(super) delayed: BTreeSet<(Timestamp, usize)>,
    pub(super) tally: Tally,
}

/// How many tasks are in the states that decide how the run ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) unfinished: usize,
    pub(super) running: usize,
    pub(super) failed: usize,
    pub(super) cancelled: usize,
}

impl Run {
    /// A run in which no task has started.
    pub fn new(id: impl Into<String>, graph: Arc<Graph>) -> Self {
        let tasks = vec![TaskRun::default(); graph.nodes().len()];
        Self::restore(id, graph, tasks, false)
    }

    /// A run whose tasks stand as the store says, by position; `cancelled` if it was told to end.
    ///
    /// # Panics
    ///
    /// Where the number of tasks is not that of the graph.
    pub fn restore(
        id: impl Into<String>,
        graph: Arc<Graph>,
        tasks: Vec<TaskRun>,
        cancelled: bool,
    ) -> Self {
        assert_eq!(tasks.len(), graph.nodes().len(), "one state per task");
        let upstream = (0..tasks.len())
            .map(|position| Upstream {
                total: graph.upstream(position).len(),
                ..Upstream::default()
            })
            .collect();
        let mut run = Self {
            id: id.into(),
            state: RunState::Queued,
            cancelled,
            held: false,
            upstream,
            ready: BTreeMap::new(),
            delayed: BTreeSet::new(),
            tally: Tally {
                unfinished: tasks.len(),
                ..Tally::default()
            },
            tasks,
            graph,
        };
        for position in 0..run.tasks.len() {
            run.note(position);
            if run.tasks[position].state.is_final() {
                run.tell_downstream(position);
            }
        }
        run
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The run's tasks and what lies upstream of what.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Where the run stands.
    pub fn state(&self) -> RunState {
        self.state
    }

    /// Where each task stands, by position.
    pub fn tasks(&self) -> &[TaskRun] {
        &self.tasks
    }

    /// How many attempts are running.
    pub fn running(&self) -> usize {
        self.tally.running
    }

    /// Whether a task waits for a slot only.
    pub fn has_ready(&self) -> bool {
        !self.held && self.ready.values().any(|queue| !queue.is_empty())
    }

    /// When the next delay is over.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.delayed.first().map(|&(until, _)| until)
    }

    /// Why a task that ends without success is cancelled; `None` where it was not told to end.
    pub(super) fn why_cancelled(&self, position: usize) -> Option<&'static str> {
        if self.tasks[position].cancel_requested {
            Some("the task was cancelled")
        } else if self.cancelled {
            Some("the run was cancelled")
        } else {
            None
        }
    }

    /// Puts a task's present state into the queues and counts.
    pub(super) fn note(&mut self, position: usize) {
        match &self.tasks[position].state {
            TaskState::Ready => {
                let pool = self.graph.nodes()[position].pool.clone();
                self.ready.entry(pool).or_default().insert(position);
            }
            TaskState::Running => self.tally.running += 1,
            TaskState::Delayed { until } => {
                self.delayed.insert((*until, position));
            }
            TaskState::Failed | TaskState::UpstreamFailed => self.tally.failed += 1,
            TaskState::Cancelled => self.tally.cancelled += 1,
            TaskState::Waiting | TaskState::Succeeded | TaskState::Skipped { .. } => {}
        }
        if self.tasks[position].state.is_final() {
            self.tally.unfinished -= 1;
        }
    }

    /// Takes a task's present state, which it is about to leave, out of the queues and counts.
    pub(super) fn forget(&mut self, position: usize) {
        if self.tasks[position].state.is_final() {
            self.tally.unfinished += 1;
        }
        match &self.tasks[position].state {
            TaskState::Ready => {
                let pool = &self.graph.nodes()[position].pool;
                if let Some(queue) = self.ready.get_mut(pool) {
                    queue.remove(&position);
                }
            }
            TaskState::Running => self.tally.running -= 1,
            TaskState::Delayed { until } => {
                self.delayed.remove(&(*until, position));
            }
            TaskState::Failed | TaskState::UpstreamFailed => self.tally.failed -= 1,
            TaskState::Cancelled => self.tally.cancelled -= 1,
            TaskState::Waiting | TaskState::Succeeded | TaskState::Skipped { .. } => {}
        }
    }

    /// Counts an ended task for those directly downstream.
    pub(super) fn tell_downstream(&mut self, position: usize) {
        for &below in self.graph.downstream(position) {
            if let Some(count) = self.upstream[below].count(&self.tasks[position].state) {
                *count += 1;
            }
        }
    }

    /// Takes back what those directly downstream were told of a task that is about to be cleared.
    pub(super) fn untell_downstream(&mut self, position: usize) {
        for &below in self.graph.downstream(position) {
            if let Some(count) = self.upstream[below].count(&self.tasks[position].state) {
                *count -= 1;
            }
        }
    }
}
