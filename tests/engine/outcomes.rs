//! How attempts end, and what the engine makes of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use trendmill::{
    dag::{Node, RunState, TriggerRule},
    engine::{EngineEvent, Error, TaskError, TaskOutcome},
    store::Store,
};

use crate::kit::{Fake, Home, attempts, done, request, states, task};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_reach_everything_downstream_and_counts_are_kept() {
    let home = Home::new();
    let first = Fake::new("first", |_| async {
        Ok(TaskOutcome {
            rows_in: 5,
            rows_out: 3,
            rows_computed: 2,
            rows_reused: 1,
            bytes: 70,
            dropped: BTreeMap::from([("no_title".to_owned(), 2)]),
            message: Some("three posts".to_owned()),
            output: json!({"fingerprint": "f1"}),
            files: vec!["rows.json".to_owned()],
        })
    });
    let last = Fake::new("last", |context| async move {
        assert_eq!(json!(context.upstream), json!({"a": {"fingerprint": "f1"}}));
        done(json!(null))
    });
    let handle = home.start(vec![first, last]).await;
    let tasks = vec![
        task("a", "first", &[]),
        task("b", "noop", &["a"]),
        task("c", "last", &["b"]),
    ];
    let submitted = handle.submit(request(tasks)).await.unwrap();
    let summary = handle.wait(&submitted.run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let mut document = json!(summary);
    for volatile in ["run_id", "seconds"] {
        document.as_object_mut().unwrap().remove(volatile);
    }
    for task in document["tasks"].as_array_mut().unwrap() {
        task.as_object_mut().unwrap().remove("seconds");
    }
    insta::assert_json_snapshot!(document);
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_after_a_growing_pause() {
    let home = Home::new();
    let flaky = Fake::new("flaky", |context| async move {
        if context.attempt < 3 {
            return Err(TaskError::retry(anyhow::anyhow!("HTTP 503")));
        }
        done(json!(null))
    });
    let handle = home.start(vec![flaky]).await;
    let mut events = handle.subscribe();
    let mut node = task("a", "flaky", &[]);
    node.retry.retries = 2;
    node.retry.delay = Duration::from_mins(1);
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    let pauses = [
        home.skip_delay(&handle, &mut events).await,
        home.skip_delay(&handle, &mut events).await,
    ];
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert!(pauses[0] > Duration::from_secs(45) && pauses[0] <= Duration::from_mins(1));
    assert!(pauses[1] > Duration::from_secs(90) && pauses[1] <= Duration::from_mins(2));
    let store = home.store().await;
    let rows = store.attempts(&run_id, None).await.unwrap();
    assert_eq!(rows[0].error.as_deref(), Some("HTTP 503"));
    assert_eq!(
        attempts(&store, &run_id).await,
        ["a.1 failed", "a.2 failed", "a.3 succeeded"]
    );
}

#[tokio::test]
async fn an_overdue_attempt_is_stopped_and_counts_as_failed() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut slow = task("a", "endless", &[]);
    slow.timeout = Some(Duration::from_millis(30));
    let run_id = handle
        .submit(request(vec![slow, task("b", "noop", &["a"])]))
        .await
        .unwrap()
        .run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    let message = summary.task("a").unwrap().message.clone().unwrap();
    assert!(message.contains("timeout of 30ms"), "{message}");
    let store = home.store().await;
    assert_eq!(attempts(&store, &run_id).await, ["a.1 timed_out"]);
    assert_eq!(
        states(&store, &run_id).await,
        ["a failed", "b upstream_failed"]
    );
}

#[tokio::test]
async fn a_panic_is_a_crash_and_spends_no_retry() {
    let home = Home::new();
    let shaky = Fake::new("shaky", |context| async move {
        assert!(context.attempt > 1, "index out of bounds");
        done(json!(null))
    });
    let handle = home.start(vec![shaky]).await;
    let mut events = handle.subscribe();
    let run_id = handle
        .submit(request(vec![task("a", "shaky", &[])]))
        .await
        .unwrap()
        .run_id;
    home.skip_delay(&handle, &mut events).await;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let store = home.store().await;
    assert_eq!(
        attempts(&store, &run_id).await,
        ["a.1 crashed", "a.2 succeeded"]
    );
    let rows = store.attempts(&run_id, None).await.unwrap();
    assert_eq!(rows[0].error_code.as_deref(), Some("panicked"));
    let error = rows[0].error.clone().unwrap();
    assert!(error.contains("index out of bounds"), "{error}");
}

#[tokio::test]
async fn a_task_that_crashes_again_and_again_fails() {
    let home = Home::new();
    let broken = Fake::new("broken", |context| async move {
        // The third one had committed something: counting starts again.
        if context.attempt == 3 {
            context.progress.advance(256);
        }
        panic!("segmentation fault, as it were")
    });
    let handle = home.start(vec![broken]).await;
    let mut events = handle.subscribe();
    let mut node = task("a", "broken", &[]);
    node.retry.crash_retries = 3;
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    for _ in 0..6 {
        home.skip_delay(&handle, &mut events).await;
    }
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    assert_eq!(summary.task("a").unwrap().attempts, 7);
}

#[tokio::test]
async fn trigger_rules_decide_what_runs_after_skips_and_failures() {
    let home = Home::new();
    let empty = Fake::new("empty", |_| async {
        Err(TaskError::skip("no mature labels"))
    });
    let wrong = Fake::new("wrong", |_| async {
        Err(TaskError::fail(anyhow::anyhow!("no such column")))
    });
    let handle = home.start(vec![empty, wrong]).await;
    let with = |id, after, trigger| {
        let mut node = task(id, "noop", after);
        node.trigger = trigger;
        node
    };
    let tasks = vec![
        task("train", "empty", &[]),
        task("persist", "noop", &["train"]),
        with("merge", &["train"], TriggerRule::NoneFailed),
        task("wrong", "wrong", &[]),
        task("lacking", "noop", &["wrong"]),
        with("report", &["lacking", "persist"], TriggerRule::AllDone),
        with("any", &["wrong", "merge"], TriggerRule::OneSuccess),
        with("tidy", &["wrong"], TriggerRule::Always),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    assert_eq!(handle.wait(&run_id).await.unwrap().state, RunState::Failed);
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        [
            "train skipped (no mature labels)",
            "persist skipped (no mature labels)",
            "merge succeeded",
            "wrong failed",
            "lacking upstream_failed",
            "report succeeded",
            "any succeeded",
            "tidy succeeded",
        ]
    );
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert_eq!(row.cause, "`wrong` failed");
}

#[tokio::test]
async fn a_run_of_skips_alone_succeeds() {
    let home = Home::new();
    let empty = Fake::new("empty", |_| async { Err(TaskError::skip("no posts")) });
    let handle = home.start(vec![empty]).await;
    let tasks = vec![task("a", "empty", &[]), task("b", "noop", &["a"])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_hold_over_all_runs() {
    let mut home = Home::new();
    home.change = |settings| {
        settings.pools = BTreeMap::from([("device".to_owned(), 2)]);
    };
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let busy = {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        Fake::new("busy", move |_| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                done(json!(null))
            }
        })
    };
    let handle = home.start(vec![busy]).await;
    let mut runs = Vec::new();
    for source in ["one", "two"] {
        let tasks = (0..6)
            .map(|i| {
                let mut node = task(&format!("t{i}"), "busy", &[]);
                node.pool = Some("device".to_owned());
                node
            })
            .collect();
        let mut request = request(tasks);
        request.source = Some(source.to_owned());
        runs.push(handle.submit(request).await.unwrap().run_id);
    }
    for run_id in runs {
        assert_eq!(
            handle.wait(&run_id).await.unwrap().state,
            RunState::Succeeded
        );
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

/// Every attempt looks for its own row, through another connection, before it does anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_effect_happens_before_its_row_is_durable() {
    let home = Home::new();
    let data = home.folder.path().join("data");
    let looking = Fake::new("looking", move |context| {
        let data = data.clone();
        async move {
            let store = Store::open_read_only(&data).await.unwrap();
            let rows = store
                .attempts(&context.run_id, Some(&context.task_id))
                .await
                .unwrap();
            assert_eq!(rows.last().map(|row| row.number), Some(context.attempt));
            assert_eq!(rows.last().map(|row| row.state.as_str()), Some("running"));
            done(json!(null))
        }
    });
    let handle = home.start(vec![looking]).await;
    let mut tasks: Vec<_> = (0..5)
        .map(|i| task(&format!("a{i}"), "looking", &[]))
        .collect();
    for i in 0..5 {
        tasks.push(task(
            &format!("b{i}"),
            "looking",
            &["a0", "a1", "a2", "a3", "a4"],
        ));
    }
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert!(summary.tasks.iter().all(|task| task.attempts == 1));
}

#[tokio::test]
async fn an_unknown_operator_is_refused_before_anything_is_written() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let refusal = handle
        .submit(request(vec![task("a", "embedd", &[])]))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Error::UnknownOperator { .. }));
    assert_eq!(
        refusal.to_string(),
        "task `a` names the operator `embedd`; there are noop, shell, wait"
    );
    assert!(home.store().await.runs(None, 9).await.unwrap().is_empty());
}

/// A task that goes first does so however many were there before it.
#[tokio::test]
async fn a_high_priority_starts_next_among_ten_thousand() {
    let mut home = Home::new();
    home.change = |settings| settings.parallelism = 1;
    let open = Arc::new(tokio::sync::Notify::new());
    let gate = {
        let open = Arc::clone(&open);
        Fake::new("gate", move |_| {
            let open = Arc::clone(&open);
            async move {
                open.notified().await;
                done(json!(null))
            }
        })
    };
    let handle = home.start(vec![gate]).await;
    let mut events = handle.subscribe();
    let mut next = async || loop {
        if let EngineEvent::AttemptStarted { task_id, .. } = events.recv().await.unwrap() {
            return task_id;
        }
    };
    let mut tasks = vec![task("gate", "gate", &[])];
    tasks.extend((0..10_000).map(|n| task(&format!("t{n}"), "noop", &[])));
    handle.submit(request(tasks)).await.unwrap();
    assert_eq!(next().await, "gate");
    let mut urgent = request(vec![Node {
        priority: 1,
        ..task("urgent", "noop", &[])
    }]);
    urgent.pipeline = "other".to_owned();
    handle.submit(urgent).await.unwrap();
    open.notify_one();
    assert_eq!(next().await, "urgent");
    handle.stop();
    handle.stopped_for_good().await;
}
