//! Tests of the parent.

use axum::{http::StatusCode, response::Response};

use super::{
    super::{
        budget::Ledger,
        served_tests::{Call, Calls, TOKEN_PATH, counted, json, serve, token},
    },
    *,
};
use crate::{clock::SystemClock, corpus::Gap, sources::Standing};

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
    serve_with(move |call| listing(call.path.trim_start_matches("/r/").trim_end_matches("/new")))
        .await
}

/// A source at a server that answers so, and what it was asked.
async fn serve_with(
    answer: impl Fn(&Call) -> Response + Clone + Send + Sync + 'static,
) -> (RedditSource, Calls) {
    let (base, calls) = serve(move |call| {
        if call.path == TOKEN_PATH {
            return token("t");
        }
        counted(answer(call), SystemClock.now(), 1, 1000)
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
        communities: Some(names().collect()),
        watermarks: names()
            .map(|name| (name, Timestamp::from_seconds(known)))
            .collect(),
        ..ScrapeRequest::everything(Timestamp::from_seconds(1e9))
    };
    scrape(source, request).await
}

async fn scrape(
    source: &RedditSource,
    request: ScrapeRequest,
) -> (Vec<String>, Result<ScrapeSummary, Error>) {
    let (send, mut receive) = mpsc::channel(100);
    let summary = source.scrape(request, send).await;
    let mut ids = Vec::new();
    while let Some(page) = receive.recv().await {
        let page: Page = page;
        ids.extend(page.records.into_iter().map(|(record, _)| record.id));
    }
    (ids, summary)
}

/// Byte by byte, also what a parser would write otherwise.
#[tokio::test]
async fn posts_come_as_they_were_sent_where_that_is_asked_for() {
    const SENT: &str = r#"{ "id":"a","title" : "t\u00e9","score": 5.0,"odd":{"b":1,"a":2},
        "crosspost_parent_list":[{"id":"p","author":"ann","author_fullname":"t2_ann"}]}"#;
    let (source, _) = source(|_| {
        let body = format!(r#"{{"data":{{"children":[{{"kind":"t3","data":{SENT}}}, 7]}}}}"#);
        json(StatusCode::OK, body)
    })
    .await;
    for raw in [false, true] {
        let request = ScrapeRequest {
            communities: Some(vec!["pics".to_owned()]),
            raw,
            ..ScrapeRequest::everything(Timestamp::from_seconds(1e9))
        };
        let (send, mut receive) = mpsc::channel(9);
        source.scrape(request, send).await.unwrap();
        let page: Page = receive.recv().await.unwrap();
        assert_eq!(page.raw.len(), usize::from(raw));
        if let Some(sent) = page.raw.get("a") {
            assert_eq!(&*sent.json, SENT.as_bytes());
            assert_eq!(sent.tells_of, ["p", "ann", "t2_ann"]);
        }
    }
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
    // Of all that one listing shows as much is known: a quiet one is not walked down to its last
    // post again and again.
    assert_eq!(known["aww"], Timestamp::from_seconds(90_003.0));
    let calls = calls.lock().unwrap();
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(paths, [TOKEN_PATH, "/r/pics+aww/new"]);
}

/// A listing of 1,000 posts in pages of 100, the newest made at the second 1,000,000, one a second.
fn thousand(after: Option<u32>) -> Response {
    let first = after.unwrap_or(1_000_001) - 1;
    let children: Vec<_> = (first - 99..=first)
        .rev()
        .map(|second| {
            serde_json::json!({"kind": "t3", "data": {"id": format!("p{second}"), "title": "t",
                "subreddit": "pics", "created_utc": second}})
        })
        .collect();
    let after = (first - 99 > 999_001).then(|| format!("t3_p{}", first - 99));
    let body = serde_json::json!({"data": {"children": children, "after": after}});
    json(StatusCode::OK, body.to_string())
}

/// A source of `pics` with [`thousand`] posts, and what it was asked.
async fn loud() -> (RedditSource, Calls) {
    serve_with(|call| {
        let after = call
            .query
            .split('&')
            .find_map(|part| part.strip_prefix("after=t3_p"));
        thousand(after.map(|after| after.parse().unwrap()))
    })
    .await
}

fn loud_request(known_to: f64, known: &[&str]) -> ScrapeRequest {
    ScrapeRequest {
        communities: Some(vec!["pics".to_owned()]),
        watermarks: [("pics".to_owned(), Timestamp::from_seconds(known_to))].into(),
        known: known.iter().map(|id| (*id).to_owned()).collect(),
        ..ScrapeRequest::everything(Timestamp::from_seconds(1e9))
    }
}

#[tokio::test]
async fn a_walk_ends_where_it_meets_what_is_known() {
    let (source, calls) = loud().await;
    // What a walk that died has stored above the watermark tells nothing of what is below.
    let known = ["p999999", "p999998", "p999850", "p999849"];
    let (ids, summary) = scrape(&source, loud_request(999_850.0, &known)).await;
    assert_eq!(ids.len(), 200);
    assert_eq!(summary.unwrap().gaps, []);
    assert_eq!(calls.lock().unwrap().len(), 1 + 2);
}

#[tokio::test]
async fn a_thorough_walk_looks_further_back_and_takes_the_end_of_a_listing_for_no_gap() {
    let (source, calls) = loud().await;
    let mut request = loud_request(999_850.0, &[]);
    request.look_back = Duration::from_secs(400);
    let (ids, summary) = scrape(&source, request.clone()).await;
    assert_eq!(ids.last().map(String::as_str), Some("p999450"));
    assert_eq!(summary.unwrap().gaps, []);
    assert_eq!(calls.lock().unwrap().len(), 1 + 6);
    request.look_back = Duration::from_hours(7);
    let (ids, summary) = scrape(&source, request).await;
    assert_eq!((ids.len(), summary.unwrap().gaps), (1000, Vec::new()));
}

#[tokio::test]
async fn what_the_listing_no_longer_shows_is_a_gap() {
    let (source, _) = loud().await;
    let (ids, summary) = scrape(&source, loud_request(900_000.0, &[])).await;
    assert_eq!(ids.len(), 1000);
    let gap = Gap {
        community: "pics".to_owned(),
        from: Timestamp::from_seconds(900_000.0),
        to: Timestamp::from_seconds(999_001.0),
    };
    let summary = summary.unwrap();
    assert_eq!(summary.gaps, [gap]);
    assert_eq!(summary.walked, ["pics"]);
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
    let summary = summary.unwrap();
    let known: Vec<String> = summary.watermarks.into_keys().collect();
    assert_eq!(
        (known, summary.walked),
        (vec!["pics".to_owned()], vec!["pics".to_owned()])
    );
    let [refused] = &summary.refused[..] else {
        panic!("{:?}", summary.refused);
    };
    assert_eq!(refused.community, "gone");
    assert!(refused.why.contains("it is not there"), "{}", refused.why);
}

#[test]
fn what_an_answer_lacks_is_absent_where_it_holds_others() {
    let now = Timestamp::from_millis(1_767_225_600_000);
    let asked = ["a", "b"].map(str::to_owned);
    let page = |children: &str| {
        let body = format!(r#"{{"data": {{"children": [{children}]}}}}"#);
        ListingPage::read(body.as_bytes()).unwrap()
    };
    let post = r#"{"kind": "t3", "data": {"id": "b", "title": "t", "created_utc": 1, "score": 3}}"#;
    let told = readings(&asked, &page(post), now);
    assert_eq!(told.absent, ["a"]);
    assert_eq!(told.standings, [("b".to_owned(), Standing::There)]);
    assert_eq!(readings(&asked, &page(""), now), Readings::default());
}
