//! Tests of the parent.

use axum::{http::StatusCode, response::Response};

use super::{
    super::{
        budget::Ledger,
        served_tests::{Calls, TOKEN_PATH, counted, json, serve, token},
    },
    *,
};
use crate::clock::SystemClock;

#[test]
fn rounds_a_due_time_up_to_its_step() {
    let step = ReadingStep(Duration::from_mins(10));
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let latest = time("2026-01-02T00:05:00Z");
    let end = |due: &str| step.end(time(due), latest).to_string();
    assert_eq!(end("2026-01-01T10:00:01Z"), "2026-01-01T10:10:00Z");
    assert_eq!(end("2026-01-01T10:10:00Z"), "2026-01-01T10:10:00Z");
    assert_eq!(end("2026-01-02T00:01:00Z"), "2026-01-02T00:05:00Z");
}

/// A source at a server that answers listings with `listing`, and what it was asked.
async fn source(
    listing: impl Fn(&str) -> Response + Clone + Send + Sync + 'static,
) -> (RedditSource, Calls) {
    let (base, calls) = serve(move |call| {
        if call.path == TOKEN_PATH {
            return token("t");
        }
        let names = call.path.trim_start_matches("/r/").trim_end_matches("/new");
        counted(listing(names), SystemClock.now(), 1, 1000)
    })
    .await;
    let access = Access {
        http: crate::net::local_client().unwrap(),
        endpoint: Endpoint::at(Some(&base), Some(&base)).unwrap(),
        credentials: Credentials::sandbox(),
        ledger: Ledger::in_memory(),
        manners: Manners::default(),
        clock: Arc::new(SystemClock),
    };
    let source = RedditSource::new(access, "reddit".to_owned(), Vec::new()).unwrap();
    (source, calls)
}

/// Reads the communities, all of which are known up to `known`, as seconds.
async fn read(
    source: &RedditSource,
    communities: &[&str],
    known: f64,
) -> (Vec<String>, Result<ScrapeSummary, Error>) {
    let names = || communities.iter().map(|name| (*name).to_owned());
    let request = ScrapeRequest {
        as_of: Timestamp::from_seconds(1e9),
        communities: Some(names().collect()),
        watermarks: names()
            .map(|name| (name, Timestamp::from_seconds(known)))
            .collect(),
        since: None,
        cursors: Vec::new(),
    };
    let (send, mut receive) = mpsc::channel(100);
    let summary = source.scrape(request, send).await;
    let mut ids = Vec::new();
    while let Some(page) = receive.recv().await {
        let page: Page = page;
        ids.extend(page.records.into_iter().map(|(record, _)| record.id));
    }
    (ids, summary)
}

fn listing(posts: &[(&str, &str, u32)]) -> Response {
    let children: Vec<_> = posts
        .iter()
        .map(|(id, community, created)| {
            serde_json::json!({"kind": "t3", "data": {
                "id": id, "title": "t", "subreddit": community, "created_utc": created}})
        })
        .collect();
    let body = serde_json::json!({"data": {"children": children}});
    json(StatusCode::OK, body.to_string())
}

#[tokio::test]
async fn quiet_communities_share_one_call() {
    let (source, calls) = source(|_| {
        listing(&[
            ("c", "Pics", 90_003),
            ("b", "aww", 90_002),
            ("a", "pics", 5),
        ])
    })
    .await;
    let (ids, summary) = read(&source, &["pics", "aww"], 90_000.0).await;
    assert_eq!(ids, ["c", "b"], "what is old is left out");
    let known = summary.unwrap().watermarks;
    assert_eq!(known["pics"], Timestamp::from_seconds(90_003.0));
    assert_eq!(known["aww"], Timestamp::from_seconds(90_002.0));
    let calls = calls.lock().unwrap();
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(paths, [TOKEN_PATH, "/r/pics+aww/new"]);
}

#[tokio::test]
async fn a_community_that_is_gone_does_not_cost_the_others() {
    let answer = |names: &str| match names {
        "pics" => listing(&[("c", "pics", 90_003)]),
        _ => json(StatusCode::NOT_FOUND, "{}"),
    };
    let (source_of_both, _) = source(answer).await;
    let (ids, summary) = read(&source_of_both, &["pics", "gone"], 90_000.0).await;
    assert_eq!(ids, ["c"]);
    let known: Vec<String> = summary.unwrap().watermarks.into_keys().collect();
    assert_eq!(known, ["pics"]);
    let (_, summary) = read(&source_of_both, &["gone"], 90_000.0).await;
    let error = summary.unwrap_err().to_string();
    assert!(error.contains("it is not there"), "{error}");
}
