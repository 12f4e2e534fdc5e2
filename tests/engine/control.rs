//! Cancelling, stopping, and one process per home.

use std::time::Duration;

use serde_json::json;
use trendmill::{
    clock::Clock as _,
    dag::RunState,
    engine::{Error, HomeLock, TaskError},
};

use crate::kit::{Fake, Home, attempts, done, request, started, states, task};

#[tokio::test]
async fn a_cancelled_run_stops_what_runs_and_starts_nothing() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "endless", &[]), task("b", "noop", &["a"])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    started(&mut events, "a").await;
    handle.cancel(&run_id).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        ["a cancelled", "b cancelled"]
    );
    assert_eq!(attempts(&store, &run_id).await, ["a.1 cancelled"]);
}

#[tokio::test]
async fn another_process_cancels_through_the_store() {
    let home = Home::new();
    let (handle, store, run_id) = home.endless().await;
    assert!(store.request_cancel(&run_id).await.unwrap());
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
    assert!(!store.request_cancel(&run_id).await.unwrap());
}

#[tokio::test]
async fn an_operator_that_does_not_listen_is_dropped() {
    let home = Home::new();
    let deaf = Fake::new("deaf", |_| async {
        std::future::pending::<()>().await;
        done(json!(null))
    });
    let handle = home.start(vec![deaf]).await;
    let mut events = handle.subscribe();
    let run_id = handle
        .submit(request(vec![task("a", "deaf", &[])]))
        .await
        .unwrap()
        .run_id;
    started(&mut events, "a").await;
    handle.cancel(&run_id).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
}

#[tokio::test]
async fn draining_ends_what_runs_and_starts_nothing_new() {
    let home = Home::new();
    let slow = Fake::new("slow", |_| async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        done(json!(null))
    });
    let handle = home.start(vec![slow]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "slow", &[]), task("b", "noop", &["a"])];
    let run_id = handle.submit(request(tasks.clone())).await.unwrap().run_id;
    started(&mut events, "a").await;
    handle.drain();
    let refusal = handle.wait(&run_id).await.unwrap_err();
    assert!(matches!(refusal, Error::Stopped(_)), "{refusal}");
    let store = home.store().await;
    assert_eq!(states(&store, &run_id).await, ["a succeeded", "b ready"]);
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert_eq!((row.state, row.owner), (RunState::Queued, None));

    let handle = home.start(vec![Fake::endless("slow")]).await;
    let again = handle.submit(request(tasks)).await.unwrap();
    assert_eq!(
        (again.run_id.as_str(), again.resumed),
        (run_id.as_str(), true)
    );
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
}

#[tokio::test]
async fn stopping_stops_what_runs_and_the_next_start_goes_on() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("work")]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "work", &[])];
    let run_id = handle.submit(request(tasks.clone())).await.unwrap().run_id;
    started(&mut events, "a").await;
    handle.drain();
    handle.stop();
    handle.stopped_for_good().await;
    let work = Fake::new("work", |_| async { done(json!(null)) });
    let handle = home.start(vec![work]).await;
    assert_eq!(handle.resume(&run_id).await.unwrap().run_id, run_id);
    assert_eq!(
        handle.wait(&run_id).await.unwrap().state,
        RunState::Succeeded
    );
    let store = home.store().await;
    assert_eq!(
        attempts(&store, &run_id).await,
        ["a.1 cancelled", "a.2 succeeded"]
    );
    let row = &store.tasks(&run_id).await.unwrap()[0];
    assert_eq!((row.run.failures, row.run.crashes), (0, 0));
}

#[tokio::test]
async fn a_second_process_is_told_who_is_at_work_on_what() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let run_id = handle
        .submit(request(vec![task("a", "endless", &[])]))
        .await
        .unwrap()
        .run_id;
    let data = home.folder.path().join("data");
    let refusal = HomeLock::acquire(&data, home.clock.now()).unwrap_err();
    let Error::Locked {
        pid, run_id: named, ..
    } = &refusal
    else {
        panic!("{refusal}");
    };
    assert_eq!(
        (*pid, named.as_deref()),
        (Some(std::process::id()), Some(run_id.as_str()))
    );
}

#[tokio::test]
async fn a_failure_while_stopping_is_no_failure() {
    let home = Home::new();
    let sore = Fake::new("sore", |context| async move {
        context.cancelled.cancelled().await;
        Err(TaskError::retry(anyhow::anyhow!("connection closed")))
    });
    let handle = home.start(vec![sore]).await;
    let mut events = handle.subscribe();
    let run_id = handle
        .submit(request(vec![task("a", "sore", &[])]))
        .await
        .unwrap()
        .run_id;
    started(&mut events, "a").await;
    handle.stop();
    handle.stopped_for_good().await;
    let store = home.store().await;
    assert_eq!(attempts(&store, &run_id).await, ["a.1 cancelled"]);
}
