//! A full disk is a state that ends by itself.

use std::path::Path;

use trendmill::dag::RunState;

use crate::kit::{Home, attempts, request, task};

/// A disk whose free bytes stand in a file.
fn free(folder: &Path) -> Option<u64> {
    let text = fs_err::read_to_string(folder.join("free")).ok()?;
    text.parse().ok()
}

#[tokio::test]
async fn nothing_starts_on_a_full_disk_and_work_goes_on_when_there_is_room() {
    let mut home = Home::new();
    home.change = |settings| settings.free_bytes = free;
    let store = home.store().await;
    let disk = home.folder.path().join("data/free");
    fs_err::write(&disk, "1000000").unwrap();
    let handle = home.start(Vec::new()).await;
    let mut full = handle.disk_full();
    let run = handle
        .submit(request(vec![task("a", "noop", &[])]))
        .await
        .unwrap()
        .run_id;
    full.wait_for(|&full| full).await.unwrap();
    assert!(attempts(&store, &run).await.is_empty());
    // A little room is not enough to begin again.
    fs_err::write(&disk, "100000000").unwrap();
    handle.tick();
    // The engine answers meanwhile.
    handle
        .submit(request(vec![task("a", "noop", &[])]))
        .await
        .unwrap();
    assert!(attempts(&store, &run).await.is_empty());
    fs_err::write(&disk, "1000000000").unwrap();
    let summary = handle.wait(&run).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert!(!*handle.disk_full().borrow());
}

#[tokio::test]
async fn slots_change_while_work_goes_on() {
    let home = Home::new();
    let handle = home.start(vec![crate::kit::Fake::endless("endless")]).await;
    let mut events = handle.subscribe();
    let mut tasks = vec![task("a", "endless", &[]), task("b", "endless", &[])];
    for task in &mut tasks {
        task.pool = Some("device".to_owned());
    }
    handle.submit(request(tasks)).await.unwrap();
    let mut started = Vec::new();
    while started.len() < 2 {
        if let trendmill::engine::EngineEvent::AttemptStarted { task_id, .. } =
            events.recv().await.unwrap()
        {
            started.push(task_id);
            handle.set_slots(0, [("device".to_owned(), 2)].into());
        }
    }
    assert_eq!(started, ["a", "b"]);
    handle.stop();
    handle.stopped_for_good().await;
}
