//! The notifier on a store in memory.

use std::{io::Read as _, net::TcpListener};

use serde_json::Value;

use super::*;
use crate::{clock::ManualClock, store::NewNotice};

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

#[tokio::test]
async fn an_empty_store_has_nothing_to_tell_but_the_disk() {
    let store = Store::in_memory().await.unwrap();
    let (notifier, _) = notifier(&store, "[notify]\ndisk_low = \"900000TB\"");
    notifier.hear_of_runs().await.unwrap();
    notifier.look().await.unwrap();
    notifier.look().await.unwrap();
    let standing = store.standing_notices().await.unwrap();
    assert_eq!(standing.len(), 1);
    assert_eq!(
        (standing[0].kind.as_str(), standing[0].times),
        ("disk_low", 1)
    );
}
