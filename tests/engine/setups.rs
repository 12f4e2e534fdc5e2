//! Work that is done again has what its setup prepares, though a teardown has put that away.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use trendmill::{
    dag::{Node, RunState, TriggerRule},
    engine::{ClearSelection, RunRequest, TaskError},
};

use crate::kit::{Fake, Home, attempts, done, request, task};

#[tokio::test]
async fn a_setup_runs_again_with_the_work_that_needs_it() {
    let home = Home::new();
    // What the setup makes and the teardown removes.
    let made = Arc::new(AtomicBool::new(false));
    let mended = Arc::new(AtomicBool::new(false));
    let set = |name, to| {
        let made = Arc::clone(&made);
        Fake::new(name, move |_| {
            made.store(to, Ordering::SeqCst);
            async { done(json!(null)) }
        })
    };
    let work = {
        let (made, mended) = (Arc::clone(&made), Arc::clone(&mended));
        Fake::new("work", move |_| {
            let good = made.load(Ordering::SeqCst) && mended.load(Ordering::SeqCst);
            async move {
                if good {
                    return done(json!(null));
                }
                Err(TaskError::fail(anyhow::anyhow!("broken")))
            }
        })
    };
    let handle = home
        .start(vec![set("make", true), work, set("tidy", false)])
        .await;
    let tasks = vec![
        task("first", "noop", &[]),
        Node {
            setup: true,
            ..task("make", "make", &["first"])
        },
        task("work", "work", &["make"]),
        Node {
            teardown: true,
            trigger: TriggerRule::AllDoneSetupSuccess,
            ..task("tidy", "tidy", &["make", "work"])
        },
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    assert_eq!(handle.wait(&run_id).await.unwrap().state, RunState::Failed);
    assert!(!made.load(Ordering::SeqCst));
    mended.store(true, Ordering::SeqCst);

    let store = home.store().await;
    let row = store.run(&run_id).await.unwrap().unwrap();
    let again = RunRequest::again(&store, &home.data_dir(), &row, None)
        .await
        .unwrap();
    let again = handle.submit(again).await.unwrap().run_id;
    let summary = handle.wait(&again).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let done = ["make.1 succeeded", "work.1 succeeded", "tidy.1 succeeded"];
    assert_eq!(attempts(&store, &again).await, done);

    let cleared = handle.clear(&run_id, ClearSelection::Failed).await.unwrap();
    assert_eq!(cleared.task_ids, ["make", "work", "tidy"]);
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert!(!made.load(Ordering::SeqCst));
}
