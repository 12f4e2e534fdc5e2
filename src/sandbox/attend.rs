//! What happens to every request of the API: who asks, how often, and what goes wrong.

use std::{io, sync::atomic::Ordering, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    escape,
    gate::{Count, NoToken},
    refusal::{Refusal, page, shut_out},
    server::{SandboxState, Shared},
    troubles::{ODD_THINGS, Trouble},
};
use crate::clock::Timestamp;

/// The size of the page that a bad token gets, as it was measured.
const TOKEN_PAGE: usize = 34_000;

/// How long the edge says to stay away, in seconds.
const RETRY_AFTER: &str = "4";

/// The parts of a slow answer.
const PARTS: usize = 4;

/// Gives a token.
pub(super) async fn token(State(state): Shared, headers: HeaderMap, form: String) -> Response {
    let now = state.server_clock.now();
    if state.troubles.blocked {
        return shut_out();
    }
    let given = state
        .gate
        .token(&state.troubles, state.seed(), now, &headers, &form);
    let mut response = match given {
        Ok(token) => Json(token).into_response(),
        Err(NoToken::Error(error)) => Json(json!({"error": error})).into_response(),
        Err(NoToken::Unauthorized) => Refusal::of(StatusCode::UNAUTHORIZED).into_response(),
        Err(NoToken::TooMuch) => Refusal::of(StatusCode::TOO_MANY_REQUESTS).into_response(),
        Err(NoToken::BadRequest) => Refusal::of(StatusCode::BAD_REQUEST).into_response(),
    };
    date(&mut response, now);
    response
}

/// Lets a request through to the API, or not.
pub(super) async fn attend(State(state): Shared, request: Request, next: Next) -> Response {
    let now = state.server_clock.now();
    let mut response = admit(&state, request, next, now).await;
    date(&mut response, now);
    response
}

async fn admit(state: &SandboxState, request: Request, next: Next, now: Timestamp) -> Response {
    let troubles = &state.troubles;
    if troubles.blocked {
        return shut_out();
    }
    let Some(caller) = state.gate.caller(troubles, now, request.headers()) else {
        let mut response = page(StatusCode::UNAUTHORIZED, TOKEN_PAGE);
        put(
            &mut response,
            header::WWW_AUTHENTICATE,
            r#"Bearer realm="reddit", error="invalid_token""#,
        );
        return response;
    };
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let trouble = troubles.at(state.seed(), number);
    if let Trouble::Status(status) = trouble {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        return page(status, 500);
    }
    let Some(count) = state.gate.count(troubles, &caller.client, now) else {
        let mut response = page(StatusCode::TOO_MANY_REQUESTS, 500);
        put(&mut response, header::RETRY_AFTER, RETRY_AFTER);
        return response;
    };
    let mut request = request;
    request.extensions_mut().insert(caller);
    let is_raw = escape::is_raw(request.uri().query());
    let mut response = next.run(request).await;
    if !is_raw && response.status().is_success() {
        response = plain(response).await;
    }
    // A refusal does not tell what is left.
    if response.status().is_success() || response.status() == StatusCode::FORBIDDEN {
        tell(&mut response, count);
    }
    if response.status().is_success() {
        spoil(state, number, trouble, response).await
    } else {
        response
    }
}

/// An answer to who has not asked for texts as they are.
async fn plain(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(escape::escaped(body)))
}

/// An answer with what goes wrong with it.
async fn spoil(
    state: &SandboxState,
    number: u64,
    trouble: Trouble,
    response: Response,
) -> Response {
    let (troubles, seed) = (&state.troubles, state.seed());
    let odd = troubles.odd(seed, number);
    let is_slow = troubles.is_slow(seed, number);
    if odd.is_none() && !is_slow && trouble == Trouble::None {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // What the sandbox itself has made can be read to its end.
    let mut body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some((thing, place)) = odd {
        body = with_odd_thing(body, ODD_THINGS[thing], place);
    }
    let half = body.slice(..body.len() / 2);
    let body = match trouble {
        Trouble::None | Trouble::Status(_) if is_slow => slowly(&body, troubles.pause),
        Trouble::None | Trouble::Status(_) => Body::from(body),
        Trouble::Half => Body::from(half),
        Trouble::Nothing => Body::empty(),
        Trouble::Cut => {
            let end = Err(io::Error::from(io::ErrorKind::ConnectionReset));
            Body::from_stream(stream::iter([Ok(half), end]).then(|part| async move {
                if part.is_err() {
                    // The first half goes out before the connection ends.
                    tokio::task::yield_now().await;
                }
                part
            }))
        }
        Trouble::Page => {
            let mut response = page(StatusCode::OK, 500);
            for (name, value) in parts.headers {
                if let Some(name) = name.filter(|name| *name != header::CONTENT_TYPE) {
                    response.headers_mut().insert(name, value);
                }
            }
            return response;
        }
    };
    Response::from_parts(parts, body)
}

/// A text in parts, with a pause after each.
pub(super) fn slowly(text: &Bytes, pause: Duration) -> Body {
    let size = text.len().div_ceil(PARTS).max(1);
    let parts: Vec<Bytes> = (0..text.len())
        .step_by(size)
        .map(|from| text.slice(from..text.len().min(from + size)))
        .collect();
    Body::from_stream(stream::iter(parts).then(move |part| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, io::Error>(part)
    }))
}

/// A listing with one odd thing more, at about so many hundredths of its length; another answer as
/// it is.
fn with_odd_thing(body: Bytes, thing: &str, place: usize) -> Bytes {
    let Ok(mut listing) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    let thing: Value = serde_json::from_str(thing).unwrap_or_default();
    match listing
        .pointer_mut("/data/children")
        .and_then(Value::as_array_mut)
    {
        Some(children) => children.insert(children.len() * place / 100, thing),
        None => return body,
    }
    Bytes::from(listing.to_string())
}

/// Tells a client its budget.
fn tell(response: &mut Response, count: Count) {
    let name = HeaderName::from_static;
    put(response, name("x-ratelimit-used"), &count.used.to_string());
    let remaining = format!("{}.0", count.remaining);
    put(response, name("x-ratelimit-remaining"), &remaining);
    put(
        response,
        name("x-ratelimit-reset"),
        &count.reset.to_string(),
    );
}

/// Tells the server's time.
fn date(response: &mut Response, now: Timestamp) {
    let date = now.date_time().format("%a, %d %b %Y %H:%M:%S GMT");
    put(response, header::DATE, &date.to_string());
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
