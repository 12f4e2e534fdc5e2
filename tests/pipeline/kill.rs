//! `kill -9` at any moment: the same command goes on where the run was and ends as it would have.
use std::{
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::home::{Home, task};
use serde_json::Value;

const RUN: [&str; 4] = ["run", "reddit", "--source", "sandbox:posts=14"];

#[test]
fn a_killed_run_goes_on_and_ends_the_same() {
    let undisturbed_home = Home::new();
    let started = Instant::now();
    let undisturbed = undisturbed_home.json(&RUN);
    let whole = started.elapsed();

    let home = Home::new();
    for percent in [10, 30, 50, 70, 90] {
        let mut child = home
            .command(&RUN)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(whole * percent / 100);
        child.kill().unwrap();
        child.wait().unwrap();
        // The lock of a dead process is free as soon as it is gone.
        thread::sleep(Duration::from_millis(20));
    }
    let resumed = home.json(&RUN);
    assert_eq!(resumed["state"], "succeeded");
    for key in ["matrix", "split", "weights_sha256", "metrics"] {
        assert_eq!(resumed["model"][key], undisturbed["model"][key], "{key}");
    }
    let runs = home.json(&["runs", "list"]);
    let runs = runs.as_array().unwrap();
    if runs.len() == 1 {
        for id in ["embed_title", "embed_image", "caption", "fetch_images"] {
            let computed = |run: &Value| task(run, id)["rows_computed"].as_u64().unwrap();
            assert!(
                computed(&resumed) <= computed(&undisturbed) + 5 * 64,
                "{id}"
            );
        }
    }
}
