//! Tests of the archive as a source, against one that is made up.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::corpus::LabelAge;

const NOON: i64 = 1_767_268_800;

/// When the made-up archive's posts were made, in seconds after noon; `p0`, `p1`, ….
#[derive(Default)]
struct Archive {
    made: Vec<i64>,
    /// How many posts more than the least it answers with.
    more: usize,
    asked: Mutex<Vec<BTreeMap<String, String>>>,
}

fn post(number: usize, made: i64) -> Value {
    json!({
        "id": format!("p{number}"), "title": format!("post {number}"), "subreddit": "pics",
        "author": "someone", "created_utc": NOON + made, "score": 7,
        "retrieved_on": NOON + made + 60,
        "_meta": {"retrieved_2nd_on": NOON + made + 36 * 3600},
    })
}

type Asked = Query<BTreeMap<String, String>>;

async fn search(State(archive): State<Arc<Archive>>, Query(asked): Asked) -> Response {
    archive.asked.lock().unwrap().push(asked.clone());
    match asked["subreddit"].as_str() {
        "busy" => {
            let headers = [("x-ratelimit-reset", "30")];
            return (StatusCode::TOO_MANY_REQUESTS, headers, "slow down").into_response();
        }
        "banned" => {
            let body = Json(json!({"data": null, "error": "no such subreddit"}));
            return (StatusCode::BAD_REQUEST, body).into_response();
        }
        "down" => return (StatusCode::BAD_GATEWAY, "<html>").into_response(),
        "slow" => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        // One after the other, and then it answers.
        "recovering" => {
            let passing = [
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::UNPROCESSABLE_ENTITY,
                StatusCode::TOO_EARLY,
            ];
            let asked = archive.asked.lock().unwrap().len();
            if let Some(status) = passing.get(asked - 1) {
                return (*status, "slow down").into_response();
            }
        }
        _ => {}
    }
    let bound = |name: &str| asked[name].parse::<i64>().unwrap() - NOON;
    let (after, before) = (bound("after"), bound("before"));
    let made = archive.made.iter().copied().enumerate();
    let found = made.filter(|(_, made)| after < *made && *made < before);
    let posts = found.map(|(n, made)| post(n, made));
    assert_eq!(asked["limit"], "auto");
    let posts: Vec<Value> = posts.take(100 + archive.more).collect();
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "0")];
    (headers, Json(json!({ "data": posts }))).into_response()
}

async fn ids(State(archive): State<Arc<Archive>>, Query(asked): Asked) -> Response {
    let known = asked["ids"].split(',').filter_map(|id| {
        let number: usize = id.strip_prefix('p')?.parse().ok()?;
        Some(post(number, *archive.made.get(number)?))
    });
    let mut posts: Vec<Value> = known.collect();
    // One that was not read again yet.
    if let Some(first) = posts.first_mut() {
        first.as_object_mut().unwrap().remove("_meta");
    }
    Json(json!({ "data": posts })).into_response()
}

#[tokio::test]
async fn what_its_author_deleted_does_not_come_and_is_counted() {
    let mut posts: Vec<Value> = (0..3).map(|n| post(n, 0)).collect();
    posts[0]["removed_by_category"] = json!("deleted");
    posts[1]["_meta"]["removal_type"] = json!("removed");
    let body = json!({ "data": posts }).to_string();
    let answer = answer::read(StatusCode::OK, body.as_bytes(), "", ImageSize::Original);
    let (page, _) = page(answer.unwrap(), &request(None), &BTreeSet::new());
    assert_eq!(page.dropped, BTreeMap::from([("deleted".to_owned(), 1)]));
    assert_eq!(sent(&[page]), ["p1", "p2"]);
}

async fn archive(made: Vec<i64>) -> (ArcticSource, Arc<Archive>) {
    generous_archive(made, 0).await
}

async fn generous_archive(made: Vec<i64>, more: usize) -> (ArcticSource, Arc<Archive>) {
    let archive = Arc::new(Archive {
        made,
        more,
        ..Archive::default()
    });
    let app = Router::new()
        .route("/x/api/posts/search", get(search))
        .route("/x/api/posts/ids", get(ids))
        .with_state(Arc::clone(&archive));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/x/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let http = crate::net::local_client().unwrap();
    let source = ArcticSource {
        pauses: &[Duration::ZERO; 3],
        ..ArcticSource::new(http, base.parse().unwrap())
    };
    (source, archive)
}

fn request(communities: Option<&str>) -> ScrapeRequest {
    ScrapeRequest {
        communities: communities.map(|name| vec![name.to_owned()]),
        ..ScrapeRequest::everything(Timestamp::from_millis((NOON + 10_000) * 1000))
    }
}

async fn scrape(
    source: &ArcticSource,
    request: ScrapeRequest,
) -> (Result<ScrapeSummary, Error>, Vec<Page>) {
    let (sender, mut pages) = mpsc::channel(1);
    let keep = async {
        let mut kept = Vec::new();
        while let Some(page) = pages.recv().await {
            kept.push(page);
        }
        kept
    };
    futures::join!(source.scrape(request, sender), keep)
}

fn sent(pages: &[Page]) -> Vec<String> {
    let records = pages.iter().flat_map(|page| &page.records);
    records.map(|(record, _)| record.id.clone()).collect()
}

#[tokio::test]
async fn every_post_comes_once_however_they_lie_on_the_edges_of_answers() {
    // 250 posts of which several share a second, also where an answer ends.
    let (source, archive) = archive((0..250).map(|n| n / 3).collect()).await;
    let (summary, pages) = scrape(&source, request(Some("pics"))).await;
    let numbers: Vec<String> = (0..250).map(|n| format!("p{n}")).collect();
    assert_eq!(sent(&pages), numbers);
    let newest = Timestamp::from_millis((NOON + 83) * 1000);
    assert_eq!(summary.unwrap().watermarks["pics"], newest);
    assert_eq!(archive.asked.lock().unwrap().len(), 3);
    assert!(pages.iter().all(|page| page.raw.is_empty()), "nobody asked");
    let reading = pages[0].records[0].1.as_ref().unwrap();
    assert_eq!(reading.age, LabelAge::Known(Duration::from_hours(36)));

    // The next day begins an hour below what is known.
    let again = ScrapeRequest {
        watermarks: BTreeMap::from([("pics".to_owned(), newest)]),
        raw: true,
        ..request(Some("pics"))
    };
    let (summary, pages) = scrape(&source, again).await;
    summary.unwrap();
    let (record, _) = &pages[0].records[0];
    let body: Value = serde_json::from_slice(&pages[0].raw[&record.id].json).unwrap();
    assert_eq!(body["title"], json!(record.title));
    assert_eq!(pages[0].raw.len(), pages[0].records.len());
    let asked = archive.asked.lock().unwrap();
    assert_eq!(asked[3]["after"], (NOON + 83 - 3600 - 1).to_string());
}

#[tokio::test]
async fn a_second_with_more_posts_than_an_answer_holds_is_a_gap_and_does_not_hold_up() {
    let (source, archive) = archive([vec![1, 2], vec![5; 230], vec![6, 7]].concat()).await;
    let (summary, pages) = scrape(&source, request(Some("pics"))).await;
    let summary = summary.unwrap();
    let second = |n: i64| Timestamp::from_millis((NOON + n) * 1000);
    let gap = Gap {
        community: "pics".to_owned(),
        from: second(5),
        to: second(6),
    };
    assert_eq!(summary.gaps, [gap]);
    assert_eq!(summary.watermarks["pics"], second(7));
    assert_eq!(archive.asked.lock().unwrap().len(), 3);
    let sent = sent(&pages);
    // Two before it, an answer full of it, two behind it.
    assert_eq!(sent.len(), 104);
    assert_eq!(sent.last().unwrap(), "p233");
}

#[tokio::test]
async fn an_answer_is_as_long_as_the_server_makes_it() {
    // As many in a second as would be a gap in shorter answers.
    let made: Vec<i64> = (0..1650).map(|n| n / 400).collect();
    let (source, archive) = generous_archive(made, 900).await;
    let (summary, pages) = scrape(&source, request(Some("pics"))).await;
    assert_eq!(summary.unwrap().gaps, []);
    assert_eq!(sent(&pages).len(), 1650);
    assert!(archive.asked.lock().unwrap().len() <= 3);
}

#[tokio::test]
async fn all_that_is_known_is_answered_with_the_age_of_its_reading() {
    let (source, _) = archive(vec![0, 10, 20]).await;
    let due = |id: &str, hours: i64| Due {
        id: id.to_owned(),
        at: Timestamp::from_millis((NOON + hours * 3600) * 1000),
    };
    let due = [due("p0", 36), due("p1", 36), due("p2", 40), due("gone", 36)];
    let read = source.observe(&due, request(None).as_of).await.unwrap();
    let read = read.observations;
    let read: Vec<_> = read
        .iter()
        .map(|reading| {
            let at = due.iter().find(|due| due.id == reading.record_id);
            let is_known = matches!(reading.age, LabelAge::Known(_));
            let is_due = is_known && reading.observed_at >= at.map(|due| due.at);
            (reading.record_id.as_str(), is_due)
        })
        .collect();
    assert_eq!(read, [("p0", false), ("p1", true), ("p2", false)]);
}

#[tokio::test]
async fn what_passes_is_asked_again_and_not_for_ever() {
    let (source, archive) = archive(vec![0, 10]).await;
    let (summary, pages) = scrape(&source, request(Some("recovering"))).await;
    summary.unwrap();
    // The made-up posts are of another community.
    assert_eq!(pages[0].dropped["other_community"], 2);
    assert_eq!(archive.asked.lock().unwrap().len(), 4);
    let (end, _) = scrape(&source, request(Some("slow"))).await;
    assert!(matches!(end, Err(Error::Unavailable { .. })), "{end:?}");
    assert_eq!(archive.asked.lock().unwrap().len(), 4 + 4);
}

#[tokio::test]
async fn refusals_have_their_kinds() {
    let (source, _) = archive(Vec::new()).await;
    let end = async |community| scrape(&source, request(community)).await.0.unwrap_err();
    let error = end(Some("busy")).await;
    assert!(
        matches!(error, Error::RateLimited { reset, .. } if reset == Duration::from_secs(30)),
        "{error:?}"
    );
    let error = end(Some("banned")).await;
    assert!(error.to_string().contains("no such subreddit"), "{error}");
    assert!(matches!(end(Some("down")).await, Error::Unavailable { .. }));
    assert!(end(None).await.to_string().contains("--param subreddits"));
}
