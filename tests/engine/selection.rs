//! Runs of some tasks, with the results of others taken over.

use serde_json::json;
use trendmill::{
    dag::{Node, RunState},
    engine::{Earlier, Error, Handle, RunRequest, Selection, TaskError, TaskOutcome},
};

use crate::kit::{Fake, Home, attempts, request, states, task};

/// scrape → embed, merge → train, with a side branch `tags` after scrape.
fn tasks() -> Vec<Node> {
    vec![
        task("scrape", "work", &[]),
        task("embed", "work", &["scrape"]),
        task("tags", "work", &["scrape"]),
        task("train", "fragile", &["embed"]),
    ]
}

fn operators(broken: bool) -> Vec<Fake> {
    let work = Fake::new("work", |context| async move {
        Ok(TaskOutcome {
            rows_in: 9,
            rows_out: 7,
            rows_computed: 7,
            output: json!({"from": context.run_id}),
            ..TaskOutcome::default()
        })
    });
    let fragile = Fake::new("fragile", move |context| async move {
        if broken {
            return Err(TaskError::fail(anyhow::anyhow!("not enough rows")));
        }
        Ok(TaskOutcome {
            output: context.upstream["embed"].clone(),
            ..TaskOutcome::default()
        })
    });
    vec![work, fragile]
}

async fn run(handle: &Handle, selection: Selection) -> trendmill::engine::RunSummary {
    let request = RunRequest {
        selection,
        ..request(tasks())
    };
    let run_id = handle.submit(request).await.unwrap().run_id;
    handle.wait(&run_id).await.unwrap()
}

#[tokio::test]
async fn from_a_task_on_the_rest_is_taken_over() {
    let home = Home::new();
    let handle = home.start(operators(false)).await;
    let first = run(&handle, Selection::All).await;
    let store = home.store().await;
    let earlier = Earlier::load(&store, &home.data_dir(), &first.run_id)
        .await
        .unwrap();
    let second = run(
        &handle,
        Selection::From {
            task: "embed".to_owned(),
            earlier,
        },
    )
    .await;
    assert_eq!(second.state, RunState::Succeeded);
    assert_eq!(
        attempts(&store, &second.run_id).await,
        ["embed.1 succeeded", "train.1 succeeded"]
    );
    let scrape = second.task("scrape").unwrap();
    assert_eq!(
        (
            scrape.attempts,
            scrape.rows_out,
            scrape.rows_computed,
            scrape.rows_reused
        ),
        (0, 7, 0, 7)
    );
    assert_eq!(
        scrape.message,
        Some(format!("taken over from run `{}`", first.run_id))
    );
}

#[tokio::test]
async fn only_one_task_runs() {
    let home = Home::new();
    let handle = home.start(operators(false)).await;
    let first = run(&handle, Selection::All).await;
    let store = home.store().await;
    let earlier = Earlier::load(&store, &home.data_dir(), &first.run_id)
        .await
        .unwrap();
    let second = run(
        &handle,
        Selection::Only {
            task: "embed".to_owned(),
            earlier,
        },
    )
    .await;
    assert_eq!(
        states(&store, &second.run_id).await,
        [
            "scrape succeeded",
            "embed succeeded",
            "tags succeeded",
            "train skipped (not selected)"
        ]
    );
    assert_eq!(
        attempts(&store, &second.run_id).await,
        ["embed.1 succeeded"]
    );
}

#[tokio::test]
async fn what_failed_is_retried_with_the_results_that_are_there() {
    let home = Home::new();
    let handle = home.start(operators(true)).await;
    let first = run(&handle, Selection::All).await;
    assert_eq!(first.state, RunState::Failed);
    handle.drain();
    handle.stopped_for_good().await;

    let handle = home.start(operators(false)).await;
    let store = home.store().await;
    let earlier = Earlier::load(&store, &home.data_dir(), &first.run_id)
        .await
        .unwrap();
    let second = run(&handle, Selection::Failed { earlier }).await;
    assert_eq!(second.state, RunState::Succeeded);
    assert_eq!(
        attempts(&store, &second.run_id).await,
        ["train.1 succeeded"]
    );
    let rows = store.tasks(&second.run_id).await.unwrap();
    assert!(rows[3].outcome.as_ref().unwrap().contains(&first.run_id));
}

#[tokio::test]
async fn a_selection_without_the_results_it_needs_is_refused() {
    let home = Home::new();
    let handle = home.start(operators(false)).await;
    let mut missing = request(tasks());
    missing.selection = Selection::From {
        task: "train".to_owned(),
        earlier: Earlier::default(),
    };
    let refusal = handle.submit(missing).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "no earlier run still has the result of `scrape`, `embed`; start at one of them instead"
    );
    let mut unknown = request(tasks());
    unknown.selection = Selection::Only {
        task: "tain".to_owned(),
        earlier: Earlier::default(),
    };
    let refusal = handle.submit(unknown).await.unwrap_err();
    assert!(matches!(refusal, Error::UnknownTask { .. }), "{refusal}");
}
