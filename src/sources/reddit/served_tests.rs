//! A server for the tests of the client, and simulated time.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::future::BoxFuture;
use tokio::{net::TcpListener, sync::Notify};

use super::{
    budget::{Ledger, Limiter, Manners, Timer},
    client::RedditClient,
    endpoint::{Credentials, Endpoint},
};
use crate::clock::{Clock, ManualClock, Timestamp};

/// A request that the server got.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) token: String,
    pub(super) form: String,
    /// How many requests to this path there were before.
    pub(super) before: usize,
}

/// The requests that a server got.
pub(super) type Calls = Arc<Mutex<Vec<Call>>>;

/// Serves `answer`; returns where, and the book of its calls.
pub(super) async fn serve(
    answer: impl Fn(&Call) -> Response + Clone + Send + Sync + 'static,
) -> (String, Calls) {
    let calls = Calls::default();
    let book = Arc::clone(&calls);
    let router = Router::new().fallback(move |request: Request| {
        let (book, answer) = (Arc::clone(&book), answer.clone());
        async move {
            let (parts, body) = request.into_parts();
            let form = to_bytes(body, 1 << 20).await.unwrap().to_vec();
            let header = |headers: &HeaderMap| {
                let value = headers
                    .get("authorization")
                    .and_then(|value| value.to_str().ok());
                value.unwrap_or("").to_owned()
            };
            let mut call = Call {
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or("").to_owned(),
                token: header(&parts.headers),
                form: String::from_utf8(form).unwrap(),
                before: 0,
            };
            {
                let mut book = book.lock().unwrap();
                call.before = book.iter().filter(|old| old.path == call.path).count();
                book.push(call.clone());
            }
            answer(&call)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, calls)
}

pub(super) const TOKEN_PATH: &str = "/api/v1/access_token";

/// A token, good for a day.
pub(super) fn token(text: &str) -> Response {
    let body = format!(r#"{{"access_token": "{text}", "expires_in": 86400, "scope": "*"}}"#);
    json(StatusCode::OK, body)
}

pub(super) fn json(status: StatusCode, body: impl Into<String>) -> Response {
    (status, [("content-type", "application/json")], body.into()).into_response()
}

pub(super) fn page(status: StatusCode) -> Response {
    let kind = [("content-type", "text/html; charset=UTF-8")];
    (status, kind, "<!doctype html><title>no</title>").into_response()
}

pub(super) fn empty_listing() -> Response {
    json(
        StatusCode::OK,
        r#"{"kind": "Listing", "data": {"children": []}}"#,
    )
}

/// The count of a window, as the server tells it at `now`.
pub(super) fn counted(mut response: Response, now: Timestamp, used: u64, limit: u64) -> Response {
    let second = now.as_millis().div_euclid(1000);
    let headers = response.headers_mut();
    let mut tell = |name: &'static str, value: String| {
        headers.insert(name, value.parse().unwrap());
    };
    let date = Timestamp::from_millis(second * 1000).date_time();
    tell("date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    tell("x-ratelimit-used", used.to_string());
    tell("x-ratelimit-remaining", format!("{}.0", limit - used));
    tell(
        "x-ratelimit-reset",
        (600 - second.rem_euclid(600)).to_string(),
    );
    response
}

/// Time that goes on when everybody sleeps.
#[derive(Debug)]
pub(super) struct SimulatedTime {
    pub(super) server: ManualClock,
    sleepers: Mutex<Sleepers>,
    moved: Notify,
}

#[derive(Debug, Default)]
struct Sleepers {
    workers: usize,
    next: u64,
    until: BTreeMap<u64, Timestamp>,
}

impl SimulatedTime {
    pub(super) fn starting(now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            server: ManualClock::new(now),
            sleepers: Mutex::default(),
            moved: Notify::new(),
        })
    }

    /// One more who must sleep before time goes on, until this is dropped.
    pub(super) fn worker(self: &Arc<Self>) -> Worker {
        self.sleepers.lock().unwrap().workers += 1;
        Worker(Arc::clone(self))
    }

    /// Moves on to the first who wakes, where all sleep.
    fn go_on(&self) {
        let sleepers = self.sleepers.lock().unwrap();
        let first = sleepers.until.values().min().copied();
        if let Some(first) = first
            && sleepers.until.len() >= sleepers.workers
            && first > self.server.now()
        {
            self.server.set(first);
            drop(sleepers);
            self.moved.notify_waiters();
        }
    }
}

#[derive(Debug)]
pub(super) struct Worker(Arc<SimulatedTime>);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.sleepers.lock().unwrap().workers -= 1;
        self.0.go_on();
    }
}

/// Sleeps in simulated time.
#[derive(Clone, Debug)]
pub(super) struct SimulatedTimer(pub(super) Arc<SimulatedTime>);

struct Sleeper {
    time: Arc<SimulatedTime>,
    number: u64,
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.time
            .sleepers
            .lock()
            .unwrap()
            .until
            .remove(&self.number);
    }
}

impl Timer for SimulatedTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let time = Arc::clone(&self.0);
        Box::pin(async move {
            let until = time.server.now() + duration;
            let number = {
                let mut sleepers = time.sleepers.lock().unwrap();
                sleepers.next += 1;
                let number = sleepers.next;
                sleepers.until.insert(number, until);
                number
            };
            let sleeper = Sleeper { time, number };
            while sleeper.time.server.now() < until {
                let mut moved = pin!(sleeper.time.moved.notified());
                moved.as_mut().enable();
                sleeper.time.go_on();
                if sleeper.time.server.now() < until {
                    moved.await;
                }
            }
        })
    }
}

/// The clock of a machine beside the server's.
#[derive(Debug)]
pub(super) struct SkewedClock {
    pub(super) time: Arc<SimulatedTime>,
    pub(super) ahead: Arc<AtomicI64>,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::SeqCst);
        Timestamp::from_millis(self.time.server.now().as_millis() + ahead)
    }
}

/// A client of `base` whose pauses take no time.
pub(super) fn client_of(base: &str, credentials: Credentials) -> RedditClient {
    let time = SimulatedTime::starting(Timestamp::from_millis(1_767_225_600_000));
    client_in(
        &time,
        &Arc::default(),
        base,
        credentials,
        Ledger::in_memory(),
    )
}

/// The same in a time and with a budget that others share.
pub(super) fn client_in(
    time: &Arc<SimulatedTime>,
    ahead: &Arc<AtomicI64>,
    base: &str,
    credentials: Credentials,
    ledger: Ledger,
) -> RedditClient {
    let clock = SkewedClock {
        time: Arc::clone(time),
        ahead: Arc::clone(ahead),
    };
    let timer = SimulatedTimer(Arc::clone(time));
    let limiter = Limiter::new(ledger, Arc::new(clock), Arc::new(timer), Manners::default());
    let endpoint = Endpoint::at(Some(base), Some(base)).unwrap();
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    RedditClient::new(http, endpoint, credentials, limiter, 7).unwrap()
}

/// All of them, however many.
pub(super) async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures::future::join_all(futures).await
}
