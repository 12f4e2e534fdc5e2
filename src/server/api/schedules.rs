//! Schedules: when pipelines run by themselves.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        ErrorBody, Fault, SharedHost,
        extract::{Asked, Path},
    },
    page,
    paths::OfPipeline,
};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(schedules))
        .routes(routes!(next))
        .routes(routes!(pause))
        .routes(routes!(unpause))
}

/// All schedules of all pipelines, with what comes next.
#[utoipa::path(
    get,
    path = "/schedules",
    tag = "schedules",
    responses((status = 200, body = [Object]), (status = 422, body = ErrorBody))
)]
async fn schedules(State(host): State<SharedHost>) -> Result<Json<Value>, Fault> {
    Ok(Json(host.schedules().await?))
}

/// How many ticks.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NextWanted {
    /// How many, 1 to 1000.
    #[serde(default = "five")]
    #[param(default = 5, minimum = 1, maximum = 1000)]
    n: u32,
}

fn five() -> u32 {
    5
}

/// When a pipeline will run by itself, and for which intervals.
#[utoipa::path(
    get,
    path = "/pipelines/{pipeline}/next",
    tag = "schedules",
    params(OfPipeline, NextWanted),
    responses(
        (status = 200, description = "as `pipelines next --json`", body = [Object]),
        (status = 422, body = ErrorBody),
    )
)]
async fn next(
    State(host): State<SharedHost>,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
    Asked(wanted): Asked<NextWanted>,
) -> Result<Json<Value>, Fault> {
    page::check("n", wanted.n)?;
    Ok(Json(host.next(&pipeline, wanted.n as usize)?))
}

/// Whether the schedules of a pipeline make runs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Paused {
    /// The pipeline.
    pub pipeline: String,
    /// Whether they make none.
    pub paused: bool,
    /// Whether that was otherwise before.
    pub changed: bool,
}

/// Pause the schedules of a pipeline; runs that go on are left alone.
#[utoipa::path(
    post,
    path = "/pipelines/{pipeline}/pause",
    tag = "schedules",
    params(OfPipeline),
    responses(
        (status = 200, body = Paused),
        (status = 422, body = ErrorBody),
    )
)]
async fn pause(
    State(host): State<SharedHost>,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
) -> Result<Json<Paused>, Fault> {
    set_paused(&host, pipeline, true).await
}

/// Let the schedules of a paused pipeline go on: what was missed is made up for as `catchup` says.
#[utoipa::path(
    post,
    path = "/pipelines/{pipeline}/unpause",
    tag = "schedules",
    params(OfPipeline),
    responses(
        (status = 200, body = Paused),
        (status = 422, body = ErrorBody),
    )
)]
async fn unpause(
    State(host): State<SharedHost>,
    Path(OfPipeline { pipeline }): Path<OfPipeline>,
) -> Result<Json<Paused>, Fault> {
    set_paused(&host, pipeline, false).await
}

async fn set_paused(
    host: &SharedHost,
    pipeline: String,
    paused: bool,
) -> Result<Json<Paused>, Fault> {
    let changed = host.set_paused(&pipeline, paused).await?;
    Ok(Json(Paused {
        pipeline,
        paused,
        changed,
    }))
}
