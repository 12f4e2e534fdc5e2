//! The simulated Reddit as a server: its API, its images, and a clock that can be set.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::spawn_blocking};

use super::{
    SandboxSettings,
    communities::{COMMUNITIES, community_named},
    picture::placeholder,
    truth::journal,
    wire,
    world::{Kind, World, author_of},
};
use crate::clock::{Clock, ManualClock, ParseTimestampError, Timestamp};

/// A request that carries this header (an RFC 3339 time) is answered as of that time.
pub const TIME_HEADER: &str = "x-sandbox-time";

/// Requests that a window of ten minutes allows; so many that nobody waits.
const BUDGET: u64 = 1_000_000;

/// A served world and its clock.
#[derive(Debug)]
pub struct SandboxState {
    world: World,
    clock: ManualClock,
    /// Where the images are said to be; `None` for the address that the client has used.
    images_at: Option<String>,
    requests: AtomicU64,
}

impl SandboxState {
    /// The world of `settings`, at the time `now`.
    pub fn new(settings: SandboxSettings, now: Timestamp) -> Self {
        Self {
            world: World::new(settings),
            clock: ManualClock::new(now),
            images_at: None,
            requests: AtomicU64::new(0),
        }
    }

    /// Says in every post that its images are at `base` (`http://host[:port]`), whatever address
    /// the client has used. The address then does not change with the port of the server.
    #[must_use]
    pub fn with_images_at(mut self, base: &str) -> Self {
        self.images_at = Some(base.trim_end_matches('/').to_owned());
        self
    }

    /// The clock, which stands still until it is set.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    fn now(&self, headers: &HeaderMap) -> Result<Timestamp, Refusal> {
        let Some(told) = headers.get(TIME_HEADER) else {
            return Ok(self.clock.now());
        };
        let told = told.to_str().unwrap_or("");
        Ok(told.parse()?)
    }

    fn base(&self, headers: &HeaderMap) -> String {
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

type Shared = State<Arc<SandboxState>>;

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
    let api = Router::new()
        .route("/r/{communities}/{listing}", get(community_page))
        .route("/api/info", get(info))
        .route("/api/info.json", get(info))
        .route("/api/user_data_by_account_ids", get(users))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            tell_budget,
        ));
    Router::new()
        .route("/api/v1/access_token", post(token))
        .route("/media/{file}", get(image))
        .route("/sandbox/clock", get(read_clock).post(set_clock))
        .route("/sandbox/journal", get(read_journal))
        .merge(api)
        .fallback(|| async { Refusal::not_found() })
        .with_state(state)
}

/// An error in the shape of Reddit's.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn not_found() -> Self {
        Self(StatusCode::NOT_FOUND, "Not Found".to_owned())
    }
}

impl From<ParseTimestampError> for Refusal {
    fn from(error: ParseTimestampError) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        (
            status,
            Json(json!({"message": message, "error": status.as_u16()})),
        )
            .into_response()
    }
}

/// Adds the headers that tell a client its budget.
async fn tell_budget(State(state): Shared, request: Request, next: Next) -> Response {
    let used = state.requests.fetch_add(1, Ordering::Relaxed) % BUDGET;
    let second = state
        .clock
        .now()
        .as_millis()
        .div_euclid(1000)
        .rem_euclid(600);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut tell = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    tell("x-ratelimit-used", used.to_string());
    tell("x-ratelimit-remaining", format!("{}.0", BUDGET - used));
    tell("x-ratelimit-reset", (600 - second).to_string());
    response
}

/// Any client may have a token.
async fn token() -> Json<Value> {
    Json(json!({
        "access_token": "sandbox",
        "token_type": "bearer",
        "expires_in": 86_400,
        "scope": "*",
    }))
}

#[derive(Debug, Deserialize)]
struct ListingQuery {
    limit: Option<usize>,
    after: Option<String>,
}

/// `/r/NAME[+NAME…]/new` and `/r/NAME/about`.
async fn community_page(
    State(state): Shared,
    Path((names, page)): Path<(String, String)>,
    Query(query): Query<ListingQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let wanted: Vec<usize> = names
        .split(['+', ' '])
        .filter_map(community_named)
        .collect();
    let first = *wanted.first().ok_or_else(Refusal::not_found)?;
    match page.trim_end_matches(".json") {
        "new" => listing(&state, &wanted, &query, &headers).map(Json),
        "about" => Ok(Json(wire::about(&COMMUNITIES[first]))),
        _ => Err(Refusal::not_found()),
    }
}

/// The newest posts first, below the cursor; a cursor that names no post gives an empty page.
fn listing(
    state: &SandboxState,
    wanted: &[usize],
    query: &ListingQuery,
    headers: &HeaderMap,
) -> Result<Value, Refusal> {
    let now = state.now(headers)?;
    let world = &state.world;
    let limit = query.limit.unwrap_or(25).clamp(1, 100);
    let after = query.after.as_deref().filter(|after| !after.is_empty());
    let cursor = after.map(|after| world.place(after.strip_prefix("t3_").unwrap_or(after)));
    if cursor == Some(None) {
        return Ok(wire::listing(&[], None));
    }
    let below = cursor.flatten();
    let mut places = world
        .newest_first(now)
        .skip_while(|place| below.is_some_and(|below| *place >= below))
        .filter(|place| wanted.contains(&world.community_at(*place)));
    let page: Vec<_> = places.by_ref().take(limit).collect();
    let more = places.next().is_some();
    let posts: Vec<_> = page.iter().map(|place| world.post(*place)).collect();
    let base = state.base(headers);
    let last = posts.last().map(|post| format!("t3_{}", post.id));
    let children: Vec<_> = posts
        .iter()
        .map(|post| wire::post(world, post, now, &base))
        .collect();
    Ok(wire::listing(&children, last.as_deref().filter(|_| more)))
}

#[derive(Debug, Deserialize)]
struct InfoQuery {
    #[serde(default)]
    id: String,
}

/// The posts of up to 100 fullnames, in their order; unknown ones are left out.
async fn info(
    State(state): Shared,
    Query(query): Query<InfoQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let now = state.now(&headers)?;
    let base = state.base(&headers);
    let world = &state.world;
    let children: Vec<_> = query
        .id
        .split(',')
        .take(100)
        .filter_map(|name| world.place(name.trim().strip_prefix("t3_")?))
        .map(|place| world.post(place))
        .filter(|post| post.created_at <= now)
        .map(|post| wire::post(world, &post, now, &base))
        .collect();
    Ok(Json(wire::listing(&children, None)))
}

#[derive(Debug, Deserialize)]
struct UsersQuery {
    #[serde(default)]
    ids: String,
}

/// The accounts of up to 100 authors; 404 where none of them is known.
async fn users(
    State(state): Shared,
    Query(query): Query<UsersQuery>,
) -> Result<Json<Value>, Refusal> {
    let known: Map<String, Value> = query
        .ids
        .split(',')
        .take(100)
        .filter_map(|name| {
            let author = author_of(name.trim().strip_prefix("t2_")?)?;
            Some((name.trim().to_owned(), wire::user(&state.world, author)))
        })
        .collect();
    if known.is_empty() {
        return Err(Refusal::not_found());
    }
    Ok(Json(Value::Object(known)))
}

/// An image; what is gone, and what is a page, answers as such.
async fn image(State(state): Shared, Path(file): Path<String>) -> Result<Response, Refusal> {
    // An image has an address only through its post: it is served whatever the clock says.
    let (post, number) = wire::image_named(&state.world, &file).ok_or_else(Refusal::not_found)?;
    let placed = |status, kind, bytes: Vec<u8>| {
        (status, [(header::CONTENT_TYPE, kind)], bytes).into_response()
    };
    match post.kind {
        Kind::Gone => Ok(placed(StatusCode::NOT_FOUND, "image/png", placeholder())),
        Kind::Page => Ok(Html("<!doctype html><title>Sandbox</title><p>Not here.").into_response()),
        _ => {
            let drawn = spawn_blocking(move || state.world.picture(&post, number)).await;
            let (frame, bytes) = drawn
                .map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
            Ok(placed(StatusCode::OK, frame.format.media_type(), bytes))
        }
    }
}

#[derive(Debug, Deserialize)]
struct ClockBody {
    now: Timestamp,
}

async fn read_clock(State(state): Shared) -> Json<Value> {
    Json(json!({"now": state.clock.now()}))
}

async fn set_clock(State(state): Shared, Json(body): Json<ClockBody>) -> Json<Value> {
    state.clock.set(body.now);
    Json(json!({"now": body.now}))
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
    let failed = |error: String| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error);
    let text = spawn_blocking(write)
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}
