//! What is due, once and never twice.

use serde_json::Map;

use super::*;
use crate::corpus::Record;

const AGES: [Horizon; 2] = [hours(1), hours(24)];

const fn hours(age: u64) -> Horizon {
    Horizon {
        age: Duration::from_hours(age),
        tolerance: Duration::from_mins(10),
    }
}

/// A moment, `minutes` after the record was made.
const fn at(minutes: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000)
}

fn writer(run_id: &str) -> Writer<'_> {
    Writer {
        run_id,
        task_id: "refresh",
        stored_at: at(0),
    }
}

fn record(id: &str, made: Timestamp) -> Record {
    Record {
        id: id.to_owned(),
        community: Some("pics".to_owned()),
        author: None,
        title: Some("t".to_owned()),
        created_at: Some(made),
        media: Vec::new(),
        fields: Map::new(),
    }
}

/// Stores a record that was made then.
async fn keep(store: &Store, id: &str, made: Timestamp) {
    let page = [(record(id, made), None)];
    store
        .store_page("d", &page, at(1), 0, writer("r"))
        .await
        .unwrap();
}

async fn store() -> Store {
    let store = Store::in_memory().await.unwrap();
    keep(&store, "a", at(0)).await;
    store
}

/// The ages, in hours, at which readings are due.
async fn due(store: &Store, minutes: i64, replays: bool) -> Vec<u64> {
    let due = store.due_readings("d", at(minutes), &AGES, replays).await;
    let ages = due.unwrap().due.into_iter();
    ages.map(|due| due.horizon.age.as_secs() / 3600).collect()
}

/// A reading so many minutes after the record was made.
fn reading(minutes: i64) -> Observation {
    Observation {
        record_id: "a".to_owned(),
        observed_at: Some(at(minutes)),
        age: LabelAge::Known(Duration::from_mins(minutes.unsigned_abs())),
        score: Some(3.0),
        values: Map::new(),
    }
}

/// Asks for what is due; the source answers at once, or does not know the record.
async fn read(store: &Store, minutes: i64, knows: bool) -> DueCounts {
    let due = store
        .due_readings("d", at(minutes), &AGES, false)
        .await
        .unwrap()
        .due;
    let found = if knows {
        vec![reading(minutes)]
    } else {
        Vec::new()
    };
    store
        .store_due_readings("d", &due, &found, at(minutes), writer("r"))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_reading_is_due_once_at_each_age() {
    let store = store().await;
    assert_eq!(due(&store, 59, false).await, [0; 0]);
    assert_eq!(due(&store, 60, false).await, [1]);
    assert_eq!(read(&store, 65, true).await.read, 1);
    assert_eq!(due(&store, 70, false).await, [0; 0]);
    assert_eq!(due(&store, 24 * 60, false).await, [24]);
    // After an outage: it is made, and known to be late, once.
    assert_eq!(read(&store, 30 * 60, true).await.late, 1);
    assert_eq!(due(&store, 90 * 60, false).await, [0; 0]);
    let counts = store.due_counts("d").await.unwrap();
    assert_eq!((counts.read, counts.late, counts.absent), (1, 1, 0));
    let labels = store
        .labels("d", &["a"], at(90 * 60), AGES[1])
        .await
        .unwrap();
    assert!(labels.is_empty(), "what was read late is no label");
}

#[tokio::test]
async fn what_the_source_no_longer_knows_is_asked_for_once_an_age() {
    let store = store().await;
    assert_eq!(read(&store, 60, false).await.absent, 1);
    assert_eq!(due(&store, 61, false).await, [0; 0]);
    assert_eq!(read(&store, 24 * 60, true).await.read, 1);
}

#[tokio::test]
async fn an_age_that_has_passed_is_given_up_unless_the_past_can_be_asked() {
    let store = store().await;
    assert_eq!(due(&store, 25 * 60, false).await, [24]);
    assert_eq!(due(&store, 25 * 60, true).await, [1, 24]);
}

#[tokio::test]
async fn what_is_found_late_or_gets_another_time_is_still_due() {
    let store = store().await;
    assert_eq!(due(&store, 60, false).await, [1]);
    assert_eq!(read(&store, 60, true).await.read, 1);
    assert_eq!(due(&store, 80, false).await, [0; 0]);
    keep(&store, "b", at(-5)).await;
    assert_eq!(due(&store, 80, false).await, [1]);
    let writer = writer("r");
    let due_now = store
        .due_readings("d", at(80), &AGES, false)
        .await
        .unwrap()
        .due;
    let stored = store.store_due_readings("d", &due_now, &[], at(80), writer);
    assert_eq!(stored.await.unwrap().absent, 1);
    assert_eq!(due(&store, 81, false).await, [0; 0]);
    // The day's reading of all three.
    keep(&store, "c", at(70)).await;
    keep(&store, "c", at(-6)).await;
    assert_eq!(due(&store, 82, false).await, [1]);
    assert_eq!(due(&store, 24 * 60, false).await, [24, 24, 24]);
}

#[tokio::test]
async fn a_reading_that_was_made_too_early_is_still_due() {
    let store = store().await;
    let due_now = store
        .due_readings("d", at(60), &AGES, false)
        .await
        .unwrap()
        .due;
    let early = reading(58);
    let counts = store
        .store_due_readings(
            "d",
            &due_now,
            std::slice::from_ref(&early),
            at(60),
            writer("r"),
        )
        .await
        .unwrap();
    assert_eq!(counts, DueCounts::default());
    assert_eq!(due(&store, 60, true).await, [1]);

    // Not for ever: what an archive has not read by then, it will not read.
    let (seven, late) = (at(7 * 60), [early]);
    let stored = store.store_due_readings("d", &due_now, &late, seven, writer("r"));
    assert_eq!(stored.await.unwrap().absent, 1);
    assert_eq!(due(&store, 7 * 60, true).await, [0; 0]);
}

/// Stores what a listing shows of the record so many minutes after it was made.
async fn list(store: &Store, minutes: i64) {
    let page = [(record("a", at(0)), Some(reading(minutes)))];
    store
        .store_page("d", &page, at(minutes), 0, writer("discover"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_listing_in_time_stands_for_the_reading_at_its_age() {
    for replays in [false, true] {
        let store = store().await;
        list(&store, 30).await;
        list(&store, 65).await;
        list(&store, 68).await;
        let found = store.due_readings("d", at(70), &AGES, replays).await;
        let found = found.unwrap();
        assert_eq!((found.due.len(), found.met.read, found.met.late), (0, 1, 0));
        let (curve, _) = store.curves("d", "", 9).await.unwrap();
        let due: Vec<_> = curve.iter().map(|p| (p.due_age_seconds, p.late)).collect();
        assert_eq!(due, [(None, false), (Some(3600.0), false), (None, false)]);
        // Once.
        let found = store.due_readings("d", at(71), &AGES, replays).await;
        assert_eq!(found.unwrap(), DueReadings::default());
    }
}

#[tokio::test]
async fn a_listing_after_an_outage_does_not_hide_that_the_label_is_late() {
    let store = store().await;
    list(&store, 25 * 60).await;
    let found = store.due_readings("d", at(25 * 60 + 1), &AGES, false).await;
    let found = found.unwrap();
    assert_eq!((found.due.len(), found.met.read, found.met.late), (0, 0, 1));
    let counts = store.due_counts("d").await.unwrap();
    assert_eq!((counts.read, counts.late, counts.absent), (0, 1, 0));
    let (curve, _) = store.curves("d", "", 9).await.unwrap();
    assert_eq!(curve[0].due_age_seconds, Some(86_400.0));
    assert!(curve[0].late);
    // Where the past can be asked, the reading at the age can still be had.
    let store = self::store().await;
    list(&store, 25 * 60).await;
    assert_eq!(due(&store, 25 * 60 + 1, true).await, [1, 24]);
}

#[tokio::test]
async fn a_purge_meanwhile_takes_no_reading_of_others() {
    let store = store().await;
    keep(&store, "b", at(0)).await;
    let due = store.due_readings("d", at(60), &AGES, false).await.unwrap();
    assert_eq!(due.due.len(), 2);
    let mut transaction = store.content.write().await.unwrap();
    let purge = "DELETE FROM records WHERE id = 'b'";
    sqlx::query(purge).execute(&mut *transaction).await.unwrap();
    store.content.commit(transaction, "content").await.unwrap();
    let mut of_purged = reading(60);
    of_purged.record_id = "b".to_owned();
    let read = [of_purged, reading(60)];
    let counts = store
        .store_due_readings("d", &due.due, &read, at(60), writer("r"))
        .await
        .unwrap();
    assert_eq!((counts.read, counts.late, counts.absent), (1, 0, 0));
    assert_eq!(store.last_readings("d").await.unwrap().len(), 1);
}
