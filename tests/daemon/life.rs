//! From start to end: the lock, the file, what is left, and signals.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::{Value, json};

use crate::kit::Home;

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn says_where_it_is_while_it_lives() {
    let home = Home::new();
    let daemon = home.up();
    let file = home.path().join("data/daemon.json");
    let said: Value = serde_json::from_str(&fs_err::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(said["url"], daemon.url.as_str());
    assert_eq!(said["pid"], daemon.pid());
    assert_eq!(
        fs_err::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    for path in ["/healthz", "/readyz"] {
        assert_eq!(daemon.get(path).await.0, 200);
    }

    let (_, said) = daemon.get("/api/v1/daemon").await;
    let doctor = home.run(&["--json", "doctor"]);
    let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let mut checks = found["checks"].as_array().unwrap().iter();
    let memory = checks.find(|check| check["name"] == "memory").unwrap();
    assert_eq!(memory["message"], said["memory_limits"]);

    let second = home.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(3));
    let refusal = stderr(&second);
    for part in ["the daemon", &daemon.pid().to_string(), &daemon.url] {
        assert!(refusal.contains(part), "{refusal}");
    }

    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!file.exists());
}

/// Where the daemon of a home listens by its own words.
fn listener_of(home: &Home) -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = json!({
        "pid": 7, "url": format!("http://{}", listener.local_addr().unwrap()), "token": "t",
        "started_at": "2026-01-01T00:00:00Z",
    });
    fs_err::create_dir_all(home.path().join("data")).unwrap();
    fs_err::write(home.path().join("data/daemon.json"), said.to_string()).unwrap();
    listener
}

#[test]
fn one_that_does_not_answer_is_told_and_holds_no_command() {
    let home = Home::new();
    assert!(home.run(&["run", "chain"]).status.success());
    let _silent = listener_of(&home);
    let paused = home.run(&["pipelines", "pause", "chain"]);
    assert_eq!(paused.status.code(), Some(3));
    let refusal = stderr(&paused);
    assert!(refusal.contains("(process 7) does not answer"), "{refusal}");
    let doctor = home.run(&["doctor"]);
    let checks = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(checks.contains("does not answer"), "{checks}");

    // What only reads asks the databases.
    for reading in [
        &["runs", "explain", "latest", "b"][..],
        &["backfill", "list"],
        &[
            "backfill",
            "chain",
            "--from",
            "2026-01-01",
            "--to",
            "2026-01-02",
            "--dry-run",
        ],
    ] {
        let read = home.run(reading);
        assert!(read.status.success(), "{reading:?}: {}", stderr(&read));
    }
}

/// Answers as a daemon of another release, until the test ends: who it is without all else, and
/// with `body` to what is asked of it.
fn other_release(home: &Home, who: &'static str, body: &'static str) {
    let listener = listener_of(home);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut asked = String::new();
            BufReader::new(&connection).read_line(&mut asked).unwrap();
            let body = if asked.starts_with("GET /api/v1/daemon ") {
                who
            } else {
                body
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{body}",
                // One that breaks off says less than it promises.
                body.len() + usize::from(body.is_empty()),
            );
            connection.write_all(answer.as_bytes()).unwrap();
            // What was asked is read to its end, and an answer that is due is never given.
            let mut rest = Vec::new();
            let _closed = connection.read_to_end(&mut rest);
        }
    });
}

#[test]
fn one_of_another_release_is_asked_all_the_same() {
    let home = Home::new();
    let body = r#"{"pipeline":"chain","paused":true,"changed":true}"#;
    other_release(&home, r#"{"pid":7}"#, body);
    let paused = home.run(&["pipelines", "pause", "chain"]);
    assert!(paused.status.success(), "{}", stderr(&paused));
    let doctor = home.run(&["doctor"]);
    let checks = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(checks.contains("this release does not know"), "{checks}");
    assert!(checks.contains("disk"), "all else is looked at: {checks}");

    let backfill = [
        "backfill",
        "chain",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
    ];
    other_release(&home, r#"{"pid":7}"#, r#"{"id":"b"}"#);
    let asked = home.run(&backfill);
    assert_eq!(asked.status.code(), Some(1), "{}", stderr(&asked));
}

#[test]
fn one_that_breaks_off_does_not_count_as_none() {
    let home = Home::new();
    other_release(&home, "", "");
    let paused = home.run(&["pipelines", "pause", "chain"]);
    assert_eq!(paused.status.code(), Some(3), "{}", stderr(&paused));
}

#[tokio::test]
async fn the_first_signal_lets_attempts_end() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    daemon.signal("TERM");
    loop {
        let (status, answer) = daemon.get("/readyz").await;
        if status == 503 {
            assert_eq!(answer["error"]["code"], "unavailable");
            break;
        }
    }
    let (status, _) = daemon
        .post("/api/v1/runs", json!({ "pipeline": "chain" }))
        .await;
    assert_eq!(status, 503, "nothing new is taken");
    home.open();
    assert_eq!(daemon.wait().code(), Some(0));

    let daemon = home.up();
    let run = daemon.ended(&run_id).await;
    assert_eq!(run["state"], "succeeded");
    assert_eq!(
        run["tasks"][0]["attempts"], 1,
        "what had ended is not done again"
    );
}

#[tokio::test]
async fn the_second_signal_stops_attempts_and_the_next_start_goes_on() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    daemon.signal("TERM");
    daemon.signal("INT");
    assert_eq!(daemon.wait().code(), Some(0));

    let daemon = home.up();
    home.until_waiting();
    home.open();
    assert_eq!(daemon.ended(&run_id).await["state"], "succeeded");
}

#[tokio::test]
async fn goes_on_with_what_a_killed_one_left() {
    let home = Home::new();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    daemon.signal("KILL");
    daemon.wait();

    let daemon = home.up();
    home.until_waiting();
    home.open();
    let run = daemon.ended(&run_id).await;
    assert_eq!(run["state"], "succeeded");
    assert_eq!(run["tasks"][0]["attempts"], 2);
}
