//! What every event makes of every state, and every rule of every pair of endings.

use std::{fmt::Write as _, sync::Arc};

use super::*;
use crate::dag::{Graph, TaskRun};

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

fn as_class(class: &str, again: bool) -> AttemptEnd {
    AttemptEnd::FailedAs {
        after: None,
        class: class.to_owned(),
        again,
    }
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
        ("exit:75", end(as_class("exit:75", true))),
        ("disk_full", end(as_class("disk_full", true))),
        ("timed out", end(AttemptEnd::TimedOut)),
        ("panicked", end(AttemptEnd::Panicked { progressed: false })),
        ("crashed", end(AttemptEnd::Crashed { progressed: false })),
        ("stalled", end(AttemptEnd::Stalled { progressed: false })),
        ("memory", end(AttemptEnd::OutOfMemory { first: true })),
        ("memory 2", end(AttemptEnd::OutOfMemory { first: false })),
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
