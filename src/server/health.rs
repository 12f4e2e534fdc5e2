//! Whether the daemon lives, and whether it works.

use axum::{
    Json,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ErrorBody, Fault, Phase, SharedHost};

/// That all is well.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: String,
    /// The program's version.
    version: String,
}

impl Health {
    fn ok() -> Json<Self> {
        Json(Self {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
}

/// Lets what changes something wait until the daemon has taken up what was left: until then nobody
/// is at work on the runs that it may be about.
pub(super) async fn when_started(
    State(host): State<SharedHost>,
    request: Request,
    next: Next,
) -> Response {
    if !request.method().is_safe() {
        host.started().await;
    }
    next.run(request).await
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Health::ok()
}

/// The process has taken up what was left, starts what is new, and reaches its databases.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses((status = 200, body = Health), (status = 503, body = ErrorBody))
)]
async fn readyz(State(host): State<SharedHost>) -> Result<Json<Health>, Fault> {
    match host.phase() {
        Phase::Ready => {}
        Phase::Starting => return Err(Fault::unavailable("the daemon takes up what was left")),
        Phase::Draining | Phase::Ended => return Err(Fault::unavailable("the daemon is ending")),
    }
    host.store()
        .run("")
        .await
        .map_err(|error| Fault::unavailable(crate::telemetry::chain(&error)))?;
    let disk = host.engine().disk();
    if disk.full {
        return Err(Fault::disk_full(format!(
            "nothing new starts: {}",
            disk.in_words()
        )));
    }
    Ok(Health::ok())
}
