//! Schedules, backfills and explanations through the API.

use serde_json::{Value, json};

use crate::kit::Home;

const DAILY: &str = "name = \"daily\"\n[schedule]\ncron = \"0 4 * * *\"\n\
                     [[task]]\nid = \"a\"\nop = \"noop\"\n";

fn home() -> Home {
    let home = Home::new();
    fs_err::write(home.path().join("pipelines/daily.toml"), DAILY).unwrap();
    home
}

#[tokio::test]
async fn schedules_are_seen_and_paused() {
    let home = home();
    let daemon = home.up();
    let (status, ticks) = daemon.get("/api/v1/pipelines/daily/next?n=2").await;
    assert_eq!((status, ticks.as_array().unwrap().len()), (200, 2));
    let printed = home.run(&["--json", "pipelines", "next", "daily", "-n", "2"]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, ticks, "the command line says the same");

    let paused = home.run(&["--json", "pipelines", "pause", "daily"]);
    let paused: Value = serde_json::from_slice(&paused.stdout).unwrap();
    assert_eq!(
        paused,
        json!({ "pipeline": "daily", "paused": true, "changed": true })
    );
    let (_, schedules) = daemon.get("/api/v1/schedules").await;
    assert!(schedules[0]["paused_at"].is_string(), "{schedules}");
    let (status, answer) = daemon
        .post("/api/v1/pipelines/daily/unpause", json!(null))
        .await;
    assert_eq!((status, &answer["changed"]), (200, &json!(true)));
    let (status, answer) = daemon
        .post("/api/v1/pipelines/none/pause", json!(null))
        .await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (404, Some("unknown_pipeline"))
    );
}

#[tokio::test]
async fn a_backfill_is_worked_off() {
    let home = home();
    let daemon = home.up();
    let mut wanted = json!({
        "pipeline": "daily", "from": "2026-01-01", "to": "2026-01-02", "dry_run": true,
    });
    let (status, plan) = daemon.post("/api/v1/backfills", wanted.clone()).await;
    assert_eq!(status, 200, "{plan}");
    let intervals = plan["intervals"].as_array().unwrap().len();
    wanted["dry_run"] = json!(false);
    let (status, backfill) = daemon.post("/api/v1/backfills", wanted).await;
    assert_eq!(
        (status, backfill["intervals"].as_u64()),
        (201, Some(intervals as u64))
    );
    let path = format!("/api/v1/backfills/{}", backfill["id"].as_str().unwrap());
    loop {
        let (_, shown) = daemon.get(&path).await;
        if shown["state"] != "running" {
            assert_eq!(shown["state"], "succeeded", "{shown}");
            assert_eq!(shown["runs"].as_array().unwrap().len(), intervals);
            break;
        }
        tokio::task::yield_now().await;
    }
    let (status, answer) = daemon.post(&format!("{path}/pause"), json!(null)).await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (409, Some("backfill_ended"))
    );
    let (status, answer) = daemon.get("/api/v1/backfills/x").await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (404, Some("unknown_backfill"))
    );
}

#[tokio::test]
async fn a_task_is_explained() {
    let home = home();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    let path = format!("/api/v1/runs/{run_id}/tasks/after/explain");
    let (status, explanation) = daemon.get(&path).await;
    assert_eq!(
        (status, explanation["reason"].as_str()),
        (200, Some("upstream"))
    );
    home.open();
    daemon.ended(&run_id).await;
}
