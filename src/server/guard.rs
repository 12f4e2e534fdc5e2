//! Who may ask: names of this server, no foreign pages, tokens.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use super::{Fault, SharedHost, mlflow};

/// What is asked of callers.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Names of the server beside its address and `localhost`.
    pub hosts: Vec<String>,
    /// Whether callers on this machine need a token too.
    pub require_token: bool,
    /// Hashes of tokens that are good beside those in the store.
    pub tokens: Vec<[u8; 32]>,
}

/// What is stored of a token.
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Lets a request through that may come in.
pub(super) async fn guard(
    State(host): State<SharedHost>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match admit(&host, &parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(fault) => {
            let mut response = if mlflow::serves(parts.uri.path()) {
                mlflow::Refusal::from(fault).into_response()
            } else {
                fault.into_response()
            };
            if response.status() == StatusCode::UNAUTHORIZED {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

async fn admit(host: &SharedHost, request: &Parts) -> Result<(), Fault> {
    let settings = &host.guard();
    let headers = &request.headers;
    let named = authority(headers, header::HOST).or_else(|| request.uri.authority().cloned());
    // A page whose name leads to this machine must not speak for its reader.
    if !named
        .as_ref()
        .is_some_and(|name| is_ours(settings, name.host()))
    {
        let name = named.map_or_else(|| "none".to_owned(), |name| format!("`{}`", name.host()));
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            "foreign_host",
            format!("the request is for the host {name}, which is not this server"),
        )
        .hint("use its address or `localhost`, or add the name to `server.hosts`".to_owned()));
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && !same_origin(origin, named.as_ref())
    {
        let message = "a page of another origin asks";
        return Err(Fault::new(StatusCode::FORBIDDEN, "foreign_origin", message));
    }
    if matches!(request.uri.path(), "/healthz" | "/readyz") {
        return Ok(());
    }
    let refused = |message: &str| {
        Fault::new(StatusCode::UNAUTHORIZED, "unauthorized", message).hint(
            "send `authorization: Bearer TOKEN`; `trendmill tokens create NAME` makes one"
                .to_owned(),
        )
    };
    if let Some(given) = headers.get(header::AUTHORIZATION) {
        let token = given.to_str().ok().and_then(bearer);
        let hash = token.map(hash_token);
        return match hash {
            Some(hash) if settings.tokens.contains(&hash) => Ok(()),
            Some(hash) if host.store().is_token(&hash).await? => Ok(()),
            _ => Err(refused("the token is not good")),
        };
    }
    if settings.require_token || !settings.address.ip().is_loopback() {
        return Err(refused("a token is needed"));
    }
    Ok(())
}

fn authority(headers: &HeaderMap, name: header::HeaderName) -> Option<Authority> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Whether a name means this server: only names can be made to lead elsewhere, addresses cannot.
fn is_ours(settings: &GuardSettings, name: &str) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || settings
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

fn same_origin(origin: &HeaderValue, named: Option<&Authority>) -> bool {
    let origin = origin.to_str().ok();
    let asking = origin.and_then(|origin| origin.split_once("://"));
    asking
        .zip(named)
        .is_some_and(|((_, asking), named)| asking == named.as_str())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
