//! Wishes about one run that reach the engine in one turn.

use trendmill::{
    dag::RunState,
    engine::{Earlier, Error, RunRequest, Selection, run_dir},
};

use crate::kit::{Fake, Home, ended, held, request, states, task};

/// A run of three tasks that stays queued.
fn three() -> RunRequest {
    held(["a", "b", "c"].map(|id| task(id, "noop", &[])).to_vec())
}

#[tokio::test]
async fn a_task_is_cancelled_twice_at_once() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let tasks = vec![task("a", "endless", &[]), task("b", "noop", &[])];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    ended(&mut events).await;
    let (one, two, late) = tokio::join!(
        handle.cancel_task(&run_id, "a"),
        handle.cancel_task(&run_id, "a"),
        handle.cancel_task(&run_id, "b"),
    );
    one.unwrap();
    two.unwrap();
    late.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        ["a cancelled", "b succeeded"]
    );
    // A wish for what has ended is no wish: a later `clear` would be undone by it.
    assert!(!store.tasks(&run_id).await.unwrap()[1].run.cancel_requested);
    assert_eq!(handle.fault(), None);
}

#[tokio::test]
async fn two_tasks_of_a_held_run_are_cancelled_and_the_run_is_promoted() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let run_id = handle.submit(three()).await.unwrap().run_id;
    let (a, b, promoted) = tokio::join!(
        handle.cancel_task(&run_id, "a"),
        handle.cancel_task(&run_id, "b"),
        handle.promote(&run_id),
    );
    a.unwrap();
    b.unwrap();
    promoted.unwrap();
    handle.wait(&run_id).await.unwrap();
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        ["a cancelled", "b cancelled", "c succeeded"]
    );
}

#[tokio::test]
async fn a_held_run_is_cancelled_and_promoted_at_once() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let run_id = handle.submit(three()).await.unwrap().run_id;
    handle.cancel(&run_id).await.unwrap();
    let (promoted, waited) = tokio::join!(handle.promote(&run_id), handle.wait(&run_id));
    let refusal = promoted.unwrap_err();
    assert!(matches!(refusal, Error::NotHeld(_)), "{refusal}");
    assert_eq!(waited.unwrap().state, RunState::Cancelled);
    assert_eq!(handle.fault(), None);
}

#[tokio::test]
async fn what_takes_the_place_of_a_cancelled_run_is_a_new_one() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let first = handle.submit(three()).await.unwrap().run_id;
    handle.cancel(&first).await.unwrap();
    let forced = RunRequest {
        force: true,
        hold: None,
        ..three()
    };
    let same = RunRequest {
        hold: None,
        ..three()
    };
    let (forced, same) = tokio::join!(handle.submit(forced), handle.submit(same));
    assert_ne!(forced.unwrap().run_id, first);
    let second = same.unwrap().run_id;
    assert_ne!(second, first);
    let summary = handle.wait(&second).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let summary = handle.wait(&first).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
}

/// Whoever waits for a held run is told when its last task is cancelled, or it is replaced.
#[tokio::test]
async fn the_end_of_a_held_run_is_told() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let one = || held(vec![task("a", "noop", &[])]);
    let first = handle.submit(one()).await.unwrap().run_id;
    let (waited, cancelled) = tokio::join!(handle.wait(&first), handle.cancel_task(&first, "a"));
    cancelled.unwrap();
    assert_eq!(waited.unwrap().state, RunState::Failed);

    let second = handle.submit(one()).await.unwrap().run_id;
    let forced = RunRequest {
        force: true,
        hold: None,
        ..one()
    };
    let (waited, forced) = tokio::join!(handle.wait(&second), handle.submit(forced));
    forced.unwrap();
    assert_eq!(waited.unwrap().state, RunState::Cancelled);
}

/// A run that cannot be made takes nobody's place.
#[tokio::test]
async fn a_forced_run_that_cannot_be_made_ends_no_other() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let tasks = vec![task("a", "noop", &[]), task("b", "noop", &["a"])];
    let first = handle.submit(request(tasks.clone())).await.unwrap().run_id;
    handle.wait(&first).await.unwrap();
    let (store, data_dir) = (home.store().await, home.data_dir());
    let wanted = RunRequest {
        selection: Selection::From {
            task: "b".to_owned(),
            earlier: Earlier::load(&store, &data_dir, &first).await.unwrap(),
        },
        ..held(tasks)
    };
    let queued = handle.submit(wanted.clone()).await.unwrap().run_id;
    // What the first run left cannot be read.
    fs_err::create_dir_all(data_dir.join("runs")).unwrap();
    fs_err::write(run_dir(&data_dir, &first), "no folder").unwrap();
    let forced = RunRequest {
        force: true,
        hold: None,
        ..wanted
    };
    let refusal = handle.submit(forced).await.unwrap_err();
    assert!(matches!(refusal, Error::Files { .. }), "{refusal}");
    let row = store.run(&queued).await.unwrap().unwrap();
    assert_eq!(row.state, RunState::Queued);
}
