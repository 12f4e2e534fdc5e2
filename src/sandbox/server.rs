//! The simulated Reddit as a server: its API, its images, and a clock that can be set.

use std::{
    future::Future,
    io,
    sync::{Arc, atomic::AtomicU64},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::spawn_blocking};

use super::{
    SandboxSettings, Troubles, api, attend, files,
    gate::{Gate, WindowCount},
    pace::WorldClock,
    refusal::Refusal,
    truth::journal,
    world::World,
};
use crate::clock::{Clock, SystemClock, Timestamp};

/// A request that carries this header (an RFC 3339 time) is answered as of that time.
pub const TIME_HEADER: &str = "x-sandbox-time";

/// A served world and its clock.
#[derive(Debug)]
pub struct SandboxState {
    pub(super) world: World,
    pub(super) clock: WorldClock,
    /// The time of the server, by which tokens and windows end.
    pub(super) server_clock: Arc<dyn Clock>,
    pub(super) troubles: Troubles,
    pub(super) gate: Gate,
    /// How many requests the API has been asked.
    pub(super) requests: AtomicU64,
    /// Where the images are said to be; `None` for the address that the client has used.
    images_at: Option<String>,
}

impl SandboxState {
    /// The world of `settings`, at the time `now`, without troubles.
    pub fn new(settings: SandboxSettings, now: Timestamp) -> Self {
        Self {
            world: World::new(settings),
            clock: WorldClock::standing(now),
            server_clock: Arc::new(SystemClock),
            troubles: Troubles::default(),
            gate: Gate::default(),
            requests: AtomicU64::new(0),
            images_at: None,
        }
    }

    /// Says in every post that its images are at `base` (`http://host[:port]`), whatever address
    /// the client has used. The address then does not change with the port of the server.
    #[must_use]
    pub fn with_images_at(mut self, base: &str) -> Self {
        self.images_at = Some(base.trim_end_matches('/').to_owned());
        self
    }

    /// Makes the server as strict and as troubled as that.
    #[must_use]
    pub fn with_troubles(mut self, troubles: Troubles) -> Self {
        self.troubles = troubles;
        self
    }

    /// Lets tokens and windows end by this clock, in place of the machine's. The world's clock is
    /// another one.
    #[must_use]
    pub fn with_server_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.server_clock = clock;
        self
    }

    /// Lets the world's clock go by itself, `speed` times as fast as the server's, which is set
    /// before.
    #[must_use]
    pub fn with_speed(mut self, speed: f64) -> Self {
        let machine = Arc::clone(&self.server_clock);
        self.clock = WorldClock::moving(self.clock.now(), speed, machine);
        self
    }

    /// How often each application has asked in each window of ten minutes, by the server's clock.
    pub fn calls(&self) -> Vec<WindowCount> {
        self.gate.calls()
    }

    /// The world's clock, which stands still until it is set, unless it was given a speed.
    pub fn clock(&self) -> &WorldClock {
        &self.clock
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn seed(&self) -> u64 {
        self.world.settings().seed
    }

    /// The time as of which a request is answered.
    pub(super) fn now(&self, headers: &HeaderMap) -> Result<Timestamp, Refusal> {
        let Some(told) = headers.get(TIME_HEADER) else {
            return Ok(self.clock.now());
        };
        let told = told.to_str().unwrap_or("");
        Ok(told.parse()?)
    }

    /// Where the images of an answer are.
    pub(super) fn base(&self, headers: &HeaderMap) -> String {
        let host = || {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(format!("http://{host}"))
        };
        self.images_at
            .clone()
            .or_else(host)
            .unwrap_or_else(|| "http://127.0.0.1".to_owned())
    }
}

pub(super) type Shared = State<Arc<SandboxState>>;

/// Serves a world until `shutdown` is done.
///
/// # Errors
///
/// Where the listener fails.
pub async fn serve(
    state: Arc<SandboxState>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(state))
        .with_graceful_shutdown(shutdown)
        .await
}

fn router(state: Arc<SandboxState>) -> Router {
    let attended = middleware::from_fn_with_state(Arc::clone(&state), attend::attend);
    let plain = Router::new()
        .route("/api/v1/access_token", post(attend::token))
        .route("/media/{file}", get(files::image))
        .route("/sandbox/clock", get(read_clock).post(set_clock))
        .route("/sandbox/calls", get(read_calls))
        .route("/sandbox/journal", get(read_journal))
        .merge(api::router().layer(attended))
        .fallback(|| async { Refusal::not_found() })
        .with_state(state);
    // A path can only be rewritten before it is looked up.
    Router::new()
        .fallback_service(plain)
        .layer(middleware::map_request(in_plain_words))
}

/// A request with its path as it is looked up: `//r/NAME/about/.json` is `/r/NAME/about`.
async fn in_plain_words(mut request: Request) -> Request {
    let path = request.uri().path().trim_end_matches(".json");
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut plain = format!("/{}", parts.join("/"));
    if let Some(query) = request.uri().query() {
        plain = format!("{plain}?{query}");
    }
    if let Ok(uri) = plain.parse() {
        *request.uri_mut() = uri;
    }
    request
}

#[derive(Debug, Deserialize)]
struct ClockBody {
    now: Timestamp,
}

async fn read_clock(State(state): Shared) -> Json<Value> {
    Json(json!({"now": state.clock.now()}))
}

/// Sets the clock; `curl -d` sends no content type of JSON, so none is asked for.
async fn set_clock(State(state): Shared, body: Bytes) -> Response {
    match serde_json::from_slice::<ClockBody>(&body) {
        Ok(body) => {
            state.clock.set(body.now);
            Json(json!({"now": body.now})).into_response()
        }
        Err(error) => {
            let said = format!("send the time as {{\"now\": \"2026-01-01T00:00:00Z\"}}: {error}");
            (
                StatusCode::BAD_REQUEST,
                Json(json!({"message": said, "error": 400})),
            )
                .into_response()
        }
    }
}

/// What the server has counted.
async fn read_calls(State(state): Shared) -> Json<Vec<WindowCount>> {
    Json(state.calls())
}

#[derive(Debug, Deserialize)]
struct JournalQuery {
    until: Option<String>,
}

/// The world's book as JSON lines.
async fn read_journal(
    State(state): Shared,
    Query(query): Query<JournalQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let until = match query.until {
        Some(until) => until.parse()?,
        None => state.now(&headers)?,
    };
    let write = move || {
        let lines = journal(state.world.settings(), until);
        let lines = lines.iter().map(serde_json::to_string);
        lines
            .map(|line| line.map(|line| line + "\n"))
            .collect::<Result<String, _>>()
    };
    let text = spawn_blocking(write)
        .await
        .map_err(Refusal::failed)?
        .map_err(Refusal::failed)?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}
