//! A task is cancelled alone; tasks begin anew; runs wait for a word.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use trendmill::{
    dag::RunState,
    engine::{ClearSelection, EngineEvent, Error, RunRequest, TaskError, cancel_task_idle},
};

use crate::kit::{Fake, Home, attempts, done, ended, held, request, started, states, task};

/// An operator that fails until it is mended.
fn fragile(mended: &Arc<AtomicBool>) -> Fake {
    let mended = Arc::clone(mended);
    Fake::new("fragile", move |_| {
        let mended = Arc::clone(&mended);
        async move {
            if mended.load(Ordering::SeqCst) {
                return done(json!("mended"));
            }
            Err(TaskError::fail(anyhow::anyhow!("broken")))
        }
    })
}

#[tokio::test]
async fn a_cancelled_task_ends_alone_and_the_run_goes_on() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let tasks = vec![
        task("a", "endless", &[]),
        task("b", "noop", &["a"]),
        task("c", "noop", &[]),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    started(&mut events, "a").await;
    let refusal = handle.cancel_task(&run_id, "z").await.unwrap_err();
    assert!(matches!(refusal, Error::UnknownTask { .. }), "{refusal}");
    handle.cancel_task(&run_id, "a").await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        ["a cancelled", "b upstream_failed", "c succeeded"]
    );
    assert_eq!(
        attempts(&store, &run_id).await,
        ["a.1 cancelled", "c.1 succeeded"]
    );
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert_eq!(row.cause, "`a` was cancelled");
}

#[tokio::test]
async fn another_process_cancels_a_task_through_the_store() {
    let home = Home::new();
    let (handle, store, run_id) = home.endless().await;
    assert!(store.request_task_cancel(&run_id, "a").await.unwrap());
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    assert_eq!(states(&store, &run_id).await, ["a cancelled"]);
    assert!(!store.request_task_cancel(&run_id, "a").await.unwrap());
}

#[tokio::test]
async fn what_failed_is_cleared_and_the_same_run_goes_on() {
    let home = Home::new();
    let mended = Arc::new(AtomicBool::new(false));
    let handle = home.start(vec![fragile(&mended)]).await;
    let tasks = vec![
        task("a", "noop", &[]),
        task("b", "fragile", &["a"]),
        task("c", "noop", &["b"]),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    assert_eq!(handle.wait(&run_id).await.unwrap().state, RunState::Failed);
    mended.store(true, Ordering::SeqCst);
    let cleared = handle.clear(&run_id, ClearSelection::Failed).await.unwrap();
    assert_eq!(cleared.task_ids, ["b", "c"]);
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let store = home.store().await;
    assert_eq!(
        attempts(&store, &run_id).await,
        [
            "a.1 succeeded",
            "b.1 failed",
            "b.2 succeeded",
            "c.1 succeeded"
        ]
    );
    assert_eq!(store.tasks(&run_id).await.unwrap()[1].run.failures, 0);
    let refusal = handle
        .clear(&run_id, ClearSelection::Failed)
        .await
        .unwrap_err();
    assert!(matches!(refusal, Error::NothingToClear(_)), "{refusal}");

    // From a task on, and one alone; a cancelled run is wanted again.
    let cleared = handle
        .clear(&run_id, ClearSelection::From("b".to_owned()))
        .await
        .unwrap();
    assert_eq!(cleared.task_ids, ["b", "c"]);
    handle.wait(&run_id).await.unwrap();
    let alone = ClearSelection::Only("a".to_owned());
    assert_eq!(handle.clear(&run_id, alone).await.unwrap().task_ids, ["a"]);
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let tries: Vec<u32> = summary.tasks.iter().map(|task| task.attempts).collect();
    assert_eq!(tries, [2, 3, 2]);
}

#[tokio::test]
async fn a_cancelled_run_is_cleared_but_not_what_is_running() {
    let home = Home::new();
    let mended = Arc::new(AtomicBool::new(true));
    let endless = Fake::endless("endless");
    let handle = home.start(vec![endless, fragile(&mended)]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "endless", &[]), task("b", "fragile", &[])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    loop {
        if let EngineEvent::TaskEnded { task_id, .. } = events.recv().await.unwrap()
            && task_id == "b"
        {
            break;
        }
    }
    let all = ClearSelection::From("a".to_owned());
    let refusal = handle.clear(&run_id, all).await.unwrap_err();
    assert!(matches!(refusal, Error::StillRunning(_)), "{refusal}");
    // A task that has ended begins anew while another one runs.
    let ended = ClearSelection::Only("b".to_owned());
    handle.clear(&run_id, ended).await.unwrap();
    handle.cancel(&run_id).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
    let only = ClearSelection::Only("b".to_owned());
    handle.clear(&run_id, only).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    // The other task stays cancelled, which the run, wanted again, counts as a failure.
    assert_eq!(summary.state, RunState::Failed);
    let store = home.store().await;
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert!(!row.cancel_requested);
}

#[tokio::test]
async fn a_held_run_starts_when_it_is_promoted() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let wanted = held(vec![task("a", "noop", &[])]);
    let run_id = handle.submit(wanted.clone()).await.unwrap().run_id;
    let store = home.store().await;
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert_eq!((row.state, row.owner), (RunState::Queued, None));
    assert_eq!(row.cause, "queued behind another run");
    // Neither asking again nor resuming starts it.
    assert_eq!(handle.submit(wanted).await.unwrap().run_id, run_id);
    let refusal = handle.resume(&run_id).await.unwrap_err();
    assert!(matches!(refusal, Error::Held { .. }), "{refusal}");
    let (waited, promoted) = tokio::join!(handle.wait(&run_id), handle.promote(&run_id));
    assert!(!promoted.unwrap().resumed);
    assert_eq!(waited.unwrap().state, RunState::Succeeded);
    assert_eq!(store.run(&run_id).await.unwrap().unwrap().hold, None);
    let refusal = handle.promote(&run_id).await.unwrap_err();
    assert!(matches!(refusal, Error::NotHeld(_)), "{refusal}");
}

#[tokio::test]
async fn a_held_run_is_cancelled_where_it_lies() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let wanted = held(vec![task("a", "noop", &[])]);
    let run_id = handle.submit(wanted).await.unwrap().run_id;
    handle.cancel(&run_id).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
    assert_eq!(summary.tasks[0].state, "cancelled");
}

#[tokio::test]
async fn a_task_of_an_idle_run_is_cancelled_without_an_engine() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "endless", &[]), task("b", "noop", &[])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    loop {
        if let EngineEvent::TaskEnded { task_id, .. } = events.recv().await.unwrap()
            && task_id == "b"
        {
            break;
        }
    }
    handle.stop();
    handle.stopped_for_good().await;
    let store = home.store().await;
    let now = trendmill::clock::Clock::now(home.clock.as_ref());
    cancel_task_idle(&store, &run_id, "a", now).await.unwrap();
    assert_eq!(
        states(&store, &run_id).await,
        ["a cancelled", "b succeeded"]
    );
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert_eq!(row.state, RunState::Failed);
}

/// The first attempt of a task ends when it is told to, all others at once.
fn slow_at_first() -> Fake {
    Fake::new("slow", |context| async move {
        if context.attempt == 1 {
            context.cancelled.cancelled().await;
            return Err(TaskError::Cancelled);
        }
        done(json!(null))
    })
}

#[tokio::test]
async fn clearing_takes_back_that_a_task_was_cancelled() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "endless", &[]), task("b", "endless", &[])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    started(&mut events, "b").await;
    handle.cancel_task(&run_id, "a").await.unwrap();
    ended(&mut events).await;
    let store = home.store().await;
    let row = store.tasks(&run_id).await.unwrap().remove(0);
    assert!(row.run.cancel_requested);
    home.clock.advance(std::time::Duration::from_hours(1));
    let only = ClearSelection::Only("a".to_owned());
    handle.clear(&run_id, only).await.unwrap();
    // It went from waiting to running in one turn, and begins anew all the same.
    let anew = store.tasks(&run_id).await.unwrap().remove(0);
    assert_eq!(anew.run.state, trendmill::dag::TaskState::Running);
    assert!(!anew.run.cancel_requested);
    assert!(anew.started_at > row.started_at);
    handle.stop();
    handle.stopped_for_good().await;
}

#[tokio::test]
async fn clearing_takes_back_that_the_run_was_cancelled() {
    let home = Home::new();
    let released = Arc::new(tokio::sync::Notify::new());
    let tidy = {
        let released = Arc::clone(&released);
        Fake::new("tidy", move |_| {
            let released = Arc::clone(&released);
            async move {
                released.notified().await;
                done(json!(null))
            }
        })
    };
    let handle = home.start(vec![slow_at_first(), tidy]).await;
    let mut events = handle.subscribe();
    let teardown = trendmill::dag::Node {
        teardown: true,
        trigger: trendmill::dag::TriggerRule::AllDoneSetupSuccess,
        ..task("tidy", "tidy", &["work"])
    };
    let tasks = vec![task("work", "slow", &[]), teardown];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    started(&mut events, "work").await;
    handle.cancel(&run_id).await.unwrap();
    started(&mut events, "tidy").await;
    let store = home.store().await;
    let asked = || async {
        let row = store.run(&run_id).await.unwrap().unwrap();
        row.cancel_requested
    };
    // Whoever goes on with the run after a crash is to know.
    assert!(asked().await);
    let only = ClearSelection::Only("work".to_owned());
    handle.clear(&run_id, only).await.unwrap();
    assert!(!asked().await);
    released.notify_one();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_run_that_has_not_ended_is_not_run_again() {
    let home = Home::new();
    let (_handle, store, run_id) = home.endless().await;
    let row = store.run(&run_id).await.unwrap().unwrap();
    let refusal = RunRequest::again(&store, &home.data_dir(), &row, None)
        .await
        .unwrap_err();
    assert!(matches!(refusal, Error::Unfinished(_)), "{refusal}");
}
