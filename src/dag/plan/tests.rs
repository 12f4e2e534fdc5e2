//! The policy as a table, and its promises under any order of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;

use super::*;
use crate::dag::{Graph, Mapping, NewShard, Node, RetryPolicy, TaskRun, TriggerRule};

pub(super) fn node(id: &str, after: &[&str]) -> Node {
    Node {
        id: id.to_owned(),
        op: "noop".to_owned(),
        after: after.iter().map(|&name| name.to_owned()).collect(),
        trigger: TriggerRule::AllSuccess,
        retry: RetryPolicy {
            retries: 1,
            delay: Duration::from_secs(8),
            crash_retries: 1,
            ..RetryPolicy::default()
        },
        ..Node::default()
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// One line: what the effects say, without causes.
fn line(effects: &[Effect], graph: &Graph) -> String {
    let name = |task: &usize| graph.nodes()[*task].id.as_str();
    let words = effects.iter().map(|effect| match effect {
        Effect::Move { task, to, .. } => match to {
            // The exact pause is jittered; the test of `RetryPolicy` looks at it.
            TaskState::Delayed { until } if *until > at(101) => format!("{}: retry", name(task)),
            TaskState::Waiting
            | TaskState::Ready
            | TaskState::Running
            | TaskState::Delayed { .. }
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped { .. }
            | TaskState::Cancelled => format!("{}: {to}", name(task)),
        },
        Effect::Start { task, attempt } => format!("start {}.{attempt}", name(task)),
        Effect::Stop { task, attempt } => format!("stop {}.{attempt}", name(task)),
        Effect::Mapped { added } => format!("{} new", added.len()),
        Effect::Finish { state } => format!("run {state}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Every state of the task `a` (with `b` downstream) under every event.
#[test]
fn table_of_states_and_events() {
    let end = |end| Event::Ended {
        task: 0,
        attempt: 1,
        end,
    };
    let events = [
        ("started", Event::Started),
        ("woken", Event::Woken),
        ("succeeded", end(AttemptEnd::Succeeded)),
        (
            "skipped",
            end(AttemptEnd::Skipped {
                reason: "no rows".to_owned(),
            }),
        ),
        (
            "deferred",
            end(AttemptEnd::Deferred {
                until: at(500),
                reason: "it waits".to_owned(),
            }),
        ),
        ("retry", end(AttemptEnd::Retry)),
        ("failed", end(AttemptEnd::Failed)),
        ("timed out", end(AttemptEnd::TimedOut)),
        ("crashed", end(AttemptEnd::Crashed { progressed: false })),
        ("lost", end(AttemptEnd::Lost { progressed: true })),
        ("stopped", end(AttemptEnd::Stopped)),
        ("cancel", Event::CancelRequested),
        ("cancel task", Event::TaskCancelRequested { task: 0 }),
        (
            "cleared",
            Event::Cleared {
                tasks: vec![0],
                folded: Vec::new(),
            },
        ),
        ("abandoned", Event::Abandoned),
        ("held", Event::Held),
    ];
    let states = [
        TaskState::Waiting,
        TaskState::Ready,
        TaskState::Running,
        TaskState::Delayed { until: at(100) },
        TaskState::Delayed { until: at(1000) },
        TaskState::Succeeded,
        TaskState::Failed,
        TaskState::UpstreamFailed,
        TaskState::Skipped {
            reason: "no rows".to_owned(),
        },
        TaskState::Cancelled,
    ];
    let graph = Arc::new(Graph::new(vec![node("a", &[]), node("b", &["a"])]).unwrap());
    let mut table = String::new();
    for exhausted in [false, true] {
        for state in &states {
            if exhausted && *state != TaskState::Running {
                continue;
            }
            let counts = u32::from(exhausted);
            writeln!(
                table,
                "{state}{}",
                if exhausted { ", no retry left" } else { "" }
            )
            .unwrap();
            for (name, event) in &events {
                let a = TaskRun {
                    state: state.clone(),
                    attempts: 1,
                    failures: counts,
                    crashes: counts,
                    ..TaskRun::default()
                };
                let tasks = vec![a, TaskRun::default()];
                let mut run = Run::restore("r", Arc::clone(&graph), tasks, false);
                run.state = RunState::Running;
                let mut pools = Pools::default();
                let effects = plan(&mut run, &mut pools, [event.clone()], at(100));
                let row = format!("  {name:<11} {}", line(&effects, &graph));
                writeln!(table, "{}", row.trim_end()).unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// What each rule makes of each pair of endings upstream.
#[test]
fn table_of_trigger_rules() {
    let endings = [
        TaskState::Succeeded,
        TaskState::Failed,
        TaskState::Skipped {
            reason: "no rows".to_owned(),
        },
        TaskState::Running,
    ];
    let mut table = String::new();
    for rule in TriggerRule::ALL {
        writeln!(table, "{}", rule.name()).unwrap();
        for (i, first) in endings.iter().enumerate() {
            for second in &endings[i..] {
                let mut below = node("c", &["a", "b"]);
                below.trigger = rule;
                let graph = Graph::new(vec![node("a", &[]), node("b", &[]), below]).unwrap();
                let task = |state: &TaskState| TaskRun {
                    state: state.clone(),
                    attempts: 1,
                    ..TaskRun::default()
                };
                let tasks = vec![task(first), task(second), TaskRun::default()];
                let mut run = Run::restore("r", Arc::new(graph), tasks, false);
                plan(&mut run, &mut Pools::default(), [Event::Started], at(100));
                let pair = format!("{} + {}", first.name(), second.name());
                writeln!(table, "  {pair:<24} {}", run.tasks[2].state).unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn jitter_depends_on_the_attempt_alone() {
    let graph = Arc::new(Graph::new(vec![node("a", &[])]).unwrap());
    let until = |run_id: &str| {
        let mut run = Run::new(run_id, Arc::clone(&graph));
        let mut pools = Pools::default();
        plan(&mut run, &mut pools, [Event::Started], at(0));
        let ended = Event::Ended {
            task: 0,
            attempt: 1,
            end: AttemptEnd::Retry,
        };
        plan(&mut run, &mut pools, [ended], at(0));
        run.next_due().unwrap()
    };
    assert_eq!(until("r1"), until("r1"));
    assert_ne!(until("r1"), until("r2"));
}

#[test]
fn a_long_chain_of_skips_does_not_need_a_deep_stack() {
    let count = 50_000;
    let nodes = (0..count)
        .map(|i| {
            let mut node = node(&format!("t{i}"), &[]);
            if i > 0 {
                node.after = vec![format!("t{}", i - 1)];
            }
            node
        })
        .collect();
    let mut run = Run::new("r", Arc::new(Graph::new(nodes).unwrap()));
    let mut pools = Pools::default();
    plan(&mut run, &mut pools, [Event::Started], at(0));
    let skipped = Event::Ended {
        task: 0,
        attempt: 1,
        end: AttemptEnd::Skipped {
            reason: "no rows".to_owned(),
        },
    };
    let effects = plan(&mut run, &mut pools, [skipped], at(0));
    assert_eq!(effects.len(), count + 1);
    assert_eq!(run.state(), RunState::Succeeded);
}

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
fn decided(run: &Run, task: usize) -> Event {
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

/// What the ends of two setups allow a teardown.
#[test]
fn a_teardown_asks_for_one_setup() {
    let skipped = TaskState::Skipped {
        reason: "no rows".to_owned(),
    };
    let verdict = |first: &TaskState, second: &TaskState| {
        let setup = |id| Node {
            setup: true,
            ..node(id, &[])
        };
        let below = Node {
            teardown: true,
            trigger: TriggerRule::AllDoneSetupSuccess,
            ..node("c", &["a", "b", "work"])
        };
        let nodes = vec![setup("a"), setup("b"), node("work", &["a"]), below];
        let task = |state: &TaskState| TaskRun {
            state: state.clone(),
            attempts: 1,
            ..TaskRun::default()
        };
        let tasks = vec![
            task(first),
            task(second),
            task(&TaskState::Failed),
            TaskRun::default(),
        ];
        let graph = Arc::new(Graph::new(nodes).unwrap());
        let mut run = Run::restore("r", graph, tasks, false);
        plan(&mut run, &mut Pools::default(), [Event::Started], at(0));
        run.tasks[3].state.name()
    };
    assert_eq!(
        verdict(&TaskState::Succeeded, &TaskState::Failed),
        "running"
    );
    assert_eq!(verdict(&TaskState::Failed, &skipped), "upstream_failed");
    assert_eq!(verdict(&skipped, &skipped), "skipped");
}

#[test]
fn a_higher_priority_starts_first_whatever_its_run() {
    let run_of = |id: &str, priorities: &[i32]| {
        let nodes = priorities.iter().enumerate().map(|(nth, &priority)| Node {
            priority,
            ..node(&format!("{id}{nth}"), &[])
        });
        let mut run = Run::new(id, Arc::new(Graph::new(nodes.collect()).unwrap()));
        settle(&mut run, &mut Pools::default(), [Event::Started], at(0));
        run
    };
    let (mut old, mut young) = (run_of("old", &[0, 5, 0]), run_of("young", &[7, 0, 5]));
    let mut pools = Pools::new(1, BTreeMap::new());
    let mut order = Vec::new();
    for _ in 0..6 {
        let started = start([&mut old, &mut young], &mut pools, at(0));
        let which = usize::from(started[0].is_empty());
        let run = if which == 0 { &mut old } else { &mut young };
        let Some(Effect::Start { task, attempt }) = started[which].last().cloned() else {
            panic!("{started:?}");
        };
        order.push(run.graph.nodes()[task].id.clone());
        let end = AttemptEnd::Succeeded;
        settle(
            run,
            &mut pools,
            [Event::Ended { task, attempt, end }],
            at(0),
        );
    }
    assert_eq!(
        order,
        ["young0", "old1", "young2", "old0", "old2", "young1"]
    );
}

#[test]
fn a_cancelled_run_is_still_tidied_up() {
    let teardown = Node {
        teardown: true,
        trigger: TriggerRule::AllDoneSetupSuccess,
        ..node("c", &["a", "b"])
    };
    let nodes = vec![node("a", &[]), node("b", &["a"]), teardown];
    let graph = Arc::new(Graph::new(nodes).unwrap());
    for abandoned in [false, true] {
        let mut run = Run::new("r", Arc::clone(&graph));
        let mut pools = Pools::default();
        plan(&mut run, &mut pools, [Event::Started], at(0));
        let cancel = if abandoned {
            Event::Abandoned
        } else {
            Event::CancelRequested
        };
        let stopped = Event::Ended {
            task: 0,
            attempt: 1,
            end: AttemptEnd::Stopped,
        };
        plan(&mut run, &mut pools, [cancel, stopped], at(0));
        if abandoned {
            assert_eq!(run.tasks[2].state, TaskState::Cancelled);
        } else {
            assert_eq!(run.tasks[2].state, TaskState::Running);
            let ended = Event::Ended {
                task: 2,
                attempt: 1,
                end: AttemptEnd::Failed,
            };
            plan(&mut run, &mut pools, [ended], at(0));
        }
        assert_eq!(run.state, RunState::Cancelled);
    }
}

/// One crash-looping machine, many tasks: the run's cap ends what the tasks' own would not.
#[test]
fn a_run_that_loses_attempt_after_attempt_stops_trying() {
    let lossy = |id: &str| {
        let mut node = node(id, &[]);
        node.retry.crash_retries = 1000;
        node.retry.max_run_crashes = 3;
        node
    };
    let graph = Arc::new(Graph::new(vec![lossy("a"), lossy("b")]).unwrap());
    let mut run = Run::new("r", graph);
    let mut pools = Pools::default();
    plan(&mut run, &mut pools, [Event::Started], at(0));
    let mut causes = Vec::new();
    for turn in 0..5 {
        let task = turn % 2;
        let ended = Event::Ended {
            task,
            attempt: run.tasks[task].attempts,
            end: AttemptEnd::Lost { progressed: true },
        };
        for effect in plan(&mut run, &mut pools, [ended], at(0)) {
            if let Effect::Move {
                to: TaskState::Failed,
                cause,
                ..
            } = effect
            {
                causes.push(cause.into_owned());
            }
        }
    }
    let cause = |lost: u32| {
        format!(
            "the run has lost attempts with their processes {lost} times; `max_run_crashes` allows 3"
        )
    };
    assert_eq!(causes, [cause(4), cause(5)]);
    assert_eq!(run.state, RunState::Failed);
}

/// Four attempts die with the process that watched over them: the run has lost attempts once.
#[test]
fn what_is_lost_together_counts_once() {
    let lossy = |id: &str| {
        let mut node = node(id, &[]);
        node.retry.max_run_crashes = 1;
        node
    };
    let nodes = ["a", "b", "c", "d"].map(lossy).to_vec();
    let mut run = Run::new("r", Arc::new(Graph::new(nodes).unwrap()));
    let mut pools = Pools::default();
    plan(&mut run, &mut pools, [Event::Started], at(0));
    let lost = (0..4).map(|task| Event::Ended {
        task,
        attempt: 1,
        end: AttemptEnd::Lost { progressed: false },
    });
    settle(&mut run, &mut pools, lost, at(0));
    let losses: u32 = run.tasks.iter().map(|task| task.losses).sum();
    assert_eq!((run.tally.failed, losses), (0, 1));
}

/// A task that is judged again while it is decided is not decided twice.
#[test]
fn what_was_decided_is_not_asked_again() {
    let first = Node {
        when: Some("false".to_owned()),
        ..node("a", &[])
    };
    let second = Node {
        trigger: TriggerRule::Always,
        map: Some(Mapping::default()),
        ..node("b", &["a"])
    };
    let graph = Arc::new(Graph::new(vec![first, second]).unwrap());
    let mut run = Run::new("r", graph);
    let mut pools = Pools::default();
    settle(&mut run, &mut pools, [Event::Started], at(0));
    let undecided = run.take_undecided();
    assert_eq!(undecided, [0, 1]);
    let decided: Vec<Event> = undecided.iter().map(|&task| decided(&run, task)).collect();
    settle(&mut run, &mut pools, decided, at(0));
    assert_eq!(run.take_undecided(), Vec::<usize>::new());
    assert_eq!(run.tasks().len(), 5);
}
