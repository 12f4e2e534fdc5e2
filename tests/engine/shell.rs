//! The `shell` operator: values are words, never a script; the whole group ends with the attempt.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use trendmill::{
    dag::{Node, RunState},
    engine::RunSummary,
};

use crate::{
    kit::{Home, attempts, request, task},
    process::gone,
};

fn shell(settings: Value) -> Node {
    let Value::Object(settings) = settings else {
        panic!("settings are an object");
    };
    Node {
        settings,
        ..task("a", "shell", &[])
    }
}

async fn run(home: &Home, node: Node) -> RunSummary {
    let handle = home.start(Vec::new()).await;
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    handle.wait(&run_id).await.unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_value_cannot_become_a_command() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let hostile = "$(touch evil); touch evil `touch evil` | & > evil \n touch evil '\"";
    let settings = json!({
        "argv": ["touch", "--", hostile],
        "env": {"NAME": "$(touch evil)"},
        "cwd": folder.path(),
    });
    let summary = run(&home, shell(settings)).await;
    assert_eq!(summary.state, RunState::Succeeded, "{summary:?}");
    assert_eq!(names(folder.path()), [hostile]);
}

#[tokio::test]
async fn variables_reach_the_program() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({
        "argv": ["sh", "-c", "echo \"$TITLE $TRENDMILL_TASK_ID $TRENDMILL_INTERVAL_END\" > out"],
        "env": {"TITLE": "a; b"},
        "cwd": folder.path(),
    });
    let summary = run(&home, shell(settings)).await;
    assert_eq!(summary.state, RunState::Succeeded);
    let text = fs_err::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(text, "a; b a 2026-01-17T00:00:00Z\n");
}

#[tokio::test]
async fn a_failure_tells_the_status_and_the_last_lines() {
    let home = Home::new();
    let settings = json!({"argv": ["sh", "-c", "echo working; echo no such table >&2; exit 7"]});
    let summary = run(&home, shell(settings)).await;
    assert_eq!(summary.state, RunState::Failed);
    assert_eq!(
        summary.task("a").unwrap().message.as_deref(),
        Some("`sh` ended with exit status: 7: no such table")
    );
}

#[tokio::test]
async fn a_line_of_any_length_is_told_in_part() {
    let home = Home::new();
    let script =
        "head -c 3000000 /dev/zero | tr '\\0' x; head -c 9000 /dev/zero | tr '\\0' y >&2; exit 1";
    let summary = run(&home, shell(json!({"argv": ["sh", "-c", script]}))).await;
    let message = summary.task("a").unwrap().message.clone().unwrap();
    assert!(
        message.ends_with("yyy … [cut after 4096 bytes]"),
        "{message}"
    );
}

#[tokio::test]
async fn a_timeout_ends_everything_the_program_started() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let mut node = shell(json!({
        "argv": ["sh", "-c", "sleep 1000 & echo $! > pid; wait"],
        "cwd": folder.path(),
    }));
    node.timeout = Some(Duration::from_millis(200));
    let handle = home.start(Vec::new()).await;
    let run_id = handle.submit(request(vec![node])).await.unwrap().run_id;
    handle.wait(&run_id).await.unwrap();
    let store = home.store().await;
    assert_eq!(attempts(&store, &run_id).await, ["a.1 timed_out"]);
    let pid = fs_err::read_to_string(folder.path().join("pid")).unwrap();
    assert!(gone(pid.trim()));
}
