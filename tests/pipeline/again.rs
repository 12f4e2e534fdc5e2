//! Parts of a run again: `--from`, `--only`, `runs retry`; and a day that lies before one that ran.
use serde_json::Value;

use crate::home::{Home, posts, stderr, task};

const RUN: [&str; 6] = [
    "run",
    "plain",
    "--source",
    "dump:posts.ndjson",
    "--date",
    "2026-01-01",
];

fn home() -> Home {
    let home = Home::with_plain();
    home.write("posts.ndjson", posts(80));
    home
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    RUN.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn a_run_begins_anywhere_with_the_results_of_an_earlier_one() {
    let home = home();
    let whole = home.json(&RUN);
    for start in ["fetch_images", "merge", "train", "evaluate", "persist"] {
        let run = home.json(&with(&["--from", start]));
        assert_eq!(run["state"], "succeeded", "{start}");
        assert_eq!(run["model"]["matrix"], whole["model"]["matrix"], "{start}");
        assert_eq!(task(&run, "scrape")["attempts"], 0, "{start}");
        assert_eq!(task(&run, start)["attempts"], 1);
    }
    let only = home.json(&with(&["--only", "merge"]));
    assert_eq!(only["state"], "succeeded");
    assert_eq!(task(&only, "train")["state"], "skipped");
    // The newest run has no result of `train` now; an earlier one has.
    let run = home.json(&with(&["--from", "evaluate"]));
    assert_eq!(run["state"], "succeeded");
}

#[test]
fn what_would_be_done_otherwise_now_is_not_taken_over() {
    let home = home();
    home.json(&RUN);
    let output = home.run(&with(&["--from", "train", "--param", "horizon=24h"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("`refresh` had other settings"),
        "{}",
        stderr(&output)
    );
    let output = home.run(&with(&["--from", "nothing", "--dry-run"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`persist`") || stderr(&output).contains("persist"));
    let planned = home.json(&with(&["--from", "evaluate", "--dry-run"]));
    assert_eq!(planned["runs"], serde_json::json!(["evaluate", "persist"]));
}

#[test]
fn a_failed_run_is_tried_again_from_where_it_failed() {
    let home = home();
    // A file where the versions of this model should be.
    home.write("model_registry/plain", "");
    let failed = home.run(&[&["--json"], &RUN[..]].concat());
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    fs_err::remove_file(home.path().join("model_registry/plain")).unwrap();
    let retried = home.json(&["runs", "retry", "latest"]);
    assert_eq!(retried["state"], "succeeded");
    assert_eq!(task(&retried, "evaluate")["attempts"], 0);
    assert_eq!(retried["model"]["version"], 1);
    let output = home.run(&["runs", "retry", "latest", "--from", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_day_before_the_last_one_has_its_own_rows() {
    let home = home();
    let on = |day: &str, home: &Home| -> Value {
        home.json(&[
            "run",
            "plain",
            "--source",
            "sandbox:posts=14",
            "--date",
            day,
        ])
    };
    on("2026-01-16", &home);
    let earlier = on("2026-01-14", &home);
    let alone = on("2026-01-14", &Home::with_plain());
    assert_eq!(earlier["model"]["matrix"], alone["model"]["matrix"]);
}
