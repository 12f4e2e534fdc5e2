//! What ends attempts from outside: memory, a standstill; and the rules for what follows.

use std::time::Duration;

use serde_json::json;
use trendmill::{
    dag::{Node, RetryPolicy, RetryRule, RunState},
    engine::{Handle, RunSummary},
};

use crate::{
    kit::{Fake, Home, attempts, request, task},
    process::{in_process, operators, this_test_binary},
};

/// More than this test binary needs, less than the operator `hungry` takes.
const LIMIT: u64 = 256 << 20;

async fn start(home: &mut Home) -> Handle {
    home.executors = in_process(this_test_binary(home.folder.path()));
    home.start(operators()).await
}

async fn run(handle: &Handle, node: Node) -> RunSummary {
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    handle.wait(&run_id).await.unwrap()
}

fn limited(op: &str) -> Node {
    Node {
        memory: Some(LIMIT),
        ..task("a", op, &[])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_takes_too_much_memory_is_tried_once_with_half_the_batch() {
    let mut home = Home::new();
    let handle = start(&mut home).await;
    let summary = run(&handle, limited("hungry")).await;
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    let store = home.store().await;
    let rows = store.attempts(&summary.run_id, None).await.unwrap();
    assert_eq!(rows[0].error_code.as_deref(), Some("out_of_memory"));
    assert_eq!(rows[0].state, "crashed");
    assert!(rows[0].peak_bytes.unwrap() > LIMIT);
    assert!(rows[1].peak_bytes.unwrap() < LIMIT);
    let tasks = store.tasks(&summary.run_id).await.unwrap();
    assert_eq!((tasks[0].run.failures, tasks[0].run.crashes), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_time_it_fails_and_tells_its_peak() {
    let mut home = Home::new();
    let handle = start(&mut home).await;
    let mut node = limited("insatiable");
    node.retry.retries = 5;
    let summary = run(&handle, node).await;
    assert_eq!(summary.state, RunState::Failed);
    let store = home.store().await;
    assert_eq!(
        attempts(&store, &summary.run_id).await,
        ["a.1 crashed", "a.2 crashed"]
    );
    let message = summary.task("a").unwrap().message.clone().unwrap();
    assert!(message.ends_with("where its limit is 256MiB"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_gets_no_further_is_killed_as_crashed() {
    for inline in [true, false] {
        let mut home = Home::new();
        let handle = if inline {
            home.start(vec![Fake::endless("endless")]).await
        } else {
            start(&mut home).await
        };
        let node = Node {
            stall_timeout: Some(Duration::from_millis(300)),
            retry: RetryPolicy {
                retries: 5,
                crash_retries: 0,
                ..RetryPolicy::default()
            },
            ..task("a", "endless", &[])
        };
        let summary = run(&handle, node).await;
        assert_eq!(summary.state, RunState::Failed);
        let store = home.store().await;
        let rows = store.attempts(&summary.run_id, None).await.unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].error_code.as_deref(), Some("stalled"));
    }
}

#[tokio::test]
async fn lines_of_a_program_are_signs_of_life() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let script = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done";
    let settings = json!({ "argv": ["sh", "-c", script] });
    let node = Node {
        settings: settings.as_object().unwrap().clone(),
        stall_timeout: Some(Duration::from_millis(1500)),
        ..task("a", "shell", &[])
    };
    let summary = run(&handle, node).await;
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
}

#[tokio::test]
async fn rules_decide_by_exit_code() {
    for (code, expected) in [(75, 3), (7, 1)] {
        let home = Home::new();
        let handle = home.start(Vec::new()).await;
        let settings = json!({ "argv": ["sh", "-c", format!("exit {code}")] });
        let rule = |on: &str, retries| RetryRule {
            on: vec![on.to_owned()],
            retries: Some(retries),
            delay: Some(Duration::ZERO),
        };
        let node = Node {
            settings: settings.as_object().unwrap().clone(),
            retry: RetryPolicy {
                retries: 1,
                rules: vec![rule("exit:7", 0), rule("exit:75", 2), rule("exit:75", 9)],
                ..RetryPolicy::default()
            },
            ..task("a", "shell", &[])
        };
        let summary = run(&handle, node).await;
        assert_eq!(summary.state, RunState::Failed);
        let store = home.store().await;
        let rows = store.attempts(&summary.run_id, None).await.unwrap();
        assert_eq!(rows.len(), expected);
        assert_eq!(rows[0].error_code, Some(format!("exit:{code}")));
    }
}
