//! What every route may refuse, described in one place.
//!
//! A route describes only the refusals that are its own.

use axum::http::StatusCode;
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::{Operation, PathItem},
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

/// How callers prove themselves, by its name in the description.
const TOKEN: &str = "token";

/// Adds to each route what callers of it may be told beside its own answers, and how they prove
/// themselves.
pub(super) fn describe(description: &mut OpenApi) {
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = description.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, scheme);
    for (path, item) in &mut description.paths.paths {
        for operation in operations(item) {
            for (status, why) in refusals(path, operation) {
                operation
                    .responses
                    .responses
                    .entry(status.as_str().to_owned())
                    .or_insert_with(|| RefOr::T(refusal(why)));
            }
            if is_guarded(path) {
                // Without one too: callers on this machine need none unless it is required.
                operation.security = Some(vec![
                    SecurityRequirement::default(),
                    SecurityRequirement::new::<_, [&str; 0], &str>(TOKEN, []),
                ]);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post]
        .into_iter()
        .filter_map(Option::as_mut)
}

/// Whether a token may be asked for.
fn is_guarded(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

fn refusals(path: &str, operation: &Operation) -> Vec<(StatusCode, &'static str)> {
    let mut refusals = vec![
        (
            StatusCode::FORBIDDEN,
            "the page or the host is not of this server",
        ),
        (StatusCode::INTERNAL_SERVER_ERROR, "the daemon failed"),
    ];
    if is_guarded(path) {
        refusals.push((
            StatusCode::UNAUTHORIZED,
            "a token is needed, or it is not good",
        ));
        let why = "the daemon begins or ends, or the disk is full";
        refusals.push((StatusCode::SERVICE_UNAVAILABLE, why));
    }
    if operation.parameters.is_some() {
        refusals.push((StatusCode::BAD_REQUEST, "a parameter cannot be read"));
    }
    if path.contains('{') {
        refusals.push((StatusCode::NOT_FOUND, "what the path names is not there"));
    }
    if path.contains("{run}") {
        refusals.push((StatusCode::CONFLICT, "several runs begin so"));
    }
    if operation.request_body.is_some() {
        refusals.extend([
            (StatusCode::BAD_REQUEST, "the body is not JSON"),
            (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is not said to be JSON",
            ),
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                "the body asks for what cannot be",
            ),
        ]);
    }
    refusals
}

fn refusal(why: &str) -> Response {
    let body = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ErrorBody")))
        .build();
    ResponseBuilder::new()
        .description(why)
        .content("application/json", body)
        .build()
}
