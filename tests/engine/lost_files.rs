//! A run whose files retention has removed, once more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use trendmill::{
    dag::RunState,
    engine::{
        ClearSelection, Error, Handle, RunRequest, TaskError, TaskOutcome, run_dir, to_clear,
    },
    store::Store,
};

use crate::kit::{Fake, Home, attempts, request, task};

/// A run of which `make` left a file for `read`, which failed; the file is gone, and `read` would
/// succeed now.
async fn without_its_file(home: &Home) -> (Handle, Store, String) {
    let mended = Arc::new(AtomicBool::new(false));
    let make = Fake::new("make", |context| async move {
        fs_err::create_dir_all(&context.run_dir)?;
        fs_err::write(context.run_dir.join("rows.json"), "[]")?;
        Ok(TaskOutcome {
            files: vec!["rows.json".to_owned()],
            ..TaskOutcome::default()
        })
    });
    let seen = Arc::clone(&mended);
    let read = Fake::new("read", move |context| {
        let mended = Arc::clone(&seen);
        async move {
            if !mended.load(Ordering::SeqCst) {
                return Err(TaskError::fail(anyhow::anyhow!("broken")));
            }
            fs_err::read(context.run_dir.join("rows.json")).map_err(TaskError::fail)?;
            Ok(TaskOutcome::default())
        }
    });
    let handle = home.start(vec![make, read]).await;
    let tasks = vec![
        task("before", "noop", &[]),
        task("make", "make", &["before"]),
        task("read", "read", &["make"]),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    assert_eq!(handle.wait(&run_id).await.unwrap().state, RunState::Failed);
    mended.store(true, Ordering::SeqCst);
    let file = run_dir(&home.data_dir(), &run_id).join("rows.json");
    fs_err::remove_file(file).unwrap();
    (handle, home.store().await, run_id)
}

#[tokio::test]
async fn a_retry_makes_them_again() {
    let home = Home::new();
    let (handle, store, run_id) = without_its_file(&home).await;
    let row = store.run(&run_id).await.unwrap().unwrap();
    let data_dir = home.data_dir();
    let again = RunRequest::again(&store, &data_dir, &row, None);
    let again = handle.submit(again.await.unwrap()).await.unwrap().run_id;
    let summary = handle.wait(&again).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert_eq!(
        attempts(&store, &again).await,
        ["make.1 succeeded", "read.1 succeeded"]
    );

    let from = RunRequest::again(&store, &data_dir, &row, Some("read".to_owned()));
    let refusal = from.await.unwrap().check_selection().unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no earlier run still has the result of `make`; start at one of them instead"
    );
}

#[tokio::test]
async fn clearing_says_where_to_begin() {
    let home = Home::new();
    let (handle, store, run_id) = without_its_file(&home).await;
    let data_dir = home.data_dir();
    let only = ClearSelection::Only("read".to_owned());
    for selection in [ClearSelection::Failed, only] {
        let told = to_clear(&store, &data_dir, &run_id, &selection).await;
        let refused = handle.clear(&run_id, selection).await;
        for refusal in [told.unwrap_err(), refused.unwrap_err()] {
            assert!(
                matches!(&refusal, Error::FilesGone { task, .. } if task == "make"),
                "{refusal}"
            );
        }
    }
    let row = store.run(&run_id).await.unwrap().unwrap();
    assert_eq!(row.state, RunState::Failed);

    let from = ClearSelection::From("make".to_owned());
    handle.clear(&run_id, from).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
}
