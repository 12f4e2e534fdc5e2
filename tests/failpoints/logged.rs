//! Deaths of the daemon while it writes what others log: it is there whole or not at all, and logging
//! it again ends in the same state.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Stdio},
};

use serde_json::{Value, json};
use trendmill::{
    clock::Timestamp,
    store::{LoggedSearch, NewLoggedRun, Store},
};

use crate::{UP, around, commands::dies_at as dies_at_command, effects, home::Home};

/// A daemon that has said where it listens.
fn up(home: &Home, environment: &[(&str, &str)]) -> (Child, String) {
    let mut child = home
        .command(&UP[1..])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut url = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if let Some((_, address)) = line.split_once("listening at ") {
            address.clone_into(&mut url);
        }
        if line.ends_with("ready") {
            break;
        }
    }
    assert!(!url.is_empty(), "it does not listen");
    // What it goes on to say must be read, or it would wait for a reader.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (child, url)
}

/// The answer of a daemon; none where it died over it.
#[expect(clippy::disallowed_methods, reason = "a test asks its own daemon")]
fn ask(url: &str, path: &str, body: &Value) -> Option<Value> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = format!("{url}/api/2.0/mlflow/{path}");
        let asked = reqwest::Client::new().post(url).json(body).send().await;
        asked.ok()?.json().await.ok()
    })
}

/// A home in which a run was made that is called `first`.
fn home() -> Home {
    let home = Home::empty();
    let (mut daemon, url) = up(&home, &[]);
    let new = json!({ "experiment_id": "0", "run_name": "first", "start_time": 7 });
    let made = ask(&url, "runs/create", &new).unwrap();
    home.write("run", made["run"]["info"]["run_id"].as_str().unwrap());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    home
}

/// All that others have logged, but for ids and times.
fn state(home: &Home) -> Value {
    effects::ask(home.path(), async |store| {
        let experiments = store.logged_experiments().await.unwrap();
        let experiments: Vec<_> = experiments
            .iter()
            .map(|experiment| json!([experiment.name, experiment.tags]))
            .collect();
        let search = LoggedSearch {
            experiments: &[0, 1],
            active: true,
            deleted: true,
            conditions: &[],
            order: &[],
            from: 0,
            limit: 10,
        };
        let runs = store.search_logged_runs(search).await.unwrap();
        let runs: Vec<_> = runs
            .iter()
            .map(|run| {
                let metrics: Vec<_> = run.metrics.iter().map(|point| point.value).collect();
                json!([run.name, run.status, metrics, run.params, run.tags])
            })
            .collect();
        json!([experiments, runs])
    })
}

/// Kills the daemon at each place while it answers, asks a new one the same, and compares.
fn dies_at(places: &[String], path: &str, body: &dyn Fn(&str) -> Value) {
    let wanted = |home: &Home| body(&fs_err::read_to_string(home.path().join("run")).unwrap());
    let again = |home: &Home| {
        let (mut daemon, url) = up(home, &[]);
        ask(&url, path, &wanted(home)).unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        state(home)
    };
    let before = state(&home());
    let undisturbed = again(&home());
    assert_ne!(before, undisturbed);
    for place in places {
        let home = home();
        let marker = home.path().join("died");
        let (mut daemon, url) = up(
            &home,
            &[
                ("TRENDMILL_DIE_AT", place),
                ("TRENDMILL_DIE_ONCE", marker.to_str().unwrap()),
            ],
        );
        assert_eq!(ask(&url, path, &wanted(&home)), None, "{place}");
        assert_eq!(daemon.wait().unwrap().signal(), Some(9), "{place}");
        effects::is_sound(&home);
        let left = if place.contains("before") {
            &before
        } else {
            &undisturbed
        };
        assert_eq!(state(&home), *left, "{place}");
        assert_eq!(again(&home), undisturbed, "{place}");
    }
}

#[test]
fn at_an_experiment() {
    let new = |_: &str| json!({ "name": "e", "tags": [{ "key": "k", "value": "v" }] });
    dies_at(&around("logged_experiment"), "experiments/create", &new);
}

#[test]
fn at_a_run() {
    let ended = |run: &str| json!({ "run_id": run, "status": "FINISHED", "run_name": "second" });
    dies_at(&around("logged_run"), "runs/update", &ended);
}

#[test]
fn at_a_batch() {
    let batch = |run: &str| {
        json!({
            "run_id": run,
            "metrics": [
                { "key": "loss", "value": 0.5, "timestamp": 1, "step": 0 },
                { "key": "loss", "value": 0.25, "timestamp": 2, "step": 1 },
            ],
            "params": [{ "key": "lr", "value": "0.1" }],
            "tags": [{ "key": "dag", "value": "daily" }],
        })
    };
    dies_at(&around("logged_entries"), "runs/log-batch", &batch);
}

#[test]
fn at_what_goes_for_good() {
    let prepare = || {
        let home = home();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = Store::open(&home.path().join("data")).await.unwrap();
            let long_ago = Timestamp::from_millis(0);
            for run_id in ["gone", "kept"] {
                let new = NewLoggedRun {
                    run_id,
                    experiment: 0,
                    name: "first",
                    user: "me",
                    started_at: long_ago,
                    tags: &[],
                };
                store.add_logged_run(new).await.unwrap();
            }
            let deleted = store.set_logged_run_deleted("gone", Some(long_ago));
            deleted.await.unwrap();
        });
        home
    };
    dies_at_command(
        &around("logged_gone"),
        &prepare,
        &["db", "vacuum"],
        &|home| {
            let left = effects::ask(home.path(), async |store| {
                let mut left = Vec::new();
                for run in ["gone", "kept"] {
                    left.push(store.logged_run(run).await.unwrap().is_some());
                }
                left
            });
            assert_eq!(left, [false, true]);
            json!(left)
        },
    );
}
