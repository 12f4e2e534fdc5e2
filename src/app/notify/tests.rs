//! The notifier on a store in memory.

use std::{io::Read as _, net::TcpListener};

use serde_json::Value;

use super::*;
use crate::{
    clock::ManualClock,
    corpus::Record,
    store::{NewModelVersion, NewNotice, NoticeFilter, Writer},
};

fn notifier(store: &Store, settings: &str) -> (Notifier, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new("2026-03-01T08:00:00Z".parse().unwrap()));
    let settings = Settings::from_layers(settings, []).unwrap();
    let notifier = Notifier {
        store: store.clone(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        settings: channel::channel(Arc::new(settings)).1,
        events: broadcast::channel(1).1,
        data_dir: std::env::temp_dir(),
    };
    (notifier, clock)
}

fn failure(times: usize, ways: &[&'static str]) -> Vec<NewNotice> {
    let one = NewNotice {
        cause: "run_failed:reddit".to_owned(),
        kind: "run_failed",
        message: "reddit failed: `train` failed".to_owned(),
        details: serde_json::json!({"pipeline": "reddit"}),
        times: 1,
        passing: false,
        ends: None,
        ways: ways.to_vec(),
    };
    vec![one; times]
}

#[tokio::test]
async fn a_storm_is_one_message_and_a_cause_that_is_gone_arms_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let store = Store::in_memory().await.unwrap();
    let command = format!(
        "[notify]\ncommand = [\"sh\", \"-c\", \"cat >> {0}; echo >> {0}\"]",
        file.display()
    );
    let (notifier, clock) = notifier(&store, &command);
    let now = clock.now();
    store
        .write_notices(&failure(500, &[send::COMMAND]), &[], None, now)
        .await
        .unwrap();
    assert!(notifier.deliver().await.unwrap());
    assert!(!notifier.deliver().await.unwrap());
    store
        .write_notices(&failure(3, &[send::COMMAND]), &[], None, now)
        .await
        .unwrap();
    assert!(!notifier.deliver().await.unwrap());
    assert_eq!(store.standing_notices().await.unwrap()[0].times, 503);

    let causes = ["run_failed:reddit".to_owned(), "disk_low:data".to_owned()];
    store.write_notices(&[], &causes, None, now).await.unwrap();
    assert_eq!(store.standing_notices().await.unwrap(), []);
    store
        .write_notices(&failure(1, &[send::COMMAND]), &[], None, now)
        .await
        .unwrap();
    assert!(notifier.deliver().await.unwrap());
    let told: Vec<Value> = fs_err::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let messages: Vec<&str> = told
        .iter()
        .map(|m| m["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        messages,
        [
            "reddit failed: `train` failed (500 times)",
            "reddit failed: `train` failed"
        ]
    );
}

#[tokio::test]
async fn what_nobody_got_does_not_count_as_sent() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, "[notify]\ncommand = [\"true\"]");
    // The webhook has gone from the settings since.
    let mut raised = failure(1, &[send::WEBHOOK]);
    let both = [send::WEBHOOK, send::COMMAND];
    raised.extend(failure(1, &both).into_iter().map(|notice| NewNotice {
        cause: "run_failed:other".to_owned(),
        ..notice
    }));
    let now = clock.now();
    store.write_notices(&raised, &[], None, now).await.unwrap();
    assert!(notifier.deliver().await.unwrap());
    assert!(!notifier.deliver().await.unwrap(), "nothing waits for it");
    let told = store.standing_notices().await.unwrap();
    let sent: Vec<Option<Timestamp>> = told.iter().map(|notice| notice.sent_at).collect();
    assert_eq!(sent, [None, Some(now)]);
    for notice in &told {
        let error = notice.error.as_deref().unwrap();
        assert!(error.contains("no longer in the settings"), "{error}");
    }
}

#[tokio::test]
async fn what_was_not_sent_is_sent_later_and_once_given_up() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, "[notify]\ncommand = [\"false\"]");
    store
        .write_notices(&failure(1, &[send::COMMAND]), &[], None, clock.now())
        .await
        .unwrap();
    assert!(notifier.deliver().await.unwrap());
    assert_eq!(
        store.next_notice().await.unwrap(),
        Some(clock.now() + FIRST_PAUSE)
    );
    assert!(!notifier.deliver().await.unwrap());
    let mut tries = 1;
    while let Some(next) = store.next_notice().await.unwrap() {
        clock.set(next);
        assert!(notifier.deliver().await.unwrap());
        tries += 1;
    }
    assert_eq!(tries, TRIES);
    let standing = store.standing_notices().await.unwrap();
    assert_eq!(standing[0].sent_at, None, "nobody got it");
    let error = standing[0].error.as_deref().unwrap();
    assert!(
        error.contains("`false` ended with exit status: 1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_webhook_gets_signed_json() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::Write as _;
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && serde_json::from_str::<Value>(body).is_ok()
            {
                stream
                    .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                    .unwrap();
                return (head.to_lowercase(), body.to_owned());
            }
        }
    });
    let store = Store::in_memory().await.unwrap();
    let settings = format!("[notify]\nwebhook = \"http://{address}/hook\"\nsecret = \"s3cret\"");
    let (notifier, clock) = notifier(&store, &settings);
    store
        .write_notices(&failure(2, &[send::WEBHOOK]), &[], None, clock.now())
        .await
        .unwrap();
    assert!(notifier.deliver().await.unwrap());
    assert_eq!(store.next_notice().await.unwrap(), None);
    let (head, body) = server.join().unwrap();
    let signature = sign::signature(b"s3cret", body.as_bytes());
    assert!(
        head.contains(&format!("x-trendmill-signature: sha256={signature}")),
        "{head}"
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["notices"][0]["kind"], "run_failed");
    assert_eq!(body["notices"][0]["times"], 2);
    assert_eq!(body["sent_at"], "2026-03-01T08:00:00Z");
}

/// What stands, as `kind: message`.
async fn standing(store: &Store) -> Vec<String> {
    let standing = store.standing_notices().await.unwrap();
    standing
        .iter()
        .map(|notice| format!("{}: {}", notice.kind, notice.message))
        .collect()
}

/// Everything that was ever told, the oldest first, as `kind state times`.
async fn told(store: &Store) -> Vec<String> {
    let filter = NoticeFilter {
        state: None,
        before: None,
        limit: 100,
    };
    let rows = store.notices(&filter).await.unwrap();
    rows.iter()
        .rev()
        .map(|row| format!("{} {} {}", row.kind, row.state.name(), row.times))
        .collect()
}

const QUIET: &str = "[notify]\ndisk_low = \"1B\"";

#[tokio::test]
async fn a_storm_of_failures_is_one_notice_and_so_is_its_end() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, QUIET);
    // The first look begins at the present.
    notifier.hear_of_runs().await.unwrap();
    for nth in 0..50 {
        let id = format!("r{nth}");
        store.made_up_run(&id, "reddit", clock.now(), None).await;
        store.made_up_end(&id, "failed", clock.now()).await;
        if nth % 10 == 0 {
            notifier.hear_of_runs().await.unwrap();
        }
    }
    notifier.hear_of_runs().await.unwrap();
    assert_eq!(
        standing(&store).await,
        ["run_failed: reddit failed: a test (run r0)"]
    );
    for id in ["s0", "s1"] {
        store.made_up_run(id, "reddit", clock.now(), None).await;
        store.made_up_end(id, "succeeded", clock.now()).await;
        notifier.hear_of_runs().await.unwrap();
    }
    assert_eq!(
        told(&store).await,
        ["run_failed closed 50", "run_recovered closed 1"],
        "it works again, and that it works still is no news"
    );
}

#[tokio::test]
async fn a_missed_deadline_stands_until_the_run_has_ended() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, QUIET);
    let deadline = clock.now() + Duration::from_hours(6);
    store
        .made_up_run("r1", "reddit", clock.now(), Some(deadline))
        .await;
    notifier.look().await.unwrap();
    assert!(standing(&store).await.is_empty());
    clock.set(deadline);
    notifier.look().await.unwrap();
    notifier.look().await.unwrap();
    assert_eq!(
        standing(&store).await,
        ["deadline_missed: reddit has not ended by its deadline, 2026-03-01T14:00:00Z (run r1)"]
    );
    store.made_up_end("r1", "succeeded", clock.now()).await;
    notifier.look().await.unwrap();
    assert_eq!(told(&store).await, ["deadline_missed closed 1"]);
}

#[tokio::test]
async fn runs_that_are_late_together_are_told_once_per_pipeline() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, QUIET);
    let deadline = Some(clock.now());
    for (run, pipeline) in [
        ("r1", "reddit"),
        ("r2", "reddit"),
        ("r3", "films"),
        ("r4", "reddit"),
    ] {
        store
            .made_up_run(run, pipeline, clock.now(), deadline)
            .await;
    }
    notifier.look().await.unwrap();
    assert_eq!(
        standing(&store).await,
        [
            "deadline_missed: films has not ended by its deadline, 2026-03-01T08:00:00Z (run r3)",
            "deadline_missed: reddit has not ended by its deadline, 2026-03-01T08:00:00Z (run r1), \
             nor have 2 later runs of it"
        ]
    );
    store.made_up_end("r1", "succeeded", clock.now()).await;
    store.made_up_end("r3", "succeeded", clock.now()).await;
    notifier.look().await.unwrap();
    assert_eq!(
        told(&store).await,
        ["deadline_missed closed 1", "deadline_missed open 1"]
    );
}

#[tokio::test]
async fn a_model_without_a_new_champion_is_told_until_there_is_one() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, QUIET);
    store.made_up_run("r1", "reddit", clock.now(), None).await;
    let version = async |version, alias, at| {
        let new = NewModelVersion {
            name: "reddit",
            version,
            run_id: "r1",
            created_at: at,
            interval_start: at,
            content_key: if version == 1 { "one" } else { "two" },
            manifest: "{}",
            alias,
        };
        store.add_model_version(new).await.unwrap();
    };
    version(1, Some(("champion", "the first")), clock.now()).await;
    clock.advance(Duration::from_hours(7 * 24));
    notifier.look().await.unwrap();
    assert!(standing(&store).await.is_empty());
    clock.advance(Duration::from_hours(24));
    notifier.look().await.unwrap();
    assert_eq!(
        standing(&store).await,
        [
            "no_promotion: no version of reddit became champion since 2026-03-01T08:00:00Z, 8 days \
             ago"
        ]
    );
    version(2, Some(("champion", "it is better")), clock.now()).await;
    notifier.look().await.unwrap();
    assert_eq!(told(&store).await, ["no_promotion closed 1"]);
}

#[tokio::test]
async fn a_data_set_without_new_records_is_told_until_there_is_one() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, QUIET);
    let arrives = async |id: &str| {
        let record: Record = serde_json::from_value(serde_json::json!({"id": id})).unwrap();
        let writer = Writer {
            run_id: "r1",
            task_id: "scrape",
            stored_at: clock.now(),
        };
        let page = [(record, None)];
        let stored = store.store_page("reddit", &page, clock.now(), 0, writer);
        stored.await.unwrap();
    };
    arrives("a").await;
    clock.advance(Duration::from_hours(25));
    notifier.look().await.unwrap();
    // A table that was read once is not walked again and again.
    assert!(standing(&store).await.is_empty());
    let marks = [("pics".to_owned(), clock.now())].into();
    let writer = Writer {
        run_id: "r1",
        task_id: "scrape",
        stored_at: clock.now(),
    };
    let walked = ["pics".to_owned()];
    store
        .store_walks("reddit", &marks, &walked, &[], clock.now(), writer)
        .await
        .unwrap();
    notifier.look().await.unwrap();
    assert_eq!(
        standing(&store).await,
        ["no_new_records: no new record of reddit since 2026-03-01T08:00:00Z, longer than 1d"]
    );
    arrives("b").await;
    notifier.look().await.unwrap();
    assert_eq!(told(&store).await, ["no_new_records closed 1"]);
}

#[tokio::test]
async fn little_disk_is_told_until_there_is_more() {
    let store = Store::in_memory().await.unwrap();
    let (low, _) = notifier(&store, "[notify]\ndisk_low = \"900000TB\"");
    low.hear_of_runs().await.unwrap();
    low.look().await.unwrap();
    low.look().await.unwrap();
    assert_eq!(told(&store).await, ["disk_low open 1"]);
    let (well, _) = notifier(&store, QUIET);
    well.look().await.unwrap();
    assert_eq!(told(&store).await, ["disk_low closed 1"]);
}

#[tokio::test]
async fn what_nobody_wants_to_hear_is_not_told() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, clock) = notifier(&store, "[notify]\non = [\"disk_low\"]\ndisk_low = \"1B\"");
    notifier.hear_of_runs().await.unwrap();
    let deadline = Some(clock.now());
    store
        .made_up_run("r1", "reddit", clock.now(), deadline)
        .await;
    notifier.look().await.unwrap();
    store.made_up_end("r1", "failed", clock.now()).await;
    notifier.hear_of_runs().await.unwrap();
    assert!(told(&store).await.is_empty());
}
