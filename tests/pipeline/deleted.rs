//! What is deleted at a live source is gone here after the next look.
use std::{net::SocketAddr, sync::mpsc, thread};

use axum::{
    Json, Router,
    extract::Query,
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::home::{Home, stderr, task};

const PIPELINE: &str = r#"
name = "live"

[params]
source = "reddit"

[[task]]
id = "scrape"
op = "scrape"
source = "{{ params.source }}"
communities = ["pics"]

[[task]]
id = "sync"
op = "sync_deletions"
after = ["scrape"]
cycle = "0s"
removed = "keep_out"
"#;

/// A post as the server tells it in listings: everything was there when it was listed.
fn listed(number: u32) -> Value {
    json!({"kind": "t3", "data": {
        "id": format!("post{number}"), "name": format!("t3_post{number}"),
        "title": format!("a title that nobody else has, {number}"), "subreddit": "pics",
        "author": format!("author_{number}"), "author_fullname": format!("t2_{number}"),
        "created_utc": 1_767_225_600 + number, "score": 5, "is_self": true,
    }})
}

/// As it stands when it is asked about: the first is deleted, the second removed, the third's
/// author gone, the fourth absent.
fn standing(id: &str) -> Option<Value> {
    let number: u32 = id.strip_prefix("t3_post")?.parse().ok()?;
    let mut post = listed(number);
    let data = &mut post["data"];
    match number {
        1 => {
            data["author"] = json!("[deleted]");
            data["removed_by_category"] = json!("deleted");
        }
        2 => data["removed_by_category"] = json!("moderator"),
        3 => data["author"] = json!("[deleted]"),
        4 => return None,
        _ => {}
    }
    Some(post)
}

fn listing(children: &[Value]) -> Json<Value> {
    Json(json!({"kind": "Listing", "data": {"children": children, "after": null}}))
}

/// Serves these posts until the test ends, each as it is `standing` when it is asked about; returns
/// where.
pub(crate) fn serve(
    posts: Vec<Value>,
    standing: impl Fn(&str) -> Option<Value> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let token = post(|| async { Json(json!({"access_token": "t", "expires_in": 86400})) });
            let new = get(move || async move { listing(&posts) });
            let info = get(
                move |Query(query): Query<Vec<(String, String)>>| async move {
                    let ids = query.iter().find(|(name, _)| name == "id");
                    let ids = ids.map(|(_, ids)| ids.clone()).unwrap_or_default();
                    listing(&ids.split(',').filter_map(&standing).collect::<Vec<_>>())
                },
            );
            let router = Router::new()
                .route("/api/v1/access_token", token)
                .route("/r/pics/new", new)
                .route("/api/info", info);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    receiver.recv().unwrap()
}

/// Settings with which the live source is at this address.
pub(crate) fn settings(address: SocketAddr) -> String {
    format!("{ACCOUNT}reddit_url = \"http://{address}\"\noauth_url = \"http://{address}\"\n")
}

/// Who asks Reddit itself.
pub(crate) const ACCOUNT: &str =
    "[reddit]\nclient_id = \"id\"\nclient_secret = \"word\"\nusername = \"ann_of_tests\"\n";

#[test]
fn what_is_deleted_there_goes_here() {
    let address = serve((1..=6).map(listed).collect(), standing);
    let home = Home::empty();
    home.write("trendmill.toml", settings(address));
    home.write("pipelines/live.toml", PIPELINE);
    let output = home.run(&["--json", "run", "live"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("terms, told once").count(), 1, "{said}");
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(task(&run, "scrape")["rows_out"], 6);
    let sync = task(&run, "sync");
    assert_eq!(sync["rows_in"], 6, "{sync}");
    assert_eq!(sync["dropped"], json!({"deleted": 1}), "{sync}");
    let records = home.json_lines(&["records", "export"]);
    let ids: Vec<&str> = records
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["post2", "post3", "post4", "post5", "post6"]);
    assert_eq!(records[1]["author"], Value::Null);
    let bytes = fs_err::read(home.path().join("data/content.db")).unwrap();
    let title = b"nobody else has, 1";
    assert!(!bytes.windows(title.len()).any(|window| window == title));

    // The listing has it still, and it stays away; one absence is not believed yet.
    let again = home.run(&["--json", "run", "live", "--force"]);
    let said = stderr(&again);
    assert!(again.status.success(), "{said}");
    assert!(!said.contains("terms, told once"), "{said}");
    let run: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(task(&run, "scrape")["dropped"]["purged"], 1, "{run}");
    assert_eq!(home.json_lines(&["records", "export"]).len(), 5);
    assert_eq!(home.json(&["db", "check"])["sound"], true);
}

#[test]
fn a_community_that_is_not_shown_is_told_and_left_alone() {
    let address = serve((1..=6).map(listed).collect(), standing);
    let home = Home::empty();
    home.write("trendmill.toml", settings(address));
    let pipeline = PIPELINE.replace("[\"pics\"]", "[\"pics\", \"secret\"]");
    home.write("pipelines/live.toml", &pipeline);
    let message = |run: &[&str]| {
        let run = home.json(run);
        let scrape = task(&run, "scrape");
        assert!(scrape["rows_out"].as_u64() > Some(0), "{scrape}");
        scrape["message"].as_str().unwrap().to_owned()
    };
    let said = message(&["run", "live"]);
    assert!(said.contains("secret (`/r/secret/new`"), "{said}");
    assert!(said.contains("it is not there"), "{said}");
    let said = message(&["run", "live"]);
    assert!(said.contains("secret (not asked again before 2"), "{said}");
    let said = message(&["run", "live", "--force"]);
    assert!(said.contains("secret (`/r/secret/new`"), "{said}");
    // Where nothing else is asked for the run fails, and says why.
    let alone = PIPELINE.replace("[\"pics\"]", "[\"secret\"]");
    home.write("pipelines/live.toml", &alone);
    let output = home.run(&["run", "live"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("secret (not asked again before 2"), "{said}");
    assert!(said.contains("`--force` asks at once"), "{said}");
}

const LISTED_ALONE: &str = r#"
name = "listed"

[[task]]
id = "scrape"
op = "scrape"
source = "reddit"
communities = ["pics"]
"#;

#[test]
fn what_a_listing_shows_as_deleted_goes_and_is_not_stored_anew() {
    let gone = |number: u32| {
        let mut post = listed(number);
        post["data"]["author"] = json!("[deleted]");
        post["data"]["title"] = json!("[deleted by user]");
        post["data"]["selftext"] = json!("[deleted]");
        if number == 1 {
            post["data"]["removed_by_category"] = json!("deleted");
        }
        post
    };
    let home = Home::empty();
    home.write("pipelines/listed.toml", LISTED_ALONE);
    let before = serve((1..=3).map(listed).collect(), standing);
    home.write("trendmill.toml", settings(before));
    let run = home.json(&["run", "listed"]);
    assert_eq!(task(&run, "scrape")["rows_out"], 3, "{run}");
    // Then one of them is deleted, and one that nobody has seen.
    let posts = vec![gone(4), listed(3), listed(2), gone(1)];
    home.write("trendmill.toml", settings(serve(posts, standing)));
    for _ in 0..2 {
        let run = home.json(&["run", "listed", "--force"]);
        let scrape = task(&run, "scrape");
        assert_eq!(scrape["dropped"], json!({"deleted": 2}), "{scrape}");
        let records = home.json_lines(&["records", "export"]);
        let ids: Vec<&Value> = records.iter().map(|record| &record["id"]).collect();
        assert_eq!(ids, ["post2", "post3"]);
        let bytes = fs_err::read(home.path().join("data/content.db")).unwrap();
        for word in ["nobody else has, 1", "author_1", "[deleted by user]"] {
            let mut windows = bytes.windows(word.len());
            assert!(!windows.any(|window| window == word.as_bytes()), "{word}");
        }
    }
    let asked = home.json(&[
        "records", "purge", "--id", "post1", "--id", "t3_post4", "--yes",
    ]);
    assert_eq!(asked["purged_before"], json!(["post1", "post4"]));
    assert_eq!(home.json(&["db", "check"])["sound"], true);
}
