//! Clients of two processes on one budget against a server that counts strictly, in simulated time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use tokio::task::JoinSet;

use super::{CallClass, Ledger};
use crate::{
    clock::{Clock as _, Timestamp},
    sources::reddit::{
        endpoint::Credentials,
        served_tests::{
            SimulatedTime, TOKEN_PATH, client_in, counted, empty_listing, json, serve, token,
        },
    },
};

const LIMIT: u64 = 64;
const WANTED: usize = 160;

/// Two processes of four workers each, killed five times by turns, each time with another clock.
#[tokio::test]
async fn two_processes_and_five_restarts_share_one_budget() {
    let start = Timestamp::from_millis(1_767_225_600_000) + Duration::from_secs(400);
    let time = SimulatedTime::starting(start);
    let counts = Arc::new(Mutex::new(BTreeMap::<i64, u64>::new()));
    let (base, _) = serve({
        let (time, counts) = (Arc::clone(&time), Arc::clone(&counts));
        move |call| {
            if call.path == TOKEN_PATH {
                return token("t");
            }
            let now = time.server.now();
            let mut counts = counts.lock().unwrap();
            let used = counts.entry(now.as_millis() / 600_000).or_insert(0);
            *used += 1;
            if *used > LIMIT {
                return json(StatusCode::TOO_MANY_REQUESTS, "{}");
            }
            // Every seventh says nothing, as most refusals do.
            if call.before % 7 == 6 {
                return json(StatusCode::NOT_FOUND, "{}");
            }
            counted(empty_listing(), now, *used, LIMIT)
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let ahead = Arc::new(AtomicI64::new(-240_000));
    let done = Arc::new(AtomicUsize::new(0));
    let process = || {
        let ledger = Ledger::in_folder(folder.path(), "me");
        let client = client_in(&time, &ahead, &base, Credentials::sandbox(), ledger);
        let client = Arc::new(client);
        let mut workers = JoinSet::new();
        for class in CallClass::ALL {
            let (client, done, worker) = (Arc::clone(&client), Arc::clone(&done), time.worker());
            workers.spawn(async move {
                while done.load(Ordering::SeqCst) < WANTED {
                    let answer = client.info("t3_a", class, start).await;
                    // What is gone is an answer too.
                    drop(answer);
                    done.fetch_add(1, Ordering::SeqCst);
                }
                drop(worker);
            });
        }
        workers
    };
    let mut processes = [process(), process()];
    let skews = [300_000, -300_000, 120_000, 0, -60_000];
    for (restart, skew) in skews.into_iter().enumerate() {
        let until = (restart + 1) * WANTED / 6;
        while done.load(Ordering::SeqCst) < until {
            tokio::task::yield_now().await;
        }
        processes[restart % 2].shutdown().await;
        ahead.store(skew, Ordering::SeqCst);
        processes[restart % 2] = process();
    }
    for mut process in processes {
        while let Some(ended) = process.join_next().await {
            ended.unwrap();
        }
    }
    let counts = counts.lock().unwrap();
    assert!(counts.values().all(|used| *used <= LIMIT), "{counts:?}");
    assert!(counts.values().sum::<u64>() >= WANTED as u64, "{counts:?}");
    let ledger = Ledger::in_folder(folder.path(), "me");
    let sheet = ledger.sheet(time.server.now(), None).unwrap();
    assert_eq!(sheet.window.unwrap().limit, LIMIT);
}
