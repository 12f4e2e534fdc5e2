//! A full disk is a state that ends by itself.

use std::{io, path::PathBuf, time::Duration};

use serde_json::json;
use trendmill::{
    dag::RunState,
    engine::{EngineEvent, Explanation, Handle, TaskError},
    store::Store,
};

use crate::kit::{Fake, Home, attempts, done, request, task};

/// A disk whose free bytes stand in a file.
struct Disk(PathBuf);

impl Disk {
    fn set_free(&self, bytes: u64) {
        fs_err::write(&self.0, bytes.to_string()).unwrap();
    }
}

/// An engine on such a disk, which is full.
async fn start_on_a_full_disk() -> (Home, Store, Disk, Handle) {
    let mut home = Home::new();
    home.change = |settings| {
        settings.free_bytes = |folder| {
            let text = fs_err::read_to_string(folder.join("free")).ok()?;
            text.parse().ok()
        };
    };
    let store = home.store().await;
    let disk = Disk(home.folder.path().join("data/free"));
    disk.set_free(1_000_000);
    let handle = home.start(Vec::new()).await;
    (home, store, disk, handle)
}

#[tokio::test]
async fn nothing_starts_on_a_full_disk_and_work_goes_on_when_there_is_room() {
    let (_home, store, disk, handle) = start_on_a_full_disk().await;
    let mut full = handle.disk_full();
    let run = handle
        .submit(request(vec![task("a", "noop", &[])]))
        .await
        .unwrap()
        .run_id;
    full.wait_for(|&full| full).await.unwrap();
    assert!(attempts(&store, &run).await.is_empty());
    let explain = async || {
        let (slots, disk) = (handle.slots(), handle.disk());
        let explanation = Explanation::load(&store, &run, "a", &slots, disk).await;
        explanation.unwrap()
    };
    let explanation = explain().await;
    assert_eq!(explanation.reason, "disk_full");
    assert_eq!(
        explanation.sentence,
        "`a` waits: the disk is full, 1 MB free of the 128 MB it needs"
    );
    // A little room is not enough to begin again.
    disk.set_free(100_000_000);
    handle.tick();
    // The engine answers meanwhile.
    handle
        .submit(request(vec![task("a", "noop", &[])]))
        .await
        .unwrap();
    assert!(attempts(&store, &run).await.is_empty());
    disk.set_free(1_000_000_000);
    let summary = handle.wait(&run).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert!(!*handle.disk_full().borrow());
}

/// An operator that meets a full disk waits for room, and is not the poorer for it.
#[tokio::test]
async fn a_task_that_meets_a_full_disk_waits_and_spends_no_retry() {
    let home = Home::new();
    let writer = Fake::new("write", |context| async move {
        if context.attempt < 3 {
            return Err(TaskError::from(io::Error::from(io::ErrorKind::StorageFull)));
        }
        done(json!(null))
    });
    let handle = home.start(vec![writer]).await;
    let mut events = handle.subscribe();
    let run = handle
        .submit(request(vec![task("a", "write", &[])]))
        .await
        .unwrap()
        .run_id;
    let store = home.store().await;
    for number in 1..3 {
        loop {
            let event = events.recv().await.unwrap();
            if matches!(event, EngineEvent::AttemptFailed { attempt, .. } if attempt == number) {
                break;
            }
        }
        let waits = Explanation::load(&store, &run, "a", &handle.slots(), handle.disk()).await;
        let sentence = waits.unwrap().sentence;
        assert!(sentence.contains("disk full"), "{sentence}");
        home.clock.advance(Duration::from_secs(30));
        handle.tick();
    }
    let summary = handle.wait(&run).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let rows = store.attempts(&run, None).await.unwrap();
    let codes: Vec<_> = rows.iter().map(|row| row.error_code.as_deref()).collect();
    assert_eq!(codes, [Some("disk_full"), Some("disk_full"), None]);
}

#[tokio::test]
async fn a_full_disk_is_left_without_work_too() {
    let (_home, _store, disk, handle) = start_on_a_full_disk().await;
    assert!(handle.disk().full, "nobody had to ask for work");
    let mut full = handle.disk_full();
    let run = handle
        .submit(request(vec![task("a", "noop", &[])]))
        .await
        .unwrap()
        .run_id;
    full.wait_for(|&full| full).await.unwrap();
    handle.cancel(&run).await.unwrap();
    handle.wait(&run).await.unwrap();
    disk.set_free(1_000_000_000);
    handle.tick();
    full.wait_for(|&full| !full).await.unwrap();
    assert!(!handle.disk().full);
}

#[tokio::test]
async fn slots_change_while_work_goes_on() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let mut tasks = vec![task("a", "endless", &[]), task("b", "endless", &[])];
    for task in &mut tasks {
        task.pool = Some("device".to_owned());
    }
    handle.submit(request(tasks)).await.unwrap();
    let mut started = Vec::new();
    while started.len() < 2 {
        if let EngineEvent::AttemptStarted { task_id, .. } = events.recv().await.unwrap() {
            started.push(task_id);
            let mut slots = handle.slots();
            slots.pools.insert("device".to_owned(), 2);
            handle.set_slots(slots);
        }
    }
    assert_eq!(started, ["a", "b"]);
    handle.stop();
    handle.stopped_for_good().await;
}
