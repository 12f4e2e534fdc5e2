//! The whole scheduling policy: what follows from what has happened.

mod end;

use std::{borrow::Cow, ops::Range, sync::Arc};

pub use decide::Decision;
pub use end::AttemptEnd;
pub use start::start;

use super::{Pools, Run, RunState, TaskState, state::InvalidTransition, trigger::Verdict};
use crate::clock::Timestamp;

/// Something that has happened to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The run begins, or goes on in a new process. No attempt is running.
    Started,
    /// Time has passed or another run has freed slots.
    Woken,
    /// An attempt ended.
    Ended {
        /// The task's position.
        task: usize,
        /// The attempt's number.
        attempt: u32,
        /// How it ended.
        end: AttemptEnd,
    },
    /// Somebody wants the run to end.
    CancelRequested,
    /// The run ends at once, its teardown tasks too: no process is at work on it.
    Abandoned,
    /// Somebody wants this task to end, and the run to go on without it.
    TaskCancelRequested {
        /// The task's position.
        task: usize,
    },
    /// Somebody wants these tasks to run again; none of them is running.
    Cleared {
        /// The tasks' positions.
        tasks: Vec<usize>,
        /// The mapped ones among them that are to be mapped anew.
        folded: Vec<usize>,
    },
    /// The expressions of a task that could start were evaluated.
    Decided {
        /// The task's position.
        task: usize,
        /// What they say.
        decision: Decision,
    },
    /// The process is about to end: nothing new may start.
    Held,
}

/// What must be done, in this order; all effects of one plan are made durable together before
/// the first is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A task changes its state.
    Move {
        /// The task's position.
        task: usize,
        /// The name of the state that it leaves.
        from: &'static str,
        /// The state that it gets.
        to: TaskState,
        /// Why, for people.
        cause: Cow<'static, str>,
    },
    /// An attempt is to be started.
    Start {
        /// The task's position.
        task: usize,
        /// The attempt's number, from 1.
        attempt: u32,
    },
    /// A running attempt is to be stopped.
    Stop {
        /// The task's position.
        task: usize,
        /// The attempt's number.
        attempt: u32,
    },
    /// The run's graph has changed, because a mapped task has other shards.
    Mapped {
        /// The positions of the tasks that are new.
        added: Range<usize>,
    },
    /// The run has ended.
    Finish {
        /// How.
        state: RunState,
    },
}

/// Applies a batch of events to a run and says what must be done about them.
///
/// Depends on its arguments alone: no clock, no randomness (jitter comes from a hash of run, task
/// and attempt), no IO. The run and the pools are left as they are once the effects are durable.
/// An event that does not fit any more (the end of an attempt that is not running) has no effect.
/// One task's end costs its number of downstream tasks, not the size of the graph.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use trendmill::clock::Timestamp;
/// use trendmill::dag::{Effect, Event, Graph, Pools, Run, RunState, plan};
///
/// let mut run = Run::new("r1", Arc::new(Graph::new(Vec::new())?));
/// let now = Timestamp::from_millis(0);
/// let effects = plan(&mut run, &mut Pools::default(), [Event::Started], now);
/// assert_eq!(effects, [Effect::Finish { state: RunState::Succeeded }]);
/// # Ok::<_, trendmill::dag::GraphError>(())
/// ```
pub fn plan(
    run: &mut Run,
    pools: &mut Pools,
    events: impl IntoIterator<Item = Event>,
    now: Timestamp,
) -> Vec<Effect> {
    let mut effects = settle(run, pools, events, now);
    effects.extend(start([run], pools, now).remove(0));
    effects
}

/// The first half of [`plan`]: what follows from the events, without starting anything.
///
/// Where several runs share pools, all of them settle before the oldest is the first to start.
pub fn settle(
    run: &mut Run,
    pools: &mut Pools,
    events: impl IntoIterator<Item = Event>,
    now: Timestamp,
) -> Vec<Effect> {
    let mut planner = Planner::new(run, pools, now);
    for event in events {
        planner.handle(event);
        planner.spread();
    }
    planner.wake();
    planner.finish();
    planner.effects
}

struct Planner<'a> {
    run: &'a mut Run,
    pools: &'a mut Pools,
    now: Timestamp,
    effects: Vec<Effect>,
    /// Tasks whose end those downstream have not been told of; a list instead of recursion,
    /// because a chain can be longer than the stack is deep.
    ended: Vec<usize>,
    /// Whether the death of the process that watched over all attempts was counted.
    owner_loss_counted: bool,
}

impl<'a> Planner<'a> {
    fn new(run: &'a mut Run, pools: &'a mut Pools, now: Timestamp) -> Self {
        Self {
            run,
            pools,
            now,
            effects: Vec::new(),
            ended: Vec::new(),
            owner_loss_counted: false,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Started => self.begin(),
            Event::Woken => {}
            Event::Ended { task, attempt, end } => self.end(task, attempt, end),
            Event::CancelRequested => self.cancel(),
            Event::Abandoned => {
                self.run.abandoned = true;
                self.cancel();
            }
            Event::TaskCancelRequested { task } => self.cancel_task(task),
            Event::Cleared { tasks, folded } => self.clear(&tasks, &folded),
            Event::Decided { task, decision } => self.decide(task, decision),
            Event::Held => self.run.held = true,
        }
    }

    fn begin(&mut self) {
        self.run.state = RunState::Running;
        self.run.held = false;
        if self.run.cancelled {
            self.cancel();
        }
        let graph = Arc::clone(&self.run.graph);
        for &task in graph.order() {
            if self.run.tasks[task].cancel_requested {
                self.cancel_task(task);
            }
            self.judge(task);
            self.spread();
        }
    }

    /// Makes ready what was delayed until now.
    fn wake(&mut self) {
        while let Some(&(until, task)) = self.run.delayed.first()
            && until <= self.now
        {
            self.shift(task, "the delay is over", TaskState::make_ready);
        }
    }

    fn finish(&mut self) {
        let tally = self.run.tally;
        if tally.unfinished > 0 || self.run.state.is_final() {
            return;
        }
        self.run.state = if self.run.cancelled && tally.cancelled > 0 {
            RunState::Cancelled
        } else if tally.failed + tally.cancelled > 0 {
            RunState::Failed
        } else {
            RunState::Succeeded
        };
        self.effects.push(Effect::Finish {
            state: self.run.state,
        });
    }

    /// Moves a task to its next state.
    fn shift(
        &mut self,
        task: usize,
        cause: impl Into<Cow<'static, str>>,
        next: impl FnOnce(TaskState) -> Result<TaskState, InvalidTransition>,
    ) {
        self.run.forget(task);
        let state = std::mem::take(&mut self.run.tasks[task].state);
        let from = state.name();
        let to = next(state).expect("the planner looks at the state before it moves a task");
        self.run.tasks[task].state = to.clone();
        self.run.note(task);
        if to.is_final() {
            self.ended.push(task);
        }
        self.effects.push(Effect::Move {
            task,
            from,
            to,
            cause: cause.into(),
        });
    }

    /// Tells those downstream of every task that has ended, and judges them.
    fn spread(&mut self) {
        let graph = Arc::clone(&self.run.graph);
        while let Some(task) = self.ended.pop() {
            self.run.tell_downstream(task);
            for &below in graph.downstream(task) {
                self.judge(below);
            }
        }
    }

    /// Applies the trigger rule of a task, if it waits.
    fn judge(&mut self, task: usize) {
        if self.run.tasks[task].state != TaskState::Waiting {
            return;
        }
        let node = &self.run.graph.nodes()[task];
        if node.is_expanded() {
            self.join(task);
            return;
        }
        if (self.run.cancelled && !self.run.tidies_up(task)) || self.run.graph.is_dormant(task) {
            return;
        }
        match node.trigger.verdict(self.run.upstream[task]) {
            Verdict::Wait => {}
            Verdict::Start if self.run.graph.must_decide(task) => self.run.undecided.push(task),
            Verdict::Start => self.shift(task, "its upstream allows it", TaskState::make_ready),
            Verdict::Skip => {
                let (cause, reason) = self.why_skipped(task);
                self.shift(task, cause, |state| state.skip(reason));
            }
            Verdict::Fail => self.shift(task, "a task upstream failed", TaskState::fail_upstream),
        }
    }

    /// Why a task is skipped, and the reason of the first skipped task directly upstream, passed on
    /// as it is.
    fn why_skipped(&self, task: usize) -> (&'static str, String) {
        let graph = &self.run.graph;
        let rule = graph.nodes()[task].trigger;
        let cause = rule.why_skipped();
        if !rule.passes_skips_on() {
            return (cause, cause.to_owned());
        }
        let reason = graph
            .upstream(task)
            .iter()
            .find_map(|&above| match &self.run.tasks[above].state {
                TaskState::Skipped { reason } => Some(reason.clone()),
                TaskState::Waiting
                | TaskState::Ready
                | TaskState::Running
                | TaskState::Delayed { .. }
                | TaskState::Succeeded
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Cancelled => None,
            })
            .unwrap_or_default();
        (cause, reason)
    }
}

mod control;
mod losses;
mod decide;
mod start;
#[cfg(test)]
mod tests;
