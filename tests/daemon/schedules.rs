//! The daemon runs pipelines by itself, and past intervals are run beside it or without it.

use serde_json::Value;

use crate::kit::Home;

const OFTEN: &str = r#"
name = "often"

[schedule]
every = "1s"
overlap = "allow"
params = { word = "tick" }

[params]
word = "hello"

[[task]]
id = "a"
op = "shell"
argv = ["echo", "{{ params.word }}"]
"#;

const DAILY: &str = r#"
name = "daily"

[schedule]
cron = "0 4 * * *"
timezone = "Europe/Berlin"

[[task]]
id = "a"
op = "noop"
"#;

fn json(home: &Home, arguments: &[&str]) -> Value {
    let output = home.run(arguments);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Until a run of `often` that is none of `seen` has succeeded.
fn until_one_more(home: &Home, seen: &[String]) -> Value {
    loop {
        let runs = json(home, &["runs", "list", "--json"]);
        let done = runs.as_array().unwrap().iter().find(|run| {
            run["state"] == "succeeded" && !seen.contains(&run["run_id"].as_str().unwrap().into())
        });
        if let Some(done) = done {
            return done.clone();
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn runs_what_is_due_and_goes_on_after_it_was_killed() {
    let home = Home::new();
    fs_err::write(home.path().join("pipelines/often.toml"), OFTEN).unwrap();
    let daemon = home.up();
    let first = until_one_more(&home, &[]);
    assert_eq!(first["schedule"], "often/default");
    assert_eq!(first["trigger"], "scheduled");
    assert_eq!(first["params"]["word"], "tick");
    drop(daemon);
    let seen: Vec<String> = json(&home, &["runs", "list", "--json"])
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect();
    let _daemon = home.up();
    until_one_more(&home, &seen);
    assert_eq!(
        json(&home, &["pipelines", "pause", "often", "--json"])["changed"],
        true
    );
    let again = json(&home, &["pipelines", "pause", "often", "--json"]);
    assert_eq!(again["changed"], false);
}

#[test]
fn a_backfill_needs_no_daemon() {
    let home = Home::new();
    fs_err::write(home.path().join("pipelines/daily.toml"), DAILY).unwrap();
    let days = ["--from", "2026-03-27", "--to", "2026-03-30"];
    let plan = json(
        &home,
        &[&["backfill", "daily", "--dry-run", "--json"], &days[..]].concat(),
    );
    let starts: Vec<&str> = plan
        .as_array()
        .unwrap()
        .iter()
        .map(|interval| interval["interval_start"].as_str().unwrap())
        .collect();
    // Summer time begins on the 29th.
    assert_eq!(
        starts,
        [
            "2026-03-27T03:00:00Z",
            "2026-03-28T03:00:00Z",
            "2026-03-29T02:00:00Z",
            "2026-03-30T02:00:00Z"
        ]
    );
    let done = json(
        &home,
        &[&["backfill", "daily", "--json"], &days[..]].concat(),
    );
    assert_eq!(
        (&done["state"], &done["succeeded"]),
        (&"succeeded".into(), &4.into())
    );
    // Nothing is left to do, and all can be done again.
    let none = home.run(&[&["backfill", "daily"], &days[..]].concat());
    assert!(none.status.success() && none.stdout.is_empty(), "{none:?}");
    let again = [
        &["backfill", "daily", "--reprocess", "all", "--json"],
        &days[..],
    ]
    .concat();
    assert_eq!(json(&home, &again)["intervals"], 4);
    let all = json(&home, &["backfill", "list", "--json"]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    let wrong = home.run(&["backfill", "daily", "--from", "soon", "--to", "2026-03-30"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let ended = home.run(&["backfill", "cancel", all[0]["id"].as_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
}

#[test]
fn the_same_words_go_on_with_a_paused_backfill() {
    let home = Home::new();
    let _daemon = home.up();
    let wanted = [
        "--json",
        "backfill",
        "gate",
        "--from",
        "2026-03-01",
        "--to",
        "2026-03-02",
        "--detach",
    ];
    let made = json(&home, &wanted);
    home.until_waiting();
    let id = made["id"].as_str().unwrap();
    let paused = json(&home, &["--json", "backfill", "pause", id]);
    assert_eq!(paused["state"], "paused");
    home.open();
    let ended = json(&home, &wanted[..7]);
    assert_eq!(
        (&ended["id"], &ended["state"]),
        (&made["id"], &"succeeded".into())
    );
}
