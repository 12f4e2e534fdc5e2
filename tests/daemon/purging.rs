//! Records purged beside the daemon: as without it, and beside the runs that it has at work.

use std::{fmt::Write as _, process::Output};

use serde_json::{Value, json};

use trendmill::{
    clock::Timestamp,
    store::{RecordKey, Store},
};

use crate::kit::Home;

const SCRAPE: &str = r#"
name = "posts"

[[task]]
id = "scrape"
op = "scrape"
source = "dump:posts.ndjson"
"#;

/// A home that has read ten posts.
fn home() -> Home {
    let home = Home::new();
    fs_err::write(home.path().join("pipelines/posts.toml"), SCRAPE).unwrap();
    let mut text = String::new();
    for post in 0..10 {
        writeln!(
            text,
            r#"{{"id":"post{post}","title":"headline number {post}","subreddit":"pics","author":"a{}","created_utc":{},"score":{post}}}"#,
            post % 3,
            1_700_000_000 + post * 3600,
        )
        .unwrap();
    }
    fs_err::write(home.path().join("posts.ndjson"), text).unwrap();
    let run = home.run(&["run", "posts", "--quiet"]);
    assert!(run.status.success(), "{run:?}");
    home
}

fn json_of(home: &Home, arguments: &[&str]) -> Value {
    let output = home.run(&[&["--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A text without where the home is.
fn without_path(home: &Home, text: &impl ToString) -> String {
    text.to_string()
        .replace(home.path().to_str().unwrap(), "HOME")
}

/// What was said on both streams, and the exit code.
fn said(home: &Home, output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| without_path(home, &String::from_utf8_lossy(bytes));
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Waits until the daemon has carried out all that was noted.
async fn until_through(home: &Home) {
    let store = Store::open_read_only(&home.path().join("data"))
        .await
        .unwrap();
    while !store.noted_purges().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

fn holds(home: &Home, words: &str) -> bool {
    ["content.db", "content.db-wal", "state.db", "state.db-wal"]
        .iter()
        .any(|name| {
            let bytes = fs_err::read(home.path().join("data").join(name)).unwrap_or_default();
            bytes
                .windows(words.len())
                .any(|window| window == words.as_bytes())
        })
}

#[test]
fn a_purge_is_the_same_with_and_without_a_daemon() {
    let (alone, served) = (home(), home());
    let _daemon = served.up();
    for arguments in [
        &["records", "purge", "--id", "post1", "--dry-run"][..],
        &["records", "purge", "--id", "post1"],
        &["records", "purge", "--id", "post1", "--yes"],
        &["records", "purge", "--author", "nobody", "--yes"],
        &["records", "purge"],
    ] {
        let (left, right) = (alone.run(arguments), served.run(arguments));
        assert_eq!(said(&alone, &left), said(&served, &right), "{arguments:?}");
    }
    let of_author = ["records", "purge", "--author", "a2", "--yes"];
    let (left, right) = (json_of(&alone, &of_author), json_of(&served, &of_author));
    assert_eq!(without_path(&alone, &left), without_path(&served, &right));
    assert_eq!(right["removed"]["records"], 3, "{right}");
    assert_eq!(right["scrub_due"], false);
    for home in [&alone, &served] {
        assert!(!holds(home, "headline number 1") && !holds(home, "headline number 8"));
        assert!(holds(home, "headline number 3"));
        assert_eq!(json_of(home, &["db", "check"])["sound"], true);
    }
}

#[test]
fn what_is_meant_is_purged_and_what_is_not_here_is_told() {
    let home = home();
    let list =
        "# asked for on Monday\n\nt3_post1\nhttps://www.reddit.com/r/pics/comments/POST2/x/\n";
    fs_err::write(home.path().join("ids.txt"), list).unwrap();
    let done = json_of(
        &home,
        &["records", "purge", "--ids-from", "ids.txt", "--yes"],
    );
    assert_eq!(done["removed"]["records"], 2, "{done}");
    assert_eq!(done["unknown"], json!([]), "{done}");
    let again = ["records", "purge", "--id", "POST1", "--yes"];
    let done = json_of(&home, &again);
    assert_eq!(done["purged_before"], json!(["post1"]), "{done}");
    let output = home.run(&again);
    assert!(String::from_utf8_lossy(&output.stdout).contains("purged before: post1"));

    // Something that is not here is told, whatever else goes; and it stays away.
    let mixed = [
        "records", "purge", "--id", "post3", "--id", "never1", "--yes",
    ];
    for dry_run in [true, false] {
        let arguments = [
            &["--json"],
            &mixed[..],
            &["--dry-run"][..usize::from(dry_run)],
        ]
        .concat();
        let output = home.run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["unknown"], json!(["never1"]), "{told}");
        assert_eq!(told["records"].as_array().unwrap().len(), 1, "{told}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("no such record: `never1`"), "{said}");
    }
    let done = json_of(&home, &["records", "purge", "--id", "never1", "--yes"]);
    assert_eq!(done["purged_before"], json!(["never1"]), "{done}");

    for (arguments, told) in [
        (["--id", ""], "`` is no id"),
        (["--id", "https://www.reddit.com/r/pics/s/abc"], "is no id"),
        (["--author", "u/a9"], "no such record: `u/a9`"),
        (["--community", "r/pisc"], "no such record: `r/pisc`"),
        (["--ids-from", "empty.txt"], "there is no id in `empty.txt`"),
        (["--dataset", "redit"], "there is no data set `redit`"),
    ] {
        fs_err::write(home.path().join("empty.txt"), "# nobody\n").unwrap();
        let id = ["--id", "post4"];
        let beside = if arguments[0] == "--dataset" {
            &id[..]
        } else {
            &[]
        };
        let output = home.run(&[&["records", "purge", "--yes"], &arguments[..], beside].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said}");
    }
    let done = json_of(&home, &["records", "purge", "--author", "/u/A1", "--yes"]);
    assert_eq!(done["removed"]["records"], 2, "{done}");
    let done = json_of(
        &home,
        &["records", "purge", "--community", "r/Pics", "--yes"],
    );
    assert_eq!(done["removed"]["records"], 5, "{done}");
    // Nothing is left, and the data set is known still.
    let done = json_of(&home, &["records", "purge", "--id", "post5", "--yes"]);
    assert_eq!(done["purged_before"], json!(["post5"]), "{done}");
}

#[tokio::test]
async fn a_purge_beside_a_run_is_carried_out_again_after_it() {
    let home = home();
    let daemon = home.up();
    let run_id = daemon.trigger("gate").await;
    home.until_waiting();
    let log = home.path().join(format!("data/logs/{run_id}/wait.1.log"));
    fs_err::create_dir_all(log.parent().unwrap()).unwrap();
    let before = fs_err::read_to_string(&log).unwrap_or_default();
    fs_err::write(&log, format!("{before}of t3_post4 in a log\n")).unwrap();
    let wanted = json!({ "ids": ["post4"] });
    let (status, done) = daemon.post("/api/v1/records/purge", wanted.clone()).await;
    assert_eq!(status, 200, "{done}");
    assert_eq!(
        (&done["removed"]["records"], &done["waiting"]),
        (&1.into(), &1.into()),
        "{done}"
    );
    assert_eq!(done["log_lines"], 1, "{done}");
    // The run's own log goes on in the same file.
    home.open();
    assert_eq!(daemon.ended(&run_id).await["state"], "succeeded");
    until_through(&home).await;
    let said = fs_err::read_to_string(&log).unwrap();
    assert!(
        said.contains("through") && !said.contains("post4"),
        "{said}"
    );
    let (_, done) = daemon.post("/api/v1/records/purge", json!({})).await;
    assert_eq!(
        (&done["waiting"], &done["scrub_due"]),
        (&0.into(), &false.into()),
        "{done}"
    );
    assert!(!holds(&home, "headline number 4"));
    let (status, meant) = daemon
        .post(
            "/api/v1/records/purge",
            json!({ "author": "a0", "dry_run": true }),
        )
        .await;
    assert_eq!((status, &meant["dry_run"]), (200, &true.into()), "{meant}");
    assert_eq!(meant["records"].as_array().unwrap().len(), 4);
    let (status, _) = daemon
        .post("/api/v1/records/purge", json!({ "id": "post4" }))
        .await;
    assert_eq!(status, 422, "a name that is not known is told");
}

#[tokio::test]
async fn a_purge_that_was_cut_off_is_carried_out_by_the_next_daemon() {
    let home = home();
    assert!(holds(&home, "headline number 7"));
    {
        // As far as a process came that died after its first step.
        let store = Store::open(&home.path().join("data")).await.unwrap();
        let (dataset, _) = store.datasets().await.unwrap().swap_remove(0);
        let keys = [RecordKey {
            dataset,
            id: "post7".to_owned(),
        }];
        let noted = store.note_purges(&keys, "a test", Timestamp::from_millis(0));
        assert_eq!(noted.await.unwrap(), 1);
    }
    let daemon = home.up();
    until_through(&home).await;
    let (_, datasets) = daemon.get("/api/v1/records").await;
    assert_eq!(datasets[0]["records"], 9, "{datasets}");
    assert_eq!(json_of(&home, &["db", "check"])["sound"], true);
}
