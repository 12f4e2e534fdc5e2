//! The planner against a model that knows nothing of counts, queues and effects: random lives of
//! runs with failures, waits, crashes, restarts, cancellations, clearings and mapped tasks.

use std::{collections::BTreeMap, sync::Arc};

use proptest::{prelude::*, sample::Index};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::{
    AttemptEnd, Decision, Event, at,
    model::{End, Model, RETRIES, shards_of},
    node,
    orders::graphs,
    settle, start,
};
use crate::dag::{Graph, NewShard, Node, Pools, Run, RunState, TaskState};

/// Something that happens in the life of a run.
#[derive(Clone, Debug)]
pub(super) enum Step {
    End(Index, End),
    Cancel,
    CancelTask(Index),
    Clear(Vec<Index>),
    Crash,
    TimePasses,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        graphs()
            .prop_map(|graph| {
                let mut nodes: Vec<Node> = graph.into();
                for node in &mut nodes {
                    // Slots have tests of their own.
                    node.pool = None;
                    node.retry.retries = RETRIES;
                    node.retry.crash_retries = u32::MAX;
                    node.retry.max_run_crashes = u32::MAX;
                    if let Some(map) = &mut node.map {
                        map.max_active = None;
                    }
                }
                Self::new(Graph::new(nodes).unwrap())
            })
            .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let clear = proptest::collection::vec(any::<Index>(), 1..4).prop_map(Step::Clear);
        if !state.is_running() {
            return clear.boxed();
        }
        let ends = prop_oneof![
            4 => Just(End::Succeeded),
            1 => Just(End::Skipped),
            2 => Just(End::Retry),
            1 => Just(End::Failed),
            1 => Just(End::Deferred),
            1 => Just(End::Stopped),
        ];
        let often = if state.running().is_empty() {
            Just(Step::TimePasses).boxed()
        } else {
            let end = |(which, end)| Step::End(which, end);
            (any::<Index>(), ends).prop_map(end).boxed()
        };
        prop_oneof![
            12 => often,
            1 => Just(Step::Cancel),
            1 => any::<Index>().prop_map(Step::CancelTask),
            2 => clear,
            1 => Just(Step::Crash),
            3 => Just(Step::TimePasses),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, step: &Step) -> bool {
        match step {
            Step::End(..) => !state.running().is_empty(),
            Step::Clear(picks) => state.clearing(picks).is_some(),
            Step::Cancel | Step::CancelTask(_) | Step::Crash | Step::TimePasses => {
                state.is_running()
            }
        }
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        match step {
            Step::End(which, end) => {
                let running = state.running();
                state.end(which.get::<String>(&running), *end);
            }
            Step::Cancel => {
                state.cancelled = true;
                let ids: Vec<String> = state.tasks.keys().cloned().collect();
                for id in ids {
                    let idle = state.is(&id, &["waiting", "ready", "delayed"]);
                    if idle && !state.tidies_up(&id) && !state.mapped.contains_key(&id) {
                        state.set(&id, "cancelled");
                    }
                }
            }
            Step::CancelTask(which) => {
                let ids: Vec<String> = state.tasks.keys().cloned().collect();
                state.cancel_task(which.get::<String>(&ids));
            }
            Step::Clear(picks) => {
                let chosen = state.clearing(picks).unwrap();
                for id in &chosen {
                    for shard in state.shards(id) {
                        state.set(&shard, "skipped");
                        state.tasks.get_mut(&shard).unwrap().told = false;
                    }
                    state.mapped.remove(id);
                    let task = state.tasks.get_mut(id).unwrap();
                    (task.state, task.failures, task.told) = ("waiting", 0, false);
                }
                state.cancelled = false;
            }
            Step::Crash => {
                for id in state.running() {
                    state.end(&id, End::Stopped);
                }
                state.wake();
            }
            Step::TimePasses => state.wake(),
        }
        state.settle();
        state
    }
}

/// The planner, as the dispatcher drives it.
struct Machine {
    run: Run,
    pools: Pools,
    now: i64,
    expansions: BTreeMap<usize, u32>,
}

impl Machine {
    fn plan(&mut self, events: Vec<Event>) {
        let now = at(self.now);
        settle(&mut self.run, &mut self.pools, events, now);
        loop {
            let undecided = self.run.take_undecided();
            if undecided.is_empty() {
                break;
            }
            let decided: Vec<Event> = undecided
                .into_iter()
                .map(|task| Event::Decided {
                    task,
                    decision: self.decision(task),
                })
                .collect();
            settle(&mut self.run, &mut self.pools, decided, now);
        }
        start([&mut self.run], &mut self.pools, now);
    }

    fn decision(&mut self, task: usize) -> Decision {
        if self.run.graph.nodes()[task].when.is_some() {
            return Decision::Skip {
                reason: "when: false".to_owned(),
            };
        }
        let shard = NewShard {
            item: serde_json::Value::Null,
            settings: serde_json::Map::new(),
        };
        let count = shards_of(self.expansions.entry(task).or_default());
        Decision::Expand {
            shards: vec![shard; count],
        }
    }

    fn position(&self, id: &str) -> usize {
        self.run.graph.position(id).unwrap()
    }

    fn end(&mut self, id: &str, end: AttemptEnd) -> Event {
        let task = self.position(id);
        let attempt = self.run.tasks[task].attempts;
        Event::Ended { task, attempt, end }
    }

    /// A new process reads what the last one has written.
    fn restart(&mut self) {
        self.pools = Pools::default();
        let old = &self.run;
        let state = old.state;
        let graph = serde_json::to_string(&*old.graph).unwrap();
        let graph = Arc::new(serde_json::from_str(&graph).unwrap());
        let (tasks, cancelled) = (old.tasks.clone(), old.cancelled);
        self.run = Run::restore("r", graph, tasks, cancelled);
        assert!(!state.is_final());
    }
}

struct Planner;

impl StateMachineTest for Planner {
    type SystemUnderTest = (Machine, Model);
    type Reference = Model;

    fn init_test(model: &Model) -> (Machine, Model) {
        let mut machine = Machine {
            run: Run::new("r", Arc::clone(&model.graph)),
            pools: Pools::default(),
            now: 0,
            expansions: BTreeMap::new(),
        };
        machine.plan(vec![Event::Started]);
        (machine, model.clone())
    }

    fn apply(
        (mut machine, before): (Machine, Model),
        model: &Model,
        step: Step,
    ) -> (Machine, Model) {
        let events = match step {
            Step::End(which, end) => {
                let running = before.running();
                let id = which.get::<String>(&running);
                let end = match end {
                    End::Succeeded => AttemptEnd::Succeeded,
                    End::Skipped => AttemptEnd::Skipped {
                        reason: "no rows".to_owned(),
                    },
                    End::Retry => AttemptEnd::Retry,
                    End::Failed => AttemptEnd::Failed,
                    End::Deferred => AttemptEnd::Deferred {
                        until: at(machine.now + 60),
                        reason: "it waits".to_owned(),
                    },
                    End::Stopped => AttemptEnd::Crashed { progressed: false },
                };
                vec![machine.end(id, end)]
            }
            Step::Cancel => vec![Event::CancelRequested],
            Step::CancelTask(which) => {
                let ids: Vec<String> = before.tasks.keys().cloned().collect();
                let task = machine.position(which.get::<String>(&ids));
                vec![Event::TaskCancelRequested { task }]
            }
            Step::Clear(picks) => {
                let chosen = before.clearing(&picks).unwrap();
                let tasks: Vec<usize> = chosen.iter().map(|id| machine.position(id)).collect();
                let expanded = |task: &usize| machine.run.graph.nodes()[*task].is_expanded();
                let folded = tasks.iter().copied().filter(expanded).collect();
                if machine.run.state.is_final() {
                    machine.run.state = RunState::Running;
                }
                vec![Event::Cleared { tasks, folded }]
            }
            Step::Crash => {
                let lost: Vec<Event> = before
                    .running()
                    .iter()
                    .map(|id| machine.end(id, AttemptEnd::Lost { progressed: true }))
                    .collect();
                machine.now += 3600;
                machine.restart();
                settle(
                    &mut machine.run,
                    &mut Pools::default(),
                    lost,
                    at(machine.now),
                );
                if !machine.run.state.is_final() {
                    machine.restart();
                    machine.plan(vec![Event::Started]);
                }
                Vec::new()
            }
            Step::TimePasses => {
                machine.now += 3600;
                vec![Event::Woken]
            }
        };
        if !events.is_empty() {
            machine.plan(events);
        }
        (machine, model.clone())
    }

    fn check_invariants((machine, _): &(Machine, Model), model: &Model) {
        let run = &machine.run;
        for (node, task) in run.graph.nodes().iter().zip(&run.tasks) {
            let known = &model.tasks[&node.id];
            assert_eq!(task.state.name(), known.state, "state of `{}`", node.id);
            assert_eq!(task.attempts, known.attempts, "attempts of `{}`", node.id);
        }
        assert_eq!(run.tasks.len(), model.tasks.len());
        assert_eq!(run.state, model.outcome());
        let running = run
            .tasks
            .iter()
            .filter(|task| task.state == TaskState::Running);
        assert_eq!(running.count(), machine.pools.running());
        assert_eq!(run.running(), machine.pools.running());
    }
}

prop_state_machine! {
    // What is cleared is refused while it runs, which is often.
    #![proptest_config(ProptestConfig {
        max_local_rejects: 10_000_000,
        ..ProptestConfig::with_cases(256)
    })]

    #[test]
    fn the_planner_does_what_the_model_does(sequential 1..40 => Planner);
}

#[test]
fn the_model_knows_the_simplest_run() {
    let mut model = Model::new(Graph::new(vec![node("a", &[]), node("b", &["a"])]).unwrap());
    assert_eq!((model.state("a"), model.state("b")), ("running", "waiting"));
    model.end("a", End::Succeeded);
    model.settle();
    assert_eq!(
        (model.state("a"), model.state("b")),
        ("succeeded", "running")
    );
}
