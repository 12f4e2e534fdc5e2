//! Expressions decide whether a task runs, and how often; tasks wait for a time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value, json};
use trendmill::{
    clock::Clock as _,
    dag::{Mapping, Node, RunState},
    engine::{ClearSelection, Earlier, EngineEvent, RunRequest, Selection, TaskError, TaskOutcome},
};

use crate::kit::{Fake, Home, at, attempts, done, request, states, task};

fn mapped(id: &str, op: &str, after: &[&str], expression: &str) -> Node {
    Node {
        map: Some(Mapping {
            expression: expression.to_owned(),
            templates: Map::from_iter([
                (
                    "part".to_owned(),
                    json!("{{ shard.index }}/{{ shard.count }}"),
                ),
                ("item".to_owned(), json!("{{ shard.item }}")),
            ]),
            scope: json!({}),
            ..Mapping::default()
        }),
        ..task(id, op, after)
    }
}

/// Lists as many items as `items` holds.
fn lister(items: &Arc<Mutex<Vec<&'static str>>>) -> Fake {
    let items = Arc::clone(items);
    Fake::new("list", move |_| {
        let items = items.lock().unwrap().clone();
        async move { done(json!({"files": items})) }
    })
}

/// Counts one row and says which shard it was; the shard of `sore` fails while that is wanted.
fn worker(broken: &Arc<AtomicBool>) -> Fake {
    let broken = Arc::clone(broken);
    Fake::new("work", move |context| {
        let broken = Arc::clone(&broken);
        async move {
            if context.settings["item"] == json!("sore") && broken.load(Ordering::SeqCst) {
                return Err(TaskError::fail(anyhow::anyhow!("broken")));
            }
            assert!(context.upstream["list"]["files"].is_array());
            Ok(TaskOutcome {
                rows_in: 1,
                rows_out: 1,
                rows_computed: 1,
                output: context.settings["part"].clone(),
                ..TaskOutcome::default()
            })
        }
    })
}

fn reader(seen: &Arc<Mutex<Vec<Value>>>) -> Fake {
    let seen = Arc::clone(seen);
    Fake::new("read", move |context| {
        seen.lock().unwrap().push(json!(context.upstream));
        async { done(json!(null)) }
    })
}

#[tokio::test]
async fn a_mapped_task_is_done_for_each_item_and_joined() {
    let home = Home::new();
    let items = Arc::new(Mutex::new(vec!["a", "sore", "c"]));
    let broken = Arc::new(AtomicBool::new(true));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handle = home
        .start(vec![lister(&items), worker(&broken), reader(&seen)])
        .await;
    let tasks = vec![
        task("list", "list", &[]),
        mapped("work", "work", &["list"], "tasks.list.output.files"),
        task("read", "read", &["work"]),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    assert_eq!(handle.wait(&run_id).await.unwrap().state, RunState::Failed);
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        [
            "list succeeded",
            "work failed",
            "read upstream_failed",
            "work[0] succeeded",
            "work[1] failed",
            "work[2] succeeded"
        ]
    );

    // A retry in a new run does the failed shard only, and so does clearing it in this one.
    broken.store(false, Ordering::SeqCst);
    let earlier = Earlier::load(&store, &home.data_dir(), &run_id)
        .await
        .unwrap();
    let retry = RunRequest {
        graph: store.run_graph(&run_id).await.unwrap(),
        selection: Selection::Failed { earlier },
        ..request(Vec::new())
    };
    let second = handle.submit(retry).await.unwrap().run_id;
    let summary = handle.wait(&second).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert_eq!(
        attempts(&store, &second).await,
        ["read.1 succeeded", "work[1].1 succeeded"]
    );
    let cleared = handle.clear(&run_id, ClearSelection::Failed).await.unwrap();
    assert_eq!(cleared.task_ids, ["work", "read", "work[1]"]);
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let work = summary.task("work").unwrap();
    assert_eq!((work.rows_in, work.rows_computed, work.attempts), (3, 3, 0));
    let read = seen.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        read,
        json!({"list": {"files": ["a", "sore", "c"]}, "work": ["0/3", "1/3", "2/3"]})
    );

    // What lies upstream runs again, and lists less: the task is mapped anew.
    *items.lock().unwrap() = vec!["a", "b"];
    let from = ClearSelection::From("list".to_owned());
    handle.clear(&run_id, from).await.unwrap();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert_eq!(
        states(&store, &run_id).await,
        [
            "list succeeded",
            "work succeeded",
            "read succeeded",
            "work[0] succeeded",
            "work[1] succeeded",
            "work[2] skipped (its task is mapped anew)"
        ]
    );
    assert_eq!(summary.task("work[0]").unwrap().attempts, 2);
    assert_eq!(summary.task("work[2]").unwrap().attempts, 1);
    assert_eq!(summary.task("work").unwrap().rows_in, 2);

    // The new run was one of the same shards; from above them it is mapped anew as well.
    let earlier = Earlier::load(&store, &home.data_dir(), &second)
        .await
        .unwrap();
    let again = RunRequest {
        graph: store.run_graph(&second).await.unwrap(),
        selection: Selection::From {
            task: "work".to_owned(),
            earlier,
        },
        ..request(Vec::new())
    };
    let third = handle.submit(again).await.unwrap().run_id;
    assert_eq!(
        handle.wait(&third).await.unwrap().state,
        RunState::Succeeded
    );
    let tried = attempts(&store, &third).await;
    assert_eq!(tried.len(), 4, "{tried:?}");
}

#[tokio::test]
async fn nothing_to_map_is_skipped_and_nonsense_fails() {
    let home = Home::new();
    let items = Arc::new(Mutex::new(Vec::new()));
    let broken = Arc::new(AtomicBool::new(false));
    let handle = home.start(vec![lister(&items), worker(&broken)]).await;
    let tasks = vec![
        task("list", "list", &[]),
        mapped("none", "work", &["list"], "tasks.list.output.files"),
        mapped("text", "work", &["list"], "tasks.list.state"),
        mapped("lack", "work", &["list"], "tasks.list.output.folders"),
        mapped("three", "work", &["list"], "3"),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Failed);
    let store = home.store().await;
    let rows = store.tasks(&run_id).await.unwrap();
    let told = |id: &str| {
        let row = rows.iter().find(|row| row.task_id == id).unwrap();
        format!("{}: {}", row.run.state.name(), row.cause)
    };
    assert_eq!(
        told("none"),
        "skipped: map: tasks.list.output.files gives nothing"
    );
    assert_eq!(
        told("text"),
        "failed: `map = \"tasks.list.state\"` gives \"succeeded\", which is neither a list nor a \
         count"
    );
    assert_eq!(
        told("lack"),
        "failed: `map = \"tasks.list.output.folders\"` needs `tasks.list.output.folders`, which \
         has no value"
    );
    assert_eq!(told("three"), "succeeded: its shards succeeded");
}

#[tokio::test]
async fn shards_end_with_their_run_and_their_task() {
    let home = Home::new();
    let handle = home.start(vec![Fake::endless("endless")]).await;
    for whole in [false, true] {
        let mut events = handle.subscribe();
        let mut work = mapped("work", "endless", &[], "4");
        work.map.as_mut().unwrap().max_active = Some(2);
        let force = RunRequest {
            force: true,
            ..request(vec![work])
        };
        let run_id = handle.submit(force).await.unwrap().run_id;
        let mut started = 0;
        while started < 2 {
            if let EngineEvent::AttemptStarted { .. } = events.recv().await.unwrap() {
                started += 1;
            }
        }
        if whole {
            handle.cancel(&run_id).await.unwrap();
        } else {
            handle.cancel_task(&run_id, "work").await.unwrap();
        }
        let summary = handle.wait(&run_id).await.unwrap();
        let (state, tried) = if whole {
            (RunState::Cancelled, 2)
        } else {
            (RunState::Failed, 2)
        };
        assert_eq!(summary.state, state);
        assert!(summary.tasks.iter().all(|task| task.state == "cancelled"));
        let store = home.store().await;
        assert_eq!(attempts(&store, &run_id).await.len(), tried);
    }
}

#[tokio::test]
async fn an_expression_skips_and_branches() {
    let home = Home::new();
    let count = Fake::new("count", |_| async {
        Ok(TaskOutcome {
            rows_out: 7,
            ..TaskOutcome::default()
        })
    });
    let handle = home.start(vec![count]).await;
    let when = |id: &str, text: &str| Node {
        when: Some(text.to_owned()),
        ..task(id, "noop", &["count"])
    };
    let tasks = vec![
        task("count", "count", &[]),
        when("many", "tasks.count.rows_out > 5"),
        when("few", "tasks.count.rows_out <= 5"),
        task("after_few", "noop", &["few"]),
        when("new", "run.date >= '2026-01-16' and params.fast"),
    ];
    let asked = RunRequest {
        params: Map::from_iter([("fast".to_owned(), json!(true))]),
        ..request(tasks)
    };
    let run_id = handle.submit(asked).await.unwrap().run_id;
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await,
        [
            "count succeeded",
            "many succeeded",
            "few skipped (when: tasks.count.rows_out <= 5)",
            "after_few skipped (when: tasks.count.rows_out <= 5)",
            "new succeeded"
        ]
    );
}

#[tokio::test]
async fn a_task_that_waits_holds_no_slot_and_spends_no_retry() {
    let mut home = Home::new();
    home.change = |settings| settings.parallelism = 1;
    let handle = home.start(Vec::new()).await;
    let mut events = handle.subscribe();
    let wait = Node {
        settings: Map::from_iter([("for".to_owned(), json!("30m"))]),
        ..task("wait", "wait", &[])
    };
    let tasks = vec![
        wait,
        task("other", "noop", &[]),
        task("end", "noop", &["wait"]),
    ];
    let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
    let until = loop {
        if let EngineEvent::AttemptDeferred { until, reason, .. } = events.recv().await.unwrap() {
            assert_eq!(reason, "it waits until 2026-01-17T08:30:00Z");
            break until;
        }
    };
    assert_eq!(until, at("2026-01-17T08:30:00Z"));
    while !matches!(
        events.recv().await.unwrap(),
        EngineEvent::TaskEnded { task_id, .. } if task_id == "other"
    ) {}
    let store = home.store().await;
    assert_eq!(
        states(&store, &run_id).await[0],
        "wait delayed until 2026-01-17T08:30:00Z"
    );
    home.clock.set(home.clock.now() + Duration::from_mins(30));
    handle.tick();
    let summary = handle.wait(&run_id).await.unwrap();
    assert_eq!(summary.state, RunState::Succeeded);
    assert_eq!(
        attempts(&store, &run_id).await,
        [
            "wait.1 deferred",
            "wait.2 succeeded",
            "other.1 succeeded",
            "end.1 succeeded"
        ]
    );
    assert_eq!(store.tasks(&run_id).await.unwrap()[0].run.failures, 0);
}
