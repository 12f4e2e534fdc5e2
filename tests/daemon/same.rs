//! Every command that hands its work over prints the same as without a daemon.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::kit::Home;

const FRAIL: &str = r#"
name = "frail"

[schedule]
cron = "0 4 * * *"

[[task]]
id = "sound"
op = "noop"

[[task]]
id = "frail"
op = "shell"
after = ["sound"]
retries = 0
argv = ["test", "-e", "HOME/mended"]
"#;

fn home() -> Home {
    let home = Home::new();
    let file = home.path().join("pipelines/frail.toml");
    let path = home.path().to_str().unwrap();
    fs_err::write(file, FRAIL.replace("HOME", path)).unwrap();
    home
}

/// What was printed on both streams and the exit code, without what differs from run to run: words
/// with digits, lengths of time, and lines of the log.
fn shown(output: &Output) -> String {
    let words = |line: &str| -> String {
        let kept: Vec<&str> = line
            .split_whitespace()
            .filter(|word| !word.chars().any(|c| c.is_ascii_digit()))
            .filter(|word| !["s", "ms", "min"].contains(word))
            .collect();
        kept.join(" ")
    };
    let stream = |bytes: &[u8]| -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let lines: Vec<String> = text
            .lines()
            .filter(|line| !line.contains(" warn ") && !line.contains(" of "))
            .map(words)
            .collect();
        lines.join("\n")
    };
    format!(
        "{:?}\n{}\n--\n{}",
        output.status.code(),
        stream(&output.stdout),
        stream(&output.stderr)
    )
}

/// The same JSON with every value that differs from run to run made equal.
fn levelled(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let own =
                    key.ends_with("_at") || key == "id" || key == "run_id" || key == "seconds";
                let value = if own && !value.is_null() {
                    Value::from("…")
                } else {
                    levelled(value)
                };
                (key, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(levelled).collect(),
        Value::String(text) if text.contains("taken over from run") => Value::from("taken over"),
        other => other,
    }
}

fn json(output: &Output) -> (Option<i32>, Value) {
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), levelled(value))
}

#[test]
fn commands_print_the_same_with_and_without_a_daemon() {
    let (alone, served) = (home(), home());
    let _daemon = served.up();
    let both = |arguments: &[&str]| {
        let (left, right) = (alone.run(arguments), served.run(arguments));
        assert_eq!(shown(&left), shown(&right), "{arguments:?}");
        left.status.code()
    };
    let both_json = |arguments: &[&str]| {
        let arguments = [&["--json"], arguments].concat();
        let (left, right) = (alone.run(&arguments), served.run(&arguments));
        assert_eq!(json(&left), json(&right), "{arguments:?}");
        left.status.code()
    };
    let days = ["--from", "2026-03-01", "--to", "2026-03-03"];

    assert_eq!(both(&["run", "frail"]), Some(1));
    assert_eq!(both(&["runs", "clear", "latest", "--dry-run"]), Some(0));
    assert_eq!(both_json(&["runs", "clear", "latest"]), Some(1));
    assert_eq!(both(&["runs", "explain", "latest", "frail"]), Some(0));
    assert_eq!(both(&["runs", "explain", "latest", "nobody"]), Some(2));
    assert_eq!(
        both_json(&["runs", "retry", "latest", "--from", "sound"]),
        Some(1)
    );
    assert_eq!(
        both(&["runs", "retry", "latest", "--from", "nobody"]),
        Some(2)
    );
    let backfill = |more: &[&'static str]| [&["backfill", "frail"], &days[..], more].concat();
    assert_eq!(both(&backfill(&["--dry-run"])), Some(0));
    assert_eq!(both_json(&backfill(&[])), Some(1));
    for home in [&alone, &served] {
        fs_err::write(home.path().join("mended"), "").unwrap();
    }
    assert_eq!(
        both(&["runs", "clear", "latest", "--from", "sound"]),
        Some(0)
    );
    assert_eq!(
        both(&["runs", "clear", "latest"]),
        Some(2),
        "nothing failed"
    );
    assert_eq!(
        both_json(&["runs", "retry", "latest", "--from", "frail"]),
        Some(0)
    );
    assert_eq!(both(&["runs", "cancel", "latest"]), Some(1), "it has ended");
    assert_eq!(both(&backfill(&["--reprocess", "failed"])), Some(0));
    assert_eq!(both(&backfill(&[])), Some(0), "all have a run");
    assert_eq!(both_json(&backfill(&[])), Some(0), "a document is owed");
    assert_eq!(both_json(&["backfill", "list"]), Some(0));
    assert_eq!(both(&["backfill", "cancel", "x"]), Some(2));
    assert_eq!(both_json(&["pipelines", "pause", "frail"]), Some(0));
    assert_eq!(both(&["pipelines", "pause", "frail"]), Some(0));
    assert_eq!(both_json(&["pipelines", "list"]), Some(0));
    assert_eq!(both(&["pipelines", "list"]), Some(0));
    assert_eq!(both(&["pipelines", "unpause", "frail"]), Some(0));
    assert_eq!(both(&["pipelines", "pause", "fral"]), Some(2));
}

#[tokio::test]
async fn one_task_is_cancelled_by_the_daemon() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    let asked = home.run(&["--json", "runs", "cancel", &run_id, "--task", "wait"]);
    assert_eq!(
        String::from_utf8_lossy(&asked.stdout).trim(),
        format!(r#"{{"run_id":"{run_id}","task":"wait","state":"cancelling"}}"#)
    );
    let run = daemon.ended(&run_id).await;
    assert_eq!(run["tasks"][0]["state"], "cancelled");
    assert_eq!(run["tasks"][1]["state"], "upstream_failed");
    let late = home.run(&["runs", "cancel", &run_id, "--task", "wait"]);
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    let unknown = home.run(&["runs", "cancel", &run_id, "--task", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}

/// A task that succeeds, and one that waits for the file `open`.
const HALF: &str = r#"
name = "half"

[[task]]
id = "done"
op = "noop"

[[task]]
id = "wait"
op = "shell"
after = ["done"]
argv = ["sh", "-c", "touch HOME/waiting; while ! test -e HOME/open; do sleep 0.05; done"]
"#;

#[tokio::test]
async fn a_task_that_has_ended_is_not_cancelled_while_its_run_goes_on() {
    let (alone, served) = (Home::new(), Home::new());
    for home in [&alone, &served] {
        let text = HALF.replace("HOME", home.path().to_str().unwrap());
        fs_err::write(home.path().join("pipelines/half.toml"), text).unwrap();
    }
    let daemon = served.up();
    let mut running = alone.command(&["run", "half", "--quiet"]);
    let mut running = running.stdout(Stdio::null()).spawn().unwrap();
    alone.until_waiting();
    let run_id = daemon.trigger("half").await;
    served.until_waiting();
    let cancel = ["runs", "cancel", "latest", "--task", "done"];
    let (left, right) = (alone.run(&cancel), served.run(&cancel));
    assert_eq!(left.status.code(), Some(1), "{left:?}");
    assert_eq!(shown(&left), shown(&right));
    let path = format!("/api/v1/runs/{run_id}/tasks/done/cancel");
    let (status, answer) = daemon.post(&path, serde_json::json!({})).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (409, Some("task_ended"))
    );
    for home in [&alone, &served] {
        home.open();
    }
    assert_eq!(daemon.ended(&run_id).await["state"], "succeeded");
    assert!(running.wait().unwrap().success());
}

#[tokio::test]
async fn a_paused_pipeline_is_marked() {
    let home = home();
    let daemon = home.up();
    let (_, before) = daemon.get("/api/v1/pipelines").await;
    let row = |rows: &Value| {
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["name"] == "frail").unwrap().clone()
    };
    assert_eq!(row(&before)["paused_at"], Value::Null);
    let next = row(&before)["scheduled_for"].as_str().unwrap().to_owned();
    assert!(next.ends_with("T04:00:00Z"), "{next}");
    home.run(&["pipelines", "pause", "frail"]);
    let listed = home.run(&["--json", "pipelines", "list"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert!(row(&listed)["paused_at"].is_string(), "{listed}");
    assert_eq!(row(&listed), row(&daemon.get("/api/v1/pipelines").await.1));
    let table = home.run(&["pipelines", "list"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let line = table
        .lines()
        .find(|line| line.starts_with("frail"))
        .unwrap();
    assert!(line.contains("  paused  "), "{table}");
}

#[tokio::test]
async fn a_detached_backfill_is_the_daemons_affair() {
    let home = home();
    let wanted = [
        "backfill",
        "frail",
        "--from",
        "2026-03-01",
        "--to",
        "2026-03-02",
        "--detach",
    ];
    let nobody = home.run(&wanted);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
    let daemon = home.up();
    let detached = home.run(&[&["--json"], &wanted[..]].concat());
    let info: Value = serde_json::from_slice(&detached.stdout).unwrap();
    assert_eq!(
        (&info["state"], &info["intervals"]),
        (&"running".into(), &2.into())
    );
    let id = info["id"].as_str().unwrap();
    loop {
        let (_, shown) = daemon.get(&format!("/api/v1/backfills/{id}")).await;
        if shown["state"] != "running" {
            assert_eq!(
                (&shown["state"], &shown["failed"]),
                (&"failed".into(), &2.into())
            );
            break;
        }
        tokio::task::yield_now().await;
    }
}
