//! Files that change while the daemon runs: settings and pipelines. Nobody sends it a signal.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::kit::{Daemon, Home};

/// A pipeline that its schedule runs every second, with this word.
fn often(home: &Home, word: &str) -> PathBuf {
    let file = home.path().join("pipelines/often.toml");
    let text = format!(
        "name = \"often\"\n[schedule]\nevery = \"1s\"\noverlap = \"allow\"\n\
         params = {{ word = \"{word}\" }}\n[params]\nword = \"\"\n\
         [[task]]\nid = \"a\"\nop = \"noop\"\n"
    );
    fs_err::write(&file, text).unwrap();
    file
}

/// Waits for the first scheduled run that is none of the runs there are now.
async fn next_run(daemon: &Daemon) -> Value {
    let newest = async || {
        let (_, page) = daemon
            .get("/api/v1/runs?pipeline=often&limit=1&state=succeeded")
            .await;
        page["runs"][0].clone()
    };
    let before = newest().await;
    loop {
        let now = newest().await;
        if now != Value::Null && now["run_id"] != before["run_id"] {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_broken_pipeline_keeps_its_schedule_and_is_told_once() {
    let home = Home::new();
    let file = often(&home, "tick");
    let daemon = home.up();
    assert_eq!(next_run(&daemon).await["params"]["word"], "tick");
    fs_err::write(&file, "name = \"often\"\n[schedule\n").unwrap();
    let said = daemon.until_said("is broken; its schedule goes on as it was before");
    assert_eq!(
        said.iter()
            .filter(|line| line.contains("often.toml"))
            .count(),
        1
    );
    assert_eq!(next_run(&daemon).await["params"]["word"], "tick");
    assert_eq!(next_run(&daemon).await["params"]["word"], "tick");
    let (_, schedules) = daemon.get("/api/v1/schedules").await;
    assert_eq!(schedules[0]["id"], "often/default");
    let fault = schedules[0]["fault"].as_str().unwrap();
    assert!(fault.contains("its file is broken"), "{fault}");

    often(&home, "tock");
    while next_run(&daemon).await["params"]["word"] != "tock" {}
    // Whatever it says last, it said nothing of the broken file in between.
    fs_err::write(
        home.path().join("trendmill.toml"),
        "[log]\nlevel = \"debug\"\n",
    )
    .unwrap();
    let said = daemon.until_said("read the settings again");
    assert!(
        !said.iter().any(|line| line.contains("is broken")),
        "{said:#?}"
    );
}

#[tokio::test]
async fn settings_are_watched_and_wrong_ones_keep_the_old() {
    let home = Home::new();
    let file = home.path().join("trendmill.toml");
    fs_err::write(&file, "[engine]\nparallelism = 1\n").unwrap();
    let daemon = home.up();
    daemon.trigger("gate").await;
    home.until_waiting();
    let second = daemon.trigger("gate").await;
    let path = format!("/api/v1/runs/{second}/tasks/wait/explain");
    let reason = async || daemon.get(&path).await.1["reason"].clone();
    while reason().await != "parallelism" {}

    fs_err::write(&file, "[engine]\nparallelism = 0\n").unwrap();
    let said = daemon.until_said("the old settings stay");
    assert!(said.last().unwrap().contains("parallelism"), "{said:#?}");
    assert_eq!(reason().await, "parallelism");

    fs_err::write(&file, "[engine]\nparallelism = 2\n").unwrap();
    daemon.until_said("changed: engine.parallelism");
    home.until_waiting();
    assert_eq!(reason().await, "running");
    home.open();
    assert_eq!(daemon.ended(&second).await["state"], "succeeded");
}

#[tokio::test]
async fn pools_and_the_log_level_take_effect() {
    let home = Home::new();
    let gate = fs_err::read_to_string(home.path().join("pipelines/gate.toml")).unwrap();
    let pooled = gate
        .replace("name = \"gate\"", "name = \"pooled\"")
        .replace("id = \"wait\"", "id = \"wait\"\npool = \"narrow\"");
    fs_err::write(home.path().join("pipelines/pooled.toml"), pooled).unwrap();
    let daemon = home.up();
    daemon.trigger("pooled").await;
    home.until_waiting();
    let second = daemon.trigger("pooled").await;
    let path = format!("/api/v1/runs/{second}/tasks/wait/explain");
    while daemon.get(&path).await.1["reason"] != "pool_full" {}
    let settings = "[engine.pools]\nnarrow = 2\n[log]\nlevel = \"debug\"\n";
    fs_err::write(home.path().join("trendmill.toml"), settings).unwrap();
    home.until_waiting();
    home.open();
    daemon.ended(&second).await;
    daemon.until_said(" debug ");
    fs_err::write(home.path().join("trendmill.toml"), "").unwrap();
    daemon.until_said("changed: engine.pools");
    let (status, _) = daemon
        .post("/api/v1/runs", json!({ "pipeline": "chain" }))
        .await;
    assert_eq!(status, 201);
}
