//! Promises that one case each shows.

use std::{collections::BTreeMap, sync::Arc};

use super::{orders::decided, *};
use crate::dag::{Graph, Mapping, RetryRule, TaskRun};

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

/// The death of the process that watches over a task is not the task's.
#[test]
fn the_death_of_the_owner_is_no_crash_of_the_task() {
    let graph = |rules: Vec<RetryRule>| {
        let mut a = node("a", &[]);
        a.retry.rules = rules;
        Arc::new(Graph::new(vec![a]).unwrap())
    };
    let after = |graph: &Arc<Graph>, ends: &[AttemptEnd]| {
        let mut run = Run::new("r", Arc::clone(graph));
        let mut pools = Pools::default();
        plan(&mut run, &mut pools, [Event::Started], at(0));
        for (second, end) in (1..).zip(ends) {
            let ended = Event::Ended {
                task: 0,
                attempt: run.tasks[0].attempts,
                end: end.clone(),
            };
            plan(&mut run, &mut pools, [ended], at(second * 100));
            plan(&mut run, &mut pools, [Event::Woken], at(second * 100 + 50));
        }
        run.state
    };
    let lost = AttemptEnd::Lost { progressed: false };
    let crashed = AttemptEnd::Crashed { progressed: false };
    let usual = graph(Vec::new());
    assert_eq!(after(&usual, &vec![lost.clone(); 10]), RunState::Running);
    // One crash is allowed, whatever happened to the owner in between.
    let between = [crashed.clone(), lost.clone(), crashed];
    assert_eq!(after(&usual, &between[..2]), RunState::Running);
    assert_eq!(after(&usual, &between), RunState::Failed);
    // A rule may say otherwise.
    let strict = graph(vec![RetryRule {
        on: vec!["owner_lost".to_owned()],
        retries: Some(2),
        delay: None,
    }]);
    assert_eq!(after(&strict, &vec![lost.clone(); 2]), RunState::Running);
    assert_eq!(after(&strict, &vec![lost; 3]), RunState::Failed);
}

/// A full disk spends no retry, and who refuses for a time is not asked before it is over.
#[test]
fn a_task_waits_for_room_and_for_the_end_of_a_refusal() {
    let failed = |class: &str, after| AttemptEnd::FailedAs {
        class: class.to_owned(),
        again: true,
        after,
    };
    let graph = Arc::new(Graph::new(vec![node("a", &[])]).unwrap());
    let mut run = Run::new("r", graph);
    let mut pools = Pools::default();
    plan(&mut run, &mut pools, [Event::Started], at(0));
    for attempt in 1..=50 {
        let ended = Event::Ended {
            task: 0,
            attempt,
            end: failed("disk_full", None),
        };
        let now = i64::from(attempt) * 60;
        plan(&mut run, &mut pools, [ended], at(now));
        let until = at(now + 30);
        assert_eq!(run.tasks[0].state, TaskState::Delayed { until });
        plan(&mut run, &mut pools, [Event::Woken], until);
    }
    assert_eq!(run.tasks[0].failures, 0);
    let ended = Event::Ended {
        task: 0,
        attempt: 51,
        end: failed("rate_limited", Some(Duration::from_mins(10))),
    };
    plan(&mut run, &mut pools, [ended], at(10_000));
    let until = at(10_600);
    assert_eq!(run.tasks[0].state, TaskState::Delayed { until });
    assert_eq!(run.tasks[0].failures, 1);
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

/// A teardown runs after a cancellation where something above it has begun: a shard of a mapped
/// task, or what lies above another teardown.
#[test]
fn a_teardown_behind_shards_and_another_teardown_tidies_up() {
    let mapped = Node {
        map: Some(Mapping::default()),
        ..node("work", &[])
    };
    let teardown = |id, after| Node {
        teardown: true,
        trigger: TriggerRule::AllDone,
        ..node(id, after)
    };
    let nodes = vec![
        mapped,
        teardown("tidy", &["work"]),
        teardown("last", &["tidy"]),
        node("next", &["work"]),
        teardown("idle", &["next"]),
    ];
    let mut run = Run::new("r", Arc::new(Graph::new(nodes).unwrap()));
    let mut pools = Pools::default();
    settle(&mut run, &mut pools, [Event::Started], at(0));
    for task in run.take_undecided() {
        let event = decided(&run, task);
        plan(&mut run, &mut pools, [event], at(0));
    }
    plan(&mut run, &mut pools, [Event::CancelRequested], at(0));
    let states = |run: &Run| {
        let names = run.tasks.iter().take(5).map(|task| task.state.name());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        states(&run),
        ["waiting", "waiting", "waiting", "cancelled", "cancelled"]
    );
    for task in 5..8 {
        let end = AttemptEnd::Stopped;
        let ended = Event::Ended {
            task,
            attempt: 1,
            end,
        };
        plan(&mut run, &mut pools, [ended], at(0));
    }
    for task in [1, 2] {
        assert_eq!(run.tasks[task].state, TaskState::Running);
        let end = AttemptEnd::Succeeded;
        let ended = Event::Ended {
            task,
            attempt: 1,
            end,
        };
        plan(&mut run, &mut pools, [ended], at(0));
    }
    assert_eq!(run.state(), RunState::Cancelled);
}
