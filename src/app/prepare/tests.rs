//! At which moment a run looks at the world.

use std::sync::Arc;

use super::*;
use crate::{clock::ManualClock, config::Settings};

#[tokio::test]
async fn a_live_source_is_asked_for_no_later_than_now() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::from_layers("", []).unwrap();
    let app = App::detached(home.path(), settings).await.unwrap();
    let now: Timestamp = "2026-03-10T02:00:00Z".parse().unwrap();
    let app = app.with_clock(Arc::new(ManualClock::new(now)));
    let as_of = async |source: &str, date: Option<&str>| {
        let request = RunRequest {
            pipeline: "reddit".to_owned(),
            source: Some(source.to_owned()),
            date: date.map(|date| date.parse().unwrap()),
            ..RunRequest::default()
        };
        app.prepare(&request).await.unwrap().as_of.to_string()
    };
    assert_eq!(as_of("reddit", None).await, "2026-03-10T02:00:00Z");
    // Its labels would be read a day and a half after it has ended, which is still to come.
    let yesterday = Some("2026-03-09");
    assert_eq!(as_of("reddit", yesterday).await, "2026-03-10T02:00:00Z");
    let long_ago = Some("2026-03-01");
    assert_eq!(as_of("reddit", long_ago).await, "2026-03-03T12:00:00Z");
    assert_eq!(as_of("sandbox", yesterday).await, "2026-03-11T12:00:00Z");
}
