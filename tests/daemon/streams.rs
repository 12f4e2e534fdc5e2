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

/// Reads events of a stream that does not end until one has come that is wanted; gives their ids.
async fn ids_until(
    daemon: &Daemon,
    after: Option<&str>,
    begun: impl AsyncFnOnce(),
    wanted: impl Fn(&Value) -> bool,
) -> Vec<i64> {
    let mut request = client().get(format!("{}/api/v1/events", daemon.url));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let mut response = request.send().await.unwrap();
    begun().await;
    let (mut text, mut ids) = (String::new(), Vec::new());
    loop {
        let chunk = response.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            let data = block.lines().find_map(|line| line.strip_prefix("data:"));
            if let Some(data) = data {
                let event: Value = serde_json::from_str(data).unwrap();
                ids.push(event["id"].as_i64().unwrap());
                if wanted(&event) {
                    return ids;
                }
            }
            text = rest.to_owned();
        }
    }
}

#[tokio::test]
async fn whoever_comes_again_misses_no_event_and_gets_none_twice() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    // The connection is lost after the task began; what happens then is not heard.
    let running = |event: &Value| event["to"] == "running" && event["task_id"] == "wait";
    let mut ids = ids_until(&daemon, Some("0"), async || {}, running).await;
    home.open();
    daemon.ended(&run_id).await;
    let left = ids.last().unwrap().to_string();
    let second = std::cell::RefCell::new(String::new());
    let begin = async || *second.borrow_mut() = daemon.trigger("chain").await;
    let ended = |event: &Value| {
        event["to"] == "succeeded"
            && event["task_id"].is_null()
            && event["run_id"] == second.borrow().as_str()
    };
    ids.extend(ids_until(&daemon, Some(&left), begin, ended).await);
    let all = ids_until(&daemon, Some("0"), async || {}, ended).await;
    assert_eq!(ids, all);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
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
