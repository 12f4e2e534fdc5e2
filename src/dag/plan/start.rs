//! What starts: of all runs the highest priority first, then the oldest run.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{Effect, Planner};
use crate::{
    clock::Timestamp,
    dag::{
        Pools, Run, RunState, TaskState,
        run::{Place, Queue},
    },
};

/// The second half of [`plan`](super::plan()): starts what is ready in any of these runs, as far as
/// there are slots.
///
/// A task with a higher priority starts before one with a lower one, whatever runs they are of;
/// equal ones by the order of the runs, then by that of the pipeline file. Returns the effects for
/// each run. Costs the number of runs and of tasks that start, not the number of those that wait.
pub fn start<'a>(
    runs: impl IntoIterator<Item = &'a mut Run>,
    pools: &mut Pools,
    now: Timestamp,
) -> Vec<Vec<Effect>> {
    let mut runs: Vec<&mut Run> = runs.into_iter().collect();
    let mut effects = vec![Vec::new(); runs.len()];
    let mut first: BinaryHeap<Candidate> = BinaryHeap::new();
    for (nth, run) in runs.iter().enumerate() {
        if run.held || run.state != RunState::Running {
            continue;
        }
        for (queue, places) in &run.ready {
            if let Some(&place) = places.first()
                && pools.has_slot(queue.0.as_deref())
                && run.may_run(queue.1)
            {
                first.push(Candidate::new(nth, place, queue.clone()));
            }
        }
    }
    while pools.has_room()
        && let Some(candidate) = first.pop()
    {
        let (Reverse(nth), queue) = (candidate.run, candidate.queue);
        let run = &mut *runs[nth];
        if !pools.has_slot(queue.0.as_deref()) || !run.may_run(queue.1) {
            // Nothing more of this queue; what else is ready has candidates of its own.
            continue;
        }
        let next = |run: &Run| {
            run.ready
                .get(&queue)
                .and_then(|places| places.first().copied())
        };
        let Some((_, task)) = next(run) else {
            continue;
        };
        let mut planner = Planner::new(run, pools, now);
        planner.start(task);
        effects[nth].append(&mut planner.effects);
        if let Some(place) = next(run) {
            first.push(Candidate::new(nth, place, queue));
        }
    }
    effects
}

/// The first task of one of a run's queues; the greatest one starts next.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    priority: i32,
    run: Reverse<usize>,
    task: Reverse<usize>,
    queue: Queue,
}

impl Candidate {
    fn new(run: usize, (Reverse(priority), task): Place, queue: Queue) -> Self {
        Self {
            priority,
            run: Reverse(run),
            task: Reverse(task),
            queue,
        }
    }
}

impl Planner<'_> {
    fn start(&mut self, task: usize) {
        let graph = std::sync::Arc::clone(&self.run.graph);
        self.pools.take(graph.nodes()[task].pool.as_deref());
        let current = &mut self.run.tasks[task];
        current.attempts += 1;
        current.first_started.get_or_insert(self.now);
        self.shift(task, "a slot was free", TaskState::start);
        let attempt = self.run.tasks[task].attempts;
        self.effects.push(Effect::Start { task, attempt });
    }
}
