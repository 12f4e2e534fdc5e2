//! Why a task stands where it does.

use std::sync::Arc;

use tokio::sync::Notify;
use trendmill::{
    engine::{DiskRoom, Explanation, Slots, TaskError},
    store::Store,
};

use crate::kit::{Fake, Home, done, request, task};

async fn explain(store: &Store, run: &str, task: &str) -> Explanation {
    Explanation::load(store, run, task, &Slots::default(), DiskRoom::of(None, 0))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_waiting_task_names_what_it_waits_for() {
    let home = Home::new();
    let begun = Arc::new(Notify::new());
    let told = Arc::clone(&begun);
    let busy = Fake::new("busy", move |context| {
        told.notify_one();
        async move {
            context.cancelled.cancelled().await;
            Err(TaskError::Cancelled)
        }
    });
    let handle = home.start(vec![busy]).await;
    let mut first = task("first", "busy", &[]);
    first.pool = Some("device".to_owned());
    let mut second = task("second", "noop", &[]);
    second.pool = Some("device".to_owned());
    let tasks = vec![first, second, task("last", "noop", &["first", "second"])];
    let run = handle.submit(request(tasks)).await.unwrap().run_id;
    begun.notified().await;
    let store = home.store().await;

    let ready = explain(&store, &run, "second").await;
    assert_eq!((ready.state, ready.reason), ("ready", "pool_full"));
    assert_eq!(
        ready.sentence,
        "`second` waits for the pool `device`: its 1 slot is taken by `first`"
    );
    let waiting = explain(&store, &run, "last").await;
    assert_eq!(waiting.because_of, ["first", "second"]);
    assert_eq!(
        waiting.sentence,
        "`last` waits for `first`, which is running and `second`, which is ready \
         (rule all_success)"
    );
    let running = explain(&store, &run, "first").await;
    assert!(
        running
            .sentence
            .starts_with("`first` runs since 2026-01-17T08:00:00Z, attempt 1, no rows"),
        "{}",
        running.sentence
    );

    handle.stop();
    handle.stopped_for_good().await;
    let queued = explain(&store, &run, "last").await;
    assert_eq!(queued.reason, "run_queued");
    assert!(
        queued.sentence.contains("its process stopped"),
        "{}",
        queued.sentence
    );
    let unknown = Explanation::load(
        &store,
        &run,
        "nobody",
        &Slots::default(),
        DiskRoom::of(None, 0),
    )
    .await;
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .contains("first, second, last")
    );
}

#[tokio::test]
async fn an_ended_task_names_where_its_end_began() {
    let home = Home::new();
    let broken = Fake::new("broken", |_| async {
        Err(TaskError::fail(anyhow::anyhow!("the file has no title")))
    });
    let idle = Fake::new("idle", |_| async {
        Err(TaskError::skip("no mature labels"))
    });
    let fine = Fake::new("fine", |_| async { done(serde_json::Value::Null) });
    let handle = home.start(vec![broken, idle, fine]).await;
    let tasks = vec![
        task("a", "broken", &[]),
        task("b", "fine", &["a"]),
        task("c", "fine", &["b"]),
        task("train", "idle", &[]),
        task("persist", "fine", &["train"]),
        task("score", "fine", &["persist"]),
        task("alone", "fine", &[]),
    ];
    let run = handle.submit(request(tasks)).await.unwrap().run_id;
    handle.wait(&run).await.unwrap();
    let store = home.store().await;
    let mut sentences = Vec::new();
    for name in ["a", "b", "c", "train", "score", "alone"] {
        sentences.push(explain(&store, &run, name).await.sentence);
    }
    let expected = [
        "`a` failed after 1 attempt: the attempt failed for good; the file has no title (failed)",
        "`b` did not run because `a` failed: the file has no title",
        "`c` did not run because `a` failed: the file has no title",
        "`train` was skipped: no mature labels",
        "`score` was skipped because `train` was: no mature labels",
        "`alone` succeeded: the attempt succeeded",
    ];
    assert_eq!(sentences, expected);
}
