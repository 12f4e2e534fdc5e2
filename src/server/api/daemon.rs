//! What this daemon is.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{SharedHost, host::Phase};
use crate::{clock::Timestamp, engine::DiskRoom};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new().routes(routes!(daemon))
}

/// What a daemon is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DaemonAnswer {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Whether there is room for new work.
    pub disk: DiskRoom,
    /// What keeps attempts within their memory, in words.
    pub memory_limits: String,
}

/// What this daemon is.
#[utoipa::path(
    get,
    path = "/daemon",
    tag = "health",
    responses((status = 200, body = DaemonAnswer))
)]
async fn daemon(State(host): State<SharedHost>) -> Json<DaemonAnswer> {
    Json(DaemonAnswer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: host.started_at(),
        phase: host.phase(),
        disk: host.engine().disk(),
        memory_limits: host.memory_limits(),
    })
}
