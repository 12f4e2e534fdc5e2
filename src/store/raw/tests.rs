//! What was sent is kept as it was at first sight, and goes when it has had its time.

use serde_json::Map;

use super::*;
use crate::{
    corpus::{Observation, Record},
    store::{WalkedPage, Writer},
};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + minute * 60_000)
}

fn record(id: &str) -> (Record, Option<Observation>) {
    let record = Record {
        id: id.to_owned(),
        community: None,
        author: Some("ann".to_owned()),
        title: None,
        created_at: Some(START),
        media: Vec::new(),
        fields: Map::new(),
    };
    (record, None)
}

fn sent(id: &str, json: &str) -> (String, RawBody) {
    let raw = RawBody {
        json: json.as_bytes().into(),
        tells_of: Vec::new(),
    };
    (id.to_owned(), raw)
}

/// Stores records at a moment that is that of the source too.
async fn store_at(store: &Store, minute: i64, ids: &[&str], raw: &[(String, RawBody)]) {
    let records: Vec<_> = ids.iter().map(|id| record(id)).collect();
    let page = WalkedPage {
        records: &records,
        raw: &raw.iter().cloned().collect(),
        bytes: 0,
        read_to: None,
    };
    let writer = Writer {
        run_id: "r",
        task_id: "t",
        stored_at: at(minute),
    };
    store
        .store_walked_page("live", page, at(minute), writer)
        .await
        .unwrap();
}

async fn json_of(store: &Store, id: &str) -> Option<(Timestamp, String)> {
    let raw = store.raw("live", id).await.unwrap()?;
    Some((raw.received_at, String::from_utf8(raw.json).unwrap()))
}

#[tokio::test]
async fn the_first_sight_stands() {
    let store = Store::in_memory().await.unwrap();
    // Byte by byte, whatever spaces there are.
    let first = r#"{ "ups":1,"ups": 1.0 }"#;
    store_at(&store, 5, &["a", "b"], &[sent("a", first)]).await;
    store_at(&store, 9, &["a", "b"], &[sent("a", "{}"), sent("b", "{}")]).await;
    assert_eq!(json_of(&store, "a").await, Some((at(5), first.to_owned())));
    assert_eq!(json_of(&store, "b").await, None, "the first sight is gone");
    // A walk that stands for an earlier moment has seen it earlier.
    store_at(&store, 2, &["a"], &[sent("a", "{\"ups\":0}")]).await;
    assert_eq!(
        json_of(&store, "a").await,
        Some((at(2), "{\"ups\":0}".to_owned()))
    );
    let mut seen = Vec::new();
    let visited = store.visit_raw("live", |raw| seen.push(raw.record_id));
    visited.await.unwrap();
    assert_eq!(seen, ["a"]);
    assert_eq!(store.faults().await.unwrap(), []);
}

#[tokio::test]
async fn what_has_had_its_time_goes_and_is_remembered() {
    let store = Store::in_memory().await.unwrap();
    for (minute, id) in [(1, "a"), (2, "b"), (3, "c")] {
        store_at(&store, minute, &[id], &[sent(id, "{}")]).await;
    }
    assert_eq!(store.raw_dropped("live").await.unwrap(), None);
    assert_eq!(store.drop_raw(at(3), 1).await.unwrap(), 1);
    assert_eq!(store.drop_raw(at(3), 1).await.unwrap(), 1);
    assert_eq!(store.drop_raw(at(3), 1).await.unwrap(), 0);
    assert!(json_of(&store, "b").await.is_none() && json_of(&store, "c").await.is_some());
    // The date does not go back.
    assert_eq!(store.drop_raw(at(2), 9).await.unwrap(), 0);
    assert_eq!(store.raw_dropped("live").await.unwrap(), Some(at(3)));
    assert_eq!(store.raw_dropped("other").await.unwrap(), None);
    // What was removed does not come back as a first sight.
    store_at(&store, 8, &["a"], &[sent("a", "{}")]).await;
    assert_eq!(json_of(&store, "a").await, None);
    assert_eq!(store.records("live", at(9)).await.unwrap().len(), 3);
}
