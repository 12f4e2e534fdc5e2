//! Pipelines: list, show.

use axum::{Json, extract::State};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{ErrorBody, Fault, SharedHost, extract::Path},
    paths::OfPipeline,
};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// List the pipelines of this home, with their next tick; one with faults tells how many.
#[utoipa::path(
    get,
    path = "/pipelines",
    tag = "pipelines",
    responses((status = 200, description = "as `pipelines list --json`", body = [Object]))
)]
async fn list(State(host): State<SharedHost>) -> Result<Json<Value>, Fault> {
    Ok(Json(host.pipelines().await?))
}

/// Show a pipeline: its schedule, parameters, profiles and tasks.
#[utoipa::path(
    get,
    path = "/pipelines/{pipeline}",
    tag = "pipelines",
    params(OfPipeline),
    responses(
        (status = 200, description = "as `pipelines show --json`", body = Object),
        (status = 422, description = "the file has faults", body = ErrorBody),
    )
)]
async fn show(
    State(host): State<SharedHost>,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(host.pipeline(&pipeline).await?))
}
