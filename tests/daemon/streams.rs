//! What the daemon tells while it happens: events, logs, figures.

use serde_json::Value;

use crate::kit::{Daemon, Home, client};

/// The events of a stream that ends, as `task: from → to`.
async fn events(daemon: &Daemon, path: &str, after: Option<&str>) -> Vec<(String, String)> {
    let mut request = client().get(format!("{}{path}", daemon.url));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    text.split("\n\n")
        .filter(|block| block.contains("data:"))
        .map(|block| {
            let part = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap().trim().to_owned()
            };
            let data: Value = serde_json::from_str(&part("data:")).unwrap();
            assert_eq!(part("id:"), data["id"].to_string());
            let what = data["task_id"].as_str().unwrap_or("run");
            let line = format!(
                "{what}: {} → {}",
                data["from"].as_str().unwrap(),
                data["to"].as_str().unwrap()
            );
            (part("id:"), line)
        })
        .collect()
}

#[tokio::test]
async fn events_of_a_run_come_until_it_has_ended_and_from_where_one_left() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    let path = format!("/api/v1/runs/{run_id}/events");
    let (seen, ()) = tokio::join!(events(&daemon, &path, None), async { home.open() });
    let lines: Vec<&str> = seen.iter().map(|(_, line)| line.as_str()).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    run: queued → running
    wait: waiting → ready
    wait: ready → running
    wait: running → succeeded
    after: waiting → ready
    after: ready → running
    after: running → succeeded
    run: running → succeeded
    ");
    let (third, rest) = (&seen[2].0, &seen[3..]);
    assert_eq!(events(&daemon, &path, Some(third)).await, rest);
    let last = &seen[seen.len() - 1].0;
    assert_eq!(events(&daemon, &path, Some(last)).await, []);
}

#[tokio::test]
async fn a_log_is_followed_until_its_attempt_has_ended() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    let url = format!("{}/api/v1/runs/{run_id}/tasks/wait/log", daemon.url);
    let mut response = client()
        .get(format!("{url}?follow=true"))
        .send()
        .await
        .unwrap();
    home.open();
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.contains("through"), "{text}");
    let whole = client().get(&url).send().await.unwrap();
    assert_eq!(whole.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(whole.text().await.unwrap(), text);
    let (status, answer) = daemon
        .get(&format!("/api/v1/runs/{run_id}/tasks/wait/log?attempt=7"))
        .await;
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (404, Some("unknown_attempt"))
    );
    let (_, attempts) = daemon
        .get(&format!("/api/v1/runs/{run_id}/attempts?task=wait"))
        .await;
    assert_eq!(attempts[0]["number"], 1);
}

#[tokio::test]
async fn figures_count_what_was_done() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("chain").await;
    daemon.ended(&run_id).await;
    loop {
        let response = client()
            .get(format!("{}/metrics", daemon.url))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        // The counters are a listener of the engine like any other, a moment behind.
        if text.contains(r#"trendmill_runs_ended_total{pipeline="chain",state="succeeded"} 1"#) {
            for line in [
                r#"trendmill_attempts_total{op="noop",outcome="succeeded"} 2"#,
                r#"trendmill_attempts_total{op="shell",outcome="succeeded"} 1"#,
                r#"trendmill_runs{state="running"} 0"#,
                "trendmill_queue_depth 0",
                "trendmill_scheduler_lag_seconds 0",
                "trendmill_disk_free_bytes ",
            ] {
                assert!(text.contains(line), "{line} is not in\n{text}");
            }
            break;
        }
    }
}

#[tokio::test]
async fn open_streams_do_not_keep_the_daemon() {
    let home = Home::new();
    let daemon = home.up();
    let mut response = client()
        .get(format!("{}/api/v1/events", daemon.url))
        .send()
        .await
        .unwrap();
    daemon.signal("TERM");
    assert_eq!(response.chunk().await.unwrap(), None);
    assert_eq!(daemon.wait().code(), Some(0));
}
