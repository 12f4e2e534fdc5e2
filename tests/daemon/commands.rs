//! The command line with and without a daemon: what it prints is the same.

use std::process::Output;

use crate::kit::{Daemon, Home};

/// What is printed, without what differs from run to run.
fn shown(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            let words: Vec<&str> = line
                .split_whitespace()
                .filter(|word| !word.chars().any(|c| c.is_ascii_digit()))
                .filter(|word| !["s", "ms", "min"].contains(word))
                .collect();
            words.join(" ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_run_prints_the_same() {
    let home = Home::new();
    let alone = home.run(&["run", "chain"]);
    let daemon = home.up();
    let handed_over = home.run(&["run", "chain"]);
    assert_eq!(shown(&alone), shown(&handed_over));
    for command in [&["run", "chian"][..], &["run", "chain", "--from", "z"]] {
        let refused = home.run(command);
        assert_eq!(refused.status.code(), Some(2));
    }
    drop(daemon);
    // What a killed daemon left is no daemon.
    assert!(home.path().join("data/daemon.json").exists());
    assert!(home.run(&["run", "chain"]).status.success());
}

#[test]
fn a_detached_run_is_the_daemons_affair() {
    let home = Home::new();
    let nobody = home.run(&["run", "gate", "--detach"]);
    assert_eq!(nobody.status.code(), Some(2));
    let _daemon = home.up();
    let detached = home.run(&["run", "gate", "--detach"]);
    let run_id = String::from_utf8(detached.stdout)
        .unwrap()
        .trim()
        .to_owned();
    home.until_waiting();
    let following = home
        .command(&["runs", "logs", &run_id, "wait", "--follow"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let cancelled = home.run(&["--json", "runs", "cancel", &run_id]);
    assert_eq!(
        String::from_utf8_lossy(&cancelled.stdout).trim(),
        format!(r#"{{"run_id":"{run_id}","state":"cancelling"}}"#)
    );
    let followed = following.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&followed.stdout).into_owned();
    assert!(said.contains("attempt 1 of wait: cancelled"), "{said}");
}

/// A home with a pipeline that fails until `data/mended` is there, the daemon on it, and one such
/// failure; then it is mended.
fn with_a_failure() -> (Home, Daemon) {
    let home = Home::new();
    let daemon = home.up();
    fs_err::write(
        home.path().join("pipelines/frail.toml"),
        "name = \"frail\"\n[[task]]\nid = \"sound\"\nop = \"noop\"\n[[task]]\nid = \"frail\"\n\
         op = \"shell\"\nafter = [\"sound\"]\nretries = 0\nargv = [\"test\", \"-e\", \"data/mended\"]\n",
    )
    .unwrap();
    let failed = home.run(&["run", "frail"]);
    assert_eq!(failed.status.code(), Some(1));
    fs_err::write(home.path().join("data/mended"), "").unwrap();
    (home, daemon)
}

#[test]
fn a_run_is_retried_by_the_daemon() {
    let (home, _daemon) = with_a_failure();
    let retried = home.run(&["runs", "retry", "latest"]);
    let said = String::from_utf8_lossy(&retried.stdout).into_owned();
    assert!(retried.status.success(), "{said}");
    assert!(said.contains("taken over from run"), "{said}");
}

#[test]
fn a_run_is_cleared_by_the_daemon() {
    let (home, _daemon) = with_a_failure();
    let cleared = home.run(&["--json", "runs", "clear", "latest"]);
    assert!(cleared.status.success());
    let run: serde_json::Value = serde_json::from_slice(&cleared.stdout).unwrap();
    assert_eq!(run["tasks"][1]["attempts"], 2);
    let nothing = home.run(&["runs", "clear", "latest"]);
    assert_eq!(nothing.status.code(), Some(2));
}

const FEATURES: &str = r#"
name = "read"

[[task]]
id = "scrape"
op = "scrape"
source = "sandbox:posts=3,days=2"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "36h"
tolerance = "1h"

[[task]]
id = "merge"
op = "merge"
after = ["refresh"]
blocks = {}
numbers = ["hour"]
categories = ["community"]
target = "log1p(score)"
"#;

#[tokio::test]
async fn features_are_checked_beside_a_daemon_at_work() {
    let home = Home::new();
    fs_err::write(home.path().join("pipelines/read.toml"), FEATURES).unwrap();
    let daemon = home.up();
    let run = daemon.trigger("read").await;
    assert_eq!(daemon.ended(&run).await["state"], "succeeded");
    let check = || {
        let output = home.run(&["--json", "features", "check", "read"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    // A run is at work meanwhile.
    daemon.trigger("gate").await;
    home.until_waiting();
    let beside = check();
    assert!(beside["records"].as_u64().unwrap() > 0, "{beside}");
    let features = beside["features"].as_array().unwrap();
    let hour = features
        .iter()
        .find(|feature| feature["name"] == "hour")
        .unwrap();
    assert_eq!(hour["records"], beside["records"]);
    home.open();
    drop(daemon);
    assert_eq!(check(), beside);
}
