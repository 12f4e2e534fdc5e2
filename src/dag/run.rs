//! The state of one run: its graph, where each task stands, and what follows from both.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Graph, RunState, TaskState,
    trigger::{Setups, Upstream},
};
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
    /// How many attempts were lost with their process, whether they had committed or not.
    pub losses: u32,
    /// Whether the task was told to end, the run not.
    pub cancel_requested: bool,
    /// When its first attempt started, since it was last cleared.
    pub first_started: Option<Timestamp>,
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
    /// Whether it was told to end at once: no process is there to tidy up.
    pub(super) abandoned: bool,
    /// Whether nothing new may start: the process is about to end.
    pub(super) held: bool,
    // What follows from the tasks' states, kept so that one task's end costs its out-degree.
    pub(super) upstream: Vec<Upstream>,
    pub(super) ready: BTreeMap<Queue, BTreeSet<Place>>,
    /// Tasks that could start but for their expressions.
    pub(super) undecided: Vec<usize>,
    /// How many shards run of the mapped tasks that limit them.
    pub(super) active: BTreeMap<usize, usize>,
    pub(super) delayed: BTreeSet<(Timestamp, usize)>,
    pub(super) tally: Tally,
}

/// What limits a ready task: its pool, and the mapped task that it is a shard of.
pub(super) type Queue = (Option<String>, Option<usize>);

/// The place of a ready task in its queue: the highest priority first, then the order of the
/// pipeline file.
pub(super) type Place = (Reverse<i32>, usize);

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
        let mut run = Self {
            id: id.into(),
            state: RunState::Queued,
            cancelled,
            abandoned: false,
            held: false,
            upstream: Vec::new(),
            ready: BTreeMap::new(),
            undecided: Vec::new(),
            active: BTreeMap::new(),
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
        }
        run.tell_all();
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

    /// Whether it was told to end.
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
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
        let waiting = |(&(_, limited), queue): (&Queue, &BTreeSet<Place>)| {
            !queue.is_empty() && self.may_run(limited)
        };
        !self.held && self.ready.iter().any(waiting)
    }

    /// When the next delay is over.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.delayed.first().map(|&(until, _)| until)
    }

    /// Why a task that ends without success is cancelled; `None` where it was not told to end.
    pub(super) fn why_cancelled(&self, position: usize) -> Option<&'static str> {
        let asked = |position: usize| self.tasks[position].cancel_requested;
        if asked(position) || self.graph.parent(position).is_some_and(asked) {
            Some("the task was cancelled")
        } else if self.cancelled && !self.tidies_up(position) {
            Some("the run was cancelled")
        } else {
            None
        }
    }

    /// Puts a task's present state into the queues and counts.
    pub(super) fn note(&mut self, position: usize) {
        match &self.tasks[position].state {
            TaskState::Ready => {
                let place = (Reverse(self.graph.nodes()[position].priority), position);
                let queue = self.queue_of(position);
                self.ready.entry(queue).or_default().insert(place);
            }
            TaskState::Running => {
                self.tally.running += 1;
                if let Some(limited) = self.limited_by(position) {
                    *self.active.entry(limited).or_default() += 1;
                }
            }
            TaskState::Delayed { until } => {
                self.delayed.insert((*until, position));
            }
            TaskState::Cancelled => self.tally.cancelled += 1,
            TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Waiting
            | TaskState::Succeeded
            | TaskState::Skipped { .. } => {}
        }
        if self.fails_run(position) {
            self.tally.failed += 1;
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
                let place = (Reverse(self.graph.nodes()[position].priority), position);
                let queue = self.queue_of(position);
                if let Some(queue) = self.ready.get_mut(&queue) {
                    queue.remove(&place);
                }
            }
            TaskState::Running => {
                self.tally.running -= 1;
                if let Some(active) = self
                    .limited_by(position)
                    .and_then(|limited| self.active.get_mut(&limited))
                {
                    *active -= 1;
                }
            }
            TaskState::Delayed { until } => {
                self.delayed.remove(&(*until, position));
            }
            TaskState::Cancelled => self.tally.cancelled -= 1,
            TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Waiting
            | TaskState::Succeeded
            | TaskState::Skipped { .. } => {}
        }
        if self.fails_run(position) {
            self.tally.failed -= 1;
        }
    }

    /// Whether the run fails by the state of a task.
    fn fails_run(&self, position: usize) -> bool {
        let node = &self.graph.nodes()[position];
        match self.tasks[position].state {
            TaskState::Failed | TaskState::UpstreamFailed => !node.teardown || node.fails_run,
            TaskState::Cancelled => true,
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Delayed { .. }
            | TaskState::Succeeded
            | TaskState::Skipped { .. } => false,
        }
    }

    /// Whether a task runs although the run was cancelled: it tidies up what has begun.
    pub(super) fn tidies_up(&self, position: usize) -> bool {
        self.graph.nodes()[position].teardown && !self.abandoned && self.follows_work(position)
    }

    /// Whether something directly upstream of a teardown has begun. Where that is another teardown
    /// which has not, what lies upstream of that one counts.
    fn follows_work(&self, teardown: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![teardown];
        while let Some(position) = stack.pop() {
            for &above in self.graph.upstream(position) {
                // A mapped task begins with its shards.
                let mut parts = self.graph.shards(above).iter().chain([&above]);
                if parts.any(|&part| self.tasks[part].attempts > 0) {
                    return true;
                }
                if self.graph.nodes()[above].teardown && seen.insert(above) {
                    stack.push(above);
                }
            }
        }
        false
    }

    fn queue_of(&self, position: usize) -> Queue {
        let pool = self.graph.nodes()[position].pool.clone();
        (pool, self.limited_by(position))
    }

    /// The mapped task that limits how many of its shards run, of which this one is a shard.
    fn limited_by(&self, position: usize) -> Option<usize> {
        let parent = self.graph.parent(position)?;
        let map = self.graph.nodes()[parent].map.as_ref()?;
        map.max_active.is_some().then_some(parent)
    }

    /// Whether another shard of this mapped task may run; any task that is no shard may.
    pub(super) fn may_run(&self, limited: Option<usize>) -> bool {
        limited.is_none_or(|parent| {
            let map = self.graph.nodes()[parent].map.as_ref();
            let most = map.and_then(|map| map.max_active).unwrap_or(u32::MAX);
            let active = self.active.get(&parent).copied().unwrap_or(0);
            active < most.max(1) as usize
        })
    }

    /// Counts an ended task for those directly downstream.
    pub(super) fn tell_downstream(&mut self, position: usize) {
        let setup = self.graph.nodes()[position].setup;
        for &below in self.graph.downstream(position) {
            self.upstream[below].tell(&self.tasks[position].state, setup);
        }
    }

    /// Counts anew what every task knows of those directly upstream.
    pub(super) fn tell_all(&mut self) {
        self.upstream = (0..self.tasks.len())
            .map(|position| untold(&self.graph, position))
            .collect();
        for position in 0..self.tasks.len() {
            self.tell_downstream(position);
        }
    }

    /// The tasks that could start but for their expressions; each is told once, and the answer is
    /// [`Event::Decided`](super::Event::Decided).
    pub fn take_undecided(&mut self) -> Vec<usize> {
        let mut tasks = std::mem::take(&mut self.undecided);
        tasks.sort_unstable();
        tasks.dedup();
        // One may have been decided, or ended, since it was put here.
        tasks.retain(|&task| {
            self.tasks[task].state == TaskState::Waiting && self.graph.must_decide(task)
        });
        tasks
    }
}

/// What a task knows of those directly upstream before any has ended.
fn untold(graph: &Graph, position: usize) -> Upstream {
    let above = graph.upstream(position);
    let setups = above.iter().filter(|&&above| graph.nodes()[above].setup);
    Upstream {
        total: above.len(),
        setups: Setups {
            total: setups.count(),
            ..Setups::default()
        },
        ..Upstream::default()
    }
}
