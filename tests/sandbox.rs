//! The Reddit client against the simulated Reddit, over HTTP.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use trendmill::{
    clock::{Clock, SystemClock, Timestamp},
    corpus::{ContentHash, LabelAge, MediaLocation},
    sandbox::{
        HORIZON, JournalLine, SandboxSettings, SandboxState, communities, journal, serve, truth,
    },
    sources::{
        Due, Error, Page, ScrapeRequest, ScrapeSummary, Source,
        reddit::{Access, Credentials, Endpoint, Ledger, Manners, RedditSource},
    },
};

/// A served sandbox, which ends with the test's runtime.
struct Served {
    base: String,
    state: Arc<SandboxState>,
    settings: SandboxSettings,
}

fn settings() -> SandboxSettings {
    "sandbox:seed=3,posts=150".parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn served() -> Served {
    let settings = settings();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let state = Arc::new(SandboxState::new(settings.clone(), time("2026-01-03")));
    tokio::spawn(serve(
        Arc::clone(&state),
        listener,
        std::future::pending::<()>(),
    ));
    Served {
        base,
        state,
        settings,
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

impl Served {
    fn source(&self) -> RedditSource {
        let access = Access {
            http: http(),
            endpoint: Endpoint::sandbox(&self.base),
            credentials: Credentials::sandbox(),
            ledger: Ledger::in_memory(),
            manners: Manners::default(),
            clock: Arc::new(SystemClock),
        };
        RedditSource::new(access, self.settings.to_string(), communities()).unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = http().get(format!("{}{path}", self.base)).send().await;
        let text = answer.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

async fn scraped(
    source: &RedditSource,
    as_of: Timestamp,
    watermarks: &BTreeMap<String, Timestamp>,
) -> (Vec<Page>, ScrapeSummary) {
    let (sender, mut receiver) = mpsc::channel(4);
    let request = ScrapeRequest {
        watermarks: watermarks.clone(),
        ..ScrapeRequest::everything(as_of)
    };
    let pages = async {
        let mut pages = Vec::new();
        while let Some(page) = receiver.recv().await {
            pages.push(page);
        }
        pages
    };
    let (summary, pages) = tokio::join!(source.scrape(request, sender), pages);
    (pages, summary.unwrap())
}

fn ids(pages: &[Page]) -> Vec<String> {
    let records = pages.iter().flat_map(|page| &page.records);
    records.map(|(record, _)| record.id.clone()).collect()
}

#[tokio::test]
async fn listing_pages_equal_the_world() {
    let served = served().await;
    let book = journal(&served.settings, served.state.clock().now());
    let wanted = |line: &&JournalLine| matches!(line.community, "art" | "pics");
    let mut expected: Vec<_> = book.iter().filter(wanted).map(|line| &line.id).collect();
    expected.reverse();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = served
            .json(&format!(
                "/r/art+pics/new?limit=64&raw_json=1&after={after}"
            ))
            .await;
        for child in page["data"]["children"].as_array().unwrap() {
            listed.push(child["data"]["id"].as_str().unwrap().to_owned());
        }
        match page["data"]["after"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    assert!(listed.len() > 100);
    assert!(listed.iter().eq(expected));
}

#[tokio::test]
async fn info_drops_unknown_ids_and_what_is_still_to_come() {
    let served = served().await;
    let all: Vec<_> = truth(&served.settings, time("2026-01-05")).collect();
    let (known, to_come) = (&all[0].id, &all[all.len() - 1].id);
    let path = format!("/api/info?id=t3_{to_come},t3_zzzzzzz,t5_abc,t3_{known}");
    let answer = served.json(&path).await;
    let children = answer["data"]["children"].as_array().unwrap();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0]["data"]["name"], json!(format!("t3_{known}")));
    let author = children[0]["data"]["author_fullname"].as_str().unwrap();
    let users = served
        .json(&format!("/api/user_data_by_account_ids?ids=t2_1,{author}"))
        .await;
    assert_eq!(users[author]["name"], children[0]["data"]["author"]);
    let about = served.json("/r/pics/about").await;
    assert!(about["data"]["subscribers"].as_u64().unwrap() > 1_000_000);
    assert_eq!(served.json("/r/nobody/new").await["error"], json!(404));
}

#[tokio::test]
async fn a_request_is_answered_as_of_its_own_time() {
    let served = served().await;
    let first = truth(&served.settings, time("2026-01-02")).next().unwrap();
    let score_at = async |moment: Timestamp| {
        let answer = http()
            .get(format!("{}/api/info?id=t3_{}", served.base, first.id))
            .header("x-sandbox-time", moment.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.headers().contains_key("x-ratelimit-remaining"));
        let answer: Value = answer.json().await.unwrap();
        answer["data"]["children"][0]["data"]["score"].as_u64()
    };
    assert_eq!(
        score_at(first.created_at - Duration::from_secs(1)).await,
        None
    );
    assert_eq!(score_at(first.created_at).await, Some(0));
    assert_eq!(
        score_at(first.created_at + HORIZON).await,
        Some(first.score_36h)
    );
    // The clock that all other requests go by.
    let set = http().post(format!("{}/sandbox/clock", served.base));
    let answer = set
        .json(&json!({"now": "2025-12-31T00:00:00Z"}))
        .send()
        .await;
    assert!(answer.unwrap().status().is_success());
    assert_eq!(served.json("/r/pics/new").await["data"]["dist"], json!(0));
    assert_eq!(
        served.json("/sandbox/clock").await["now"],
        json!("2025-12-31T00:00:00Z")
    );
}

#[tokio::test]
async fn images_are_those_of_the_book() {
    let served = served().await;
    let (pages, _) = scraped(
        &served.source(),
        time("2026-01-01T12:00:00Z"),
        &BTreeMap::new(),
    )
    .await;
    let lines = http().get(format!(
        "{}/sandbox/journal?until=2026-01-01T12:00:00Z",
        served.base
    ));
    let text = lines.send().await.unwrap().text().await.unwrap();
    let mut book: BTreeMap<String, Value> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        book.insert(line["id"].as_str().unwrap().to_owned(), line);
    }
    let records: Vec<_> = pages.iter().flat_map(|page| &page.records).collect();
    assert_eq!(records.len(), book.len());
    for (record, _) in records {
        let mut hashes = Vec::new();
        for location in &record.media {
            let MediaLocation::Url(url) = location else {
                panic!("{location:?} is not a URL");
            };
            let answer = http().get(url).send().await.unwrap();
            let is_image = answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("image/");
            if answer.status().is_success() && is_image {
                let hash = ContentHash::of(answer.bytes().await.unwrap());
                hashes.push(hash.to_string());
            }
        }
        assert_eq!(json!(hashes), book[&record.id]["images"], "{}", record.id);
    }
}

#[tokio::test]
async fn a_walk_goes_on_from_its_watermark_and_loses_nothing() {
    let served = served().await;
    let days = ["2026-01-03", "2026-01-03T00:30:00Z", "2026-01-05"].map(time);
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut watermarks = BTreeMap::new();
    for (walk, as_of) in days.into_iter().enumerate() {
        // A new source each time: what is known is in the watermarks alone.
        let (pages, summary) = scraped(&served.source(), as_of, &watermarks).await;
        let read = ids(&pages);
        let distinct: BTreeSet<String> = read.iter().cloned().collect();
        assert_eq!(
            distinct.len(),
            read.len(),
            "nothing is read twice in one walk"
        );
        assert!(
            pages
                .iter()
                .all(|page| page.dropped.is_empty() && page.bytes > 0)
        );
        let again = distinct.intersection(&known).count();
        assert!(
            walk == 0 || (1..80).contains(&again),
            "{again} posts of the margin"
        );
        known.extend(distinct);
        let expected: BTreeSet<String> =
            truth(&served.settings, as_of).map(|post| post.id).collect();
        assert_eq!(known, expected);
        assert_eq!(summary.watermarks.len(), 4);
        watermarks = summary.watermarks;
    }
}

#[tokio::test]
async fn readings_have_the_age_of_the_horizon() {
    let served = served().await;
    let source = served.source();
    let planted: Vec<_> = truth(&served.settings, time("2026-01-04")).collect();
    let mut due: Vec<Due> = planted
        .iter()
        .map(|post| Due {
            id: post.id.clone(),
            at: post.created_at + HORIZON,
        })
        .collect();
    due.push(Due {
        id: "zzzzzzz".to_owned(),
        at: time("2026-01-03"),
    });
    let as_of = time("2026-01-04T12:00:00Z");
    let readings = source.observe(&due, as_of).await.unwrap().observations;
    let ripe: Vec<_> = planted
        .iter()
        .filter(|post| post.created_at + HORIZON <= as_of)
        .collect();
    assert_eq!(readings.len(), ripe.len());
    for (reading, post) in readings.iter().zip(ripe) {
        assert_eq!(
            (&reading.record_id, reading.score),
            (&post.id, Some(post.score_36h as f64))
        );
        let observed = reading.observed_at.unwrap();
        assert_eq!(
            reading.age,
            LabelAge::Known(observed.since(post.created_at))
        );
        let late = observed.since(post.created_at + HORIZON);
        assert!(observed >= post.created_at + HORIZON && late <= Duration::from_mins(10));
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_a_request() {
    let served = served().await;
    let (sender, _receiver) = mpsc::channel(1);
    let request = ScrapeRequest {
        communities: Some(vec!["nobody".to_owned()]),
        ..ScrapeRequest::everything(time("2026-01-02"))
    };
    let summary = served.source().scrape(request.clone(), sender).await;
    let refused = summary.unwrap().refused;
    assert_eq!(refused[0].community, "nobody");
    assert!(refused[0].why.contains("/r/nobody/new"), "{refused:?}");
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let request = ScrapeRequest {
        communities: None,
        ..request
    };
    let error = served.source().scrape(request, sender).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled));
}
