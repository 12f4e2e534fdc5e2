//! Promises that hold in whatever order attempts end, on random graphs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::dag::{Graph, Mapping, NewShard};

/// A random graph: each task lies downstream of some before it.
pub(super) fn graphs() -> impl Strategy<Value = Graph> {
    let task = (
        proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        proptest::sample::select(TriggerRule::ALL.to_vec()),
        proptest::option::of(proptest::sample::select(vec!["one", "two"])),
        0_u32..3,
        -1_i32..2,
        0_u8..8,
    );
    proptest::collection::vec(task, 1..12).prop_map(|tasks| {
        let nodes = tasks
            .into_iter()
            .enumerate()
            .map(
                |(position, (after, trigger, pool, retries, priority, kind))| {
                    let mut node = node(&format!("t{position}"), &[]);
                    if position > 0 {
                        let above: BTreeSet<usize> =
                            after.iter().map(|index| index.index(position)).collect();
                        node.after = above.iter().map(|above| format!("t{above}")).collect();
                    }
                    node.trigger = trigger;
                    node.pool = pool.map(str::to_owned);
                    node.retry.retries = retries;
                    // Whose loss is one too many for the run depends on the order.
                    node.retry.max_run_crashes = u32::MAX;
                    node.priority = priority;
                    match kind {
                        0 => node.setup = true,
                        1 => node.teardown = true,
                        2 => node.when = Some("false".to_owned()),
                        3 => {
                            node.map = Some(Mapping {
                                max_active: Some(2),
                                ..Mapping::default()
                            });
                        }
                        _ => {}
                    }
                    node
                },
            )
            .collect();
        Graph::new(nodes).unwrap()
    })
}

fn ends() -> impl Strategy<Value = AttemptEnd> {
    prop_oneof![
        4 => Just(AttemptEnd::Succeeded),
        1 => Just(AttemptEnd::Skipped { reason: "no rows".to_owned() }),
        2 => Just(AttemptEnd::Retry),
        1 => Just(AttemptEnd::Failed),
        1 => Just(AttemptEnd::TimedOut),
        1 => Just(AttemptEnd::Deferred { until: at(1), reason: "it waits".to_owned() }),
        1 => any::<bool>().prop_map(|progressed| AttemptEnd::Crashed { progressed }),
        1 => any::<bool>().prop_map(|progressed| AttemptEnd::Lost { progressed }),
        1 => Just(AttemptEnd::Stopped),
    ]
}

/// A task whose expression is `false` is skipped; a mapped one gets three shards.
pub(super) fn decided(run: &Run, task: usize) -> Event {
    let decision = if run.graph.nodes()[task].when.is_some() {
        Decision::Skip {
            reason: "when: false".to_owned(),
        }
    } else {
        let shard = NewShard {
            item: serde_json::Value::Null,
            settings: serde_json::Map::new(),
        };
        Decision::Expand {
            shards: vec![shard; 3],
        }
    };
    Event::Decided { task, decision }
}

/// Plays a run to its end; `choice` picks which running attempt ends next, and how. Returns how
/// each task ended.
fn play(
    graph: &Arc<Graph>,
    mut choose: impl FnMut(&BTreeMap<usize, u32>, &Graph) -> (usize, AttemptEnd),
    cancel_at: Option<usize>,
) -> (RunState, BTreeMap<String, TaskState>) {
    let limits = BTreeMap::from([("one".to_owned(), 1), ("two".to_owned(), 2)]);
    let mut pools = Pools::new(5, limits);
    let mut run = Run::new("r", Arc::clone(graph));
    let mut running: BTreeMap<usize, u32> = BTreeMap::new();
    let mut now = at(0);
    let mut event = Event::Started;
    for turn in 0..10_000 {
        let mut effects = settle(&mut run, &mut pools, [event], now);
        loop {
            let undecided = run.take_undecided();
            if undecided.is_empty() {
                break;
            }
            let decided: Vec<Event> = undecided.iter().map(|&task| decided(&run, task)).collect();
            effects.extend(settle(&mut run, &mut pools, decided, now));
        }
        effects.extend(start([&mut run], &mut pools, now).remove(0));
        for effect in effects {
            match effect {
                Effect::Start { task, attempt } => {
                    assert_eq!(running.insert(task, attempt), None, "two attempts at once");
                    assert_eq!(run.tasks[task].attempts, attempt);
                    let node = &run.graph.nodes()[task];
                    let verdict = node.trigger.verdict(run.upstream[task]);
                    assert_eq!(verdict, Verdict::Start, "started before its rule held");
                    let siblings = running.keys().filter(|&&other| {
                        node.shard.is_some() && run.graph.parent(other) == run.graph.parent(task)
                    });
                    assert!(siblings.count() <= 2, "too many shards at once");
                }
                Effect::Stop { task, attempt } => assert_eq!(running.get(&task), Some(&attempt)),
                Effect::Finish { state } => {
                    assert!(running.is_empty());
                    let ids = run.graph.nodes().iter().map(|node| node.id.clone());
                    let states = run.tasks.iter().map(|task| task.state.clone());
                    return (state, ids.zip(states).collect());
                }
                Effect::Move { .. } | Effect::Mapped { .. } => {}
            }
        }
        assert_eq!(pools.running(), running.len());
        assert!(pools.running() <= 5 && pools.taken("one") <= 1 && pools.taken("two") <= 2);
        event = if cancel_at == Some(turn) {
            Event::CancelRequested
        } else if running.is_empty() {
            now = run
                .next_due()
                .expect("nothing runs, so something waits for the time");
            Event::Woken
        } else {
            let (task, end) = choose(&running, &run.graph);
            let attempt = running.remove(&task).unwrap();
            Event::Ended { task, attempt, end }
        };
    }
    panic!("the run never ended");
}

proptest! {
    #[test]
    fn any_order_ends_and_keeps_the_rules(
        graph in graphs(),
        choices in proptest::collection::vec((any::<prop::sample::Index>(), ends()), 1..60),
        cancel_at in proptest::option::of(0_usize..20),
    ) {
        let graph = Arc::new(graph);
        let mut next = choices.into_iter();
        let (state, states) = play(&graph, |running, _| {
            let (nth, end) = next.next().map_or((0, AttemptEnd::Succeeded), |(which, end)| {
                (which.index(running.len()), end)
            });
            (*running.keys().nth(nth).unwrap(), end)
        }, cancel_at);
        let tidy = |id: &str| graph.position(id).is_some_and(|at| graph.nodes()[at].teardown);
        let any = |wanted: &[&str]| {
            let counted = states.iter().filter(|(id, _)| !tidy(id));
            counted.into_iter().any(|(_, state)| wanted.contains(&state.name()))
        };
        prop_assert!(states.values().all(TaskState::is_final));
        prop_assert!(cancel_at.is_some() || state != RunState::Cancelled);
        let cancelled = states.values().any(|state| *state == TaskState::Cancelled);
        prop_assert!(state != RunState::Cancelled || cancelled);
        if cancel_at.is_none() && state != RunState::Cancelled {
            prop_assert_eq!(state == RunState::Failed, any(&["failed", "upstream_failed"]));
        }
    }

    #[test]
    fn the_order_of_ends_does_not_change_the_outcome(
        graph in graphs(),
        plan_of_ends in proptest::collection::vec(ends(), 12),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let graph = Arc::new(graph);
        // How an attempt ends depends on its task alone; which one ends next does not.
        let end_of = |id: &str, attempt: u32| if attempt > 4 {
            AttemptEnd::Succeeded
        } else {
            let sum: usize = id.bytes().map(usize::from).sum();
            plan_of_ends[sum % plan_of_ends.len()].clone()
        };
        let first = play(&graph, |running, graph| {
            let (&task, &attempt) = running.iter().next().unwrap();
            (task, end_of(&graph.nodes()[task].id, attempt))
        }, None);
        let mut order = order.into_iter();
        let second = play(&graph, |running, graph| {
            let which = order.next().map_or(0, |index| index.index(running.len()));
            let (&task, &attempt) = running.iter().nth(which).unwrap();
            (task, end_of(&graph.nodes()[task].id, attempt))
        }, None);
        let names = |(state, states): &(RunState, BTreeMap<String, TaskState>)| {
            let named = states.iter().map(|(id, state)| (id.clone(), state.name()));
            (*state, named.collect::<Vec<_>>())
        };
        prop_assert_eq!(names(&first), names(&second));
    }
}
