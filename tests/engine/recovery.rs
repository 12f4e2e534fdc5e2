//! A process dies; the next one goes on.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use trendmill::{
    dag::{Mapping, Node, RunState},
    engine::{EngineEvent, Error, ExecutorChoice, Placement},
    store::{NewRun, Turn},
};

use crate::kit::{Fake, Home, attempts, done, request, started, states, task};

/// Notes which attempts ran; the one of `stuck` never ends.
fn recorder(log: &Arc<Mutex<Vec<String>>>, stuck: Option<&'static str>) -> Fake {
    let log = Arc::clone(log);
    Fake::new("work", move |context| {
        let log = Arc::clone(&log);
        async move {
            let name = format!("{}.{}", context.task_id, context.attempt);
            log.lock().unwrap().push(name);
            if stuck == Some(context.task_id.as_str()) {
                std::future::pending::<()>().await;
            }
            done(json!(context.task_id))
        }
    })
}

/// Runs `work` on a runtime that is dropped without any farewell, as `kill -9` would.
fn dies<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    // The store's threads end on their own time, and with them the lock of the home.
    std::thread::sleep(std::time::Duration::from_millis(50));
    result
}

#[test]
fn the_same_command_resumes_the_run_of_a_dead_process() {
    let home = Home::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let tasks = || {
        vec![
            task("a", "work", &[]),
            task("b", "work", &["a"]),
            task("c", "work", &["b"]),
        ]
    };
    let first = dies(async {
        let handle = home.start(vec![recorder(&log, Some("b"))]).await;
        let mut events = handle.subscribe();
        let run_id = handle.submit(request(tasks())).await.unwrap().run_id;
        started(&mut events, "b").await;
        run_id
    });
    dies(async {
        let handle = home.start(vec![recorder(&log, None)]).await;
        let again = handle.submit(request(tasks())).await.unwrap();
        assert_eq!((&again.run_id, again.resumed), (&first, true));
        let summary = handle.wait(&first).await.unwrap();
        assert_eq!(summary.state, RunState::Succeeded);
        let store = home.store().await;
        assert_eq!(
            attempts(&store, &first).await,
            [
                "a.1 succeeded",
                "b.1 crashed",
                "b.2 succeeded",
                "c.1 succeeded"
            ]
        );
        let rows = store.attempts(&first, Some("b")).await.unwrap();
        assert_eq!(rows[0].error_code.as_deref(), Some("owner_lost"));
        assert_eq!(store.run(&first).await.unwrap().unwrap().fence, 2);

        // A finished run is not resumed: the same command makes a new one.
        let next = handle.submit(request(tasks())).await.unwrap();
        assert!(!next.resumed && next.run_id != first);
        handle.wait(&next.run_id).await.unwrap();
    });
    // Whether the first attempt of `b` came as far as to say so is chance.
    let log: Vec<String> = log.lock().unwrap().clone();
    let said: Vec<&str> = log
        .iter()
        .map(String::as_str)
        .filter(|said| *said != "b.1")
        .collect();
    assert_eq!(said[..3], ["a.1", "b.2", "c.1"]);
}

/// The transaction is written, then the process dies before the attempt is started.
#[test]
fn a_death_between_transaction_and_effect_repeats_nothing_and_loses_nothing() {
    let mut home = Home::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let armed = Arc::new(AtomicBool::new(true));
    home.executors = {
        let armed = Arc::clone(&armed);
        ExecutorChoice::new(move |node| {
            // Asked after the commit, before the start: the last moment to die in between.
            assert!(
                node.id != "b" || !armed.load(Ordering::SeqCst),
                "the power fails"
            );
            Placement::Inline
        })
    };
    let tasks = || vec![task("a", "work", &[]), task("b", "work", &["a"])];
    let run_id = dies(async {
        let handle = home.start(vec![recorder(&log, None)]).await;
        let run_id = handle.submit(request(tasks())).await.unwrap().run_id;
        handle.wait(&run_id).await.unwrap_err();
        let store = home.store().await;
        assert_eq!(states(&store, &run_id).await, ["a succeeded", "b running"]);
        run_id
    });
    armed.store(false, Ordering::SeqCst);
    dies(async {
        let handle = home.start(vec![recorder(&log, None)]).await;
        handle.resume(&run_id).await.unwrap();
        let summary = handle.wait(&run_id).await.unwrap();
        assert_eq!(summary.state, RunState::Succeeded);
    });
    assert_eq!(*log.lock().unwrap(), ["a.1", "b.2"]);
}

#[test]
fn a_process_that_dies_again_and_again_fails_its_run() {
    let home = Home::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut node = task("a", "work", &[]);
    // What kills its owner says nothing about the task.
    node.retry.crash_retries = 0;
    node.retry.max_run_crashes = 1;
    let run_id = dies(async {
        let handle = home.start(vec![recorder(&log, Some("a"))]).await;
        handle
            .submit(request(vec![node.clone()]))
            .await
            .unwrap()
            .run_id
    });
    dies(async {
        let handle = home.start(vec![recorder(&log, Some("a"))]).await;
        let mut events = handle.subscribe();
        handle.resume(&run_id).await.unwrap();
        // It may be taken up in one turn and started in the next.
        while !matches!(events.recv().await, Ok(EngineEvent::AttemptStarted { .. })) {}
    });
    dies(async {
        let handle = home.start(vec![recorder(&log, Some("a"))]).await;
        let ended = handle.resume(&run_id).await.unwrap_err();
        assert!(matches!(ended, Error::Ended(_)), "{ended}");
        let store = home.store().await;
        assert_eq!(
            attempts(&store, &run_id).await,
            ["a.1 crashed", "a.2 crashed"]
        );
        assert_eq!(states(&store, &run_id).await, ["a failed"]);
        let row = store.run(&run_id).await.unwrap().unwrap();
        assert_eq!(
            row.cause,
            "`a` failed: the run has lost attempts with their processes 2 times; \
             `max_run_crashes` allows 1"
        );
    });
}

#[test]
fn force_starts_anew_and_ends_the_unfinished_run() {
    let home = Home::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let tasks = || vec![task("a", "work", &[])];
    let first = dies(async {
        let handle = home.start(vec![recorder(&log, Some("a"))]).await;
        handle.submit(request(tasks())).await.unwrap().run_id
    });
    dies(async {
        let handle = home.start(vec![recorder(&log, None)]).await;
        let mut forced = request(tasks());
        forced.force = true;
        let second = handle.submit(forced).await.unwrap();
        assert!(!second.resumed && second.run_id != first);
        handle.wait(&second.run_id).await.unwrap();
        let store = home.store().await;
        let row = store.run(&first).await.unwrap().unwrap();
        assert_eq!(row.state, RunState::Cancelled);
        assert!(row.cause.contains("forced"), "{}", row.cause);
    });
}

#[tokio::test]
async fn a_schedule_has_one_run_per_tick() {
    let home = Home::new();
    let handle = home.start(Vec::new()).await;
    let scheduled = || {
        let mut request = request(vec![task("a", "noop", &[])]);
        request.schedule = Some("reddit".to_owned());
        request
    };
    let run_id = handle.submit(scheduled()).await.unwrap().run_id;
    handle.wait(&run_id).await.unwrap();
    let refusal = handle.submit(scheduled()).await.unwrap_err();
    assert!(matches!(refusal, Error::TickTaken { .. }), "{refusal}");
}

/// The last shards of a mapped task have reported, and nobody lived to read that.
#[test]
fn what_shards_have_reported_is_joined_after_a_death() {
    let home = Home::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let mapped = Node {
        map: Some(Mapping {
            expression: "2".to_owned(),
            scope: json!({}),
            ..Mapping::default()
        }),
        ..task("m", "stuck", &[])
    };
    let stuck = || {
        Fake::new("stuck", |_| async {
            std::future::pending::<()>().await;
            done(json!(null))
        })
    };
    let tasks = vec![mapped, task("last", "work", &["m"])];
    let run_id = dies(async {
        let handle = home.start(vec![recorder(&log, None), stuck()]).await;
        let run_id = handle.submit(request(tasks)).await.unwrap().run_id;
        let store = home.store().await;
        let result = json!({"end": "succeeded", "outcome": {"rows_out": 3, "output": "made"}});
        for attempt in store.attempts(&run_id, None).await.unwrap() {
            let text = result.to_string();
            store.report_attempt(&attempt.id, &text).await.unwrap();
        }
        run_id
    });
    dies(async {
        let handle = home.start(vec![recorder(&log, None), stuck()]).await;
        handle.resume(&run_id).await.unwrap();
        let summary = handle.wait(&run_id).await.unwrap();
        assert_eq!(summary.state, RunState::Succeeded);
        let store = home.store().await;
        let rows = store.tasks(&run_id).await.unwrap();
        let outcome = rows[0].outcome.as_deref().unwrap();
        let outcome: serde_json::Value = serde_json::from_str(outcome).unwrap();
        assert_eq!(outcome["rows_out"], 6);
        assert_eq!(outcome["output"], "made");
        assert_eq!(store.faults().await.unwrap(), []);
    });
}

#[test]
fn a_run_that_cannot_be_read_keeps_no_other_from_going_on() {
    let home = Home::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let good = dies(async {
        let handle = home.start(vec![recorder(&log, Some("a"))]).await;
        let tasks = vec![task("a", "work", &[])];
        handle.submit(request(tasks)).await.unwrap().run_id
    });
    dies(async {
        let store = home.store().await;
        let row = store.run(&good).await.unwrap().unwrap();
        let broken = NewRun {
            id: "broken".to_owned(),
            pipeline: row.pipeline,
            definition_hash: row.definition_hash,
            definition: String::new(),
            // It has no rows for these tasks.
            graph: serde_json::to_string(&request(vec![task("a", "work", &[])]).graph).unwrap(),
            params: "{}".to_owned(),
            source: None,
            profile: None,
            schedule: None,
            scheduled_for: row.scheduled_for,
            interval_start: row.interval_start,
            interval_end: row.interval_end,
            as_of: row.as_of,
            force: false,
            trigger: "manual",
            cause: String::new(),
            identity: "broken".to_owned(),
            owner: Some("dead".to_owned()),
            hold: None,
            deadline_at: None,
            backfill: None,
            created_at: row.created_at,
            tasks: Vec::new(),
        };
        let turn = Turn {
            new_runs: vec![broken],
            ..Turn::default()
        };
        store.write_turn(&turn).await.unwrap();
        let handle = home.start(vec![recorder(&log, None)]).await;
        handle.cancel("broken").await.unwrap();
        handle.resume(&good).await.unwrap();
        let summary = handle.wait(&good).await.unwrap();
        assert_eq!(summary.state, RunState::Succeeded);
    });
}
