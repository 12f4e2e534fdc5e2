//! Homes that earlier releases made are opened, asked and gone on with.
use std::path::Path;

use serde_json::Value;
use trendmill::{
    clock::{Clock as _, SystemClock},
    engine::HomeLock,
};

use crate::home::{Home, PLAIN, posts, stderr};

#[test]
fn a_home_of_every_release_is_opened_asked_and_gone_on_with() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/homes");
    let mut count = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "zip") {
            count += 1;
            is_opened(&Home::unpacked(&path));
        }
    }
    assert!(count > 0);
}

/// Who finds a process of an older release at work leaves its databases alone.
#[test]
fn a_home_is_brought_up_to_date_only_by_who_has_its_lock() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/homes");
    let home = Home::unpacked(&folder.join("0.1.0.zip"));
    let data = home.path().join("data");
    let lock = HomeLock::acquire(&data, SystemClock.now()).unwrap();
    for command in [
        &["tokens", "create", "ci"][..],
        &["pipelines", "pause", "reddit"],
        &["run", "reddit", "--source", "sandbox"],
        &["db", "migrate"],
        &["models", "list"],
        &["up", "--listen", "127.0.0.1:0"],
    ] {
        let refused = home.run(command);
        assert_eq!(refused.status.code(), Some(3), "{command:?}");
        let said = stderr(&refused);
        let process = format!("process {}", std::process::id());
        for part in [
            "databases are not of this release yet",
            &process,
            "stop it where it is of the older release",
        ] {
            assert!(said.contains(part), "{command:?}: {said}");
        }
    }
    assert!(!data.join("backups").exists());
    drop(lock);
    home.json(&["tokens", "create", "ci"]);
    assert!(data.join("backups").exists());
}

fn is_opened(home: &Home) {
    // What was filed can be asked without any step between.
    let versions = home.json(&["models", "list"]);
    let versions = versions.as_array().unwrap();
    assert_eq!(versions.len(), 2);
    for version in versions {
        let name = format!("reddit/{}", version["version"]);
        let shown = home.json(&["models", "show", &name]);
        assert_eq!(shown["version"], version["version"]);
        let predictions = home.json_lines(&["models", "show", &name, "--predictions"]);
        assert!(!predictions.is_empty());
    }
    let runs = home.json(&["runs", "list"]);
    for run in runs.as_array().unwrap() {
        let shown = home.json(&["runs", "show", run["run_id"].as_str().unwrap()]);
        assert_eq!(shown["state"], "succeeded");
    }

    // Its records and vectors are read: nothing has to be computed to predict them again.
    let exported = home.run(&["records", "export", "--out", "records.jsonl"]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    let evaluated = home.json_lines(&["models", "show", "reddit@champion", "--predictions"]);
    let known: Vec<Value> =
        home.json_lines(&["predict", "reddit@champion", "--input", "records.jsonl"]);
    for row in &evaluated {
        let same = known.iter().find(|known| known["id"] == row["id"]).unwrap();
        let distance = same["prediction"].as_f64().unwrap() - row["prediction"].as_f64().unwrap();
        assert!(distance.abs() <= 1e-6, "{row} {same}");
    }

    // A new run writes beside what is there.
    home.write("pipelines/plain.toml", PLAIN);
    home.write("posts.ndjson", posts(80));
    let run = home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    assert_eq!(run["state"], "succeeded");
    assert_eq!(home.json(&["models", "list"]).as_array().unwrap().len(), 3);
}
