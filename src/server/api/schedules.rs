//! Schedules and backfills: when pipelines run by themselves, and for which past intervals.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    ErrorBody, Fault, SharedHost,
    extract::{Asked, Body, Path},
};

/// The most ticks in one answer.
const TICKS: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(schedules))
        .routes(routes!(next))
        .routes(routes!(pause))
        .routes(routes!(unpause))
        .routes(routes!(backfills, backfill))
        .routes(routes!(show_backfill))
        .routes(routes!(pause_backfill))
        .routes(routes!(resume_backfill))
        .routes(routes!(cancel_backfill))
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
    n: usize,
}

fn five() -> usize {
    5
}

/// When a pipeline will run by itself, and for which intervals.
#[utoipa::path(
    get,
    path = "/pipelines/{pipeline}/next",
    tag = "schedules",
    params(("pipeline" = String, Path, description = "the pipeline's name"), NextWanted),
    responses(
        (status = 200, description = "as `pipelines next --json`", body = [Object]),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn next(
    State(host): State<SharedHost>,
    Path(pipeline): Path<String>,
    Asked(wanted): Asked<NextWanted>,
) -> Result<Json<Value>, Fault> {
    if !(1..=TICKS).contains(&wanted.n) {
        return Err(Fault::invalid(format!(
            "`n` is {}; write 1 to {TICKS}",
            wanted.n
        )));
    }
    Ok(Json(host.next(&pipeline, wanted.n)?))
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
    params(("pipeline" = String, Path, description = "the pipeline's name")),
    responses(
        (status = 200, body = Paused),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn pause(
    State(host): State<SharedHost>,
    Path(pipeline): Path<String>,
) -> Result<Json<Paused>, Fault> {
    set_paused(&host, pipeline, true).await
}

/// Let the schedules of a paused pipeline go on: what was missed is made up for as `catchup` says.
#[utoipa::path(
    post,
    path = "/pipelines/{pipeline}/unpause",
    tag = "schedules",
    params(("pipeline" = String, Path, description = "the pipeline's name")),
    responses(
        (status = 200, body = Paused),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn unpause(
    State(host): State<SharedHost>,
    Path(pipeline): Path<String>,
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

/// All backfills, the newest first.
#[utoipa::path(
    get,
    path = "/backfills",
    tag = "schedules",
    responses((status = 200, description = "as `backfill list --json`", body = [Object]))
)]
async fn backfills(State(host): State<SharedHost>) -> Result<Json<Value>, Fault> {
    Ok(Json(host.backfills().await?))
}

/// What happens to intervals that have a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reprocessed {
    /// They are left alone.
    #[default]
    None,
    /// Those whose newest run failed or was cancelled are run again.
    Failed,
    /// They are run again.
    All,
}

/// A backfill that is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillWanted {
    /// The pipeline's name.
    #[schema(example = "reddit")]
    pub pipeline: String,
    /// The schedule whose intervals are meant; by default the first. Days in UTC without one.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The first day, or the first moment at which an interval may begin.
    #[schema(example = "2026-01-01")]
    pub from: String,
    /// The last day, or the last moment at which an interval may begin.
    #[schema(example = "2026-01-03")]
    pub to: String,
    /// What happens to intervals that have a run.
    #[serde(default)]
    pub reprocess: Reprocessed,
    /// The most runs of it at once; one where it is 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 4_294_967_295_u64)]
    pub concurrency: u32,
    /// Where records come from; default: what the pipeline says.
    #[serde(default)]
    pub source: Option<String>,
    /// The set of encoders; default: what the pipeline says.
    #[serde(default)]
    pub profile: Option<String>,
    /// Parameters of the pipeline.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Whether its runs may ask a live source, which knows nothing of the past.
    #[serde(default)]
    pub live: bool,
    /// Tell the intervals, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Run a pipeline for past intervals, one run each.
#[utoipa::path(
    post,
    path = "/backfills",
    tag = "schedules",
    request_body = BackfillWanted,
    responses(
        (status = 200, description = "with `dry_run` the intervals; without, null where none gets a run", body = Object),
        (status = 201, description = "the backfill, which the scheduler works off", body = Object),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn backfill(
    State(host): State<SharedHost>,
    Body(wanted): Body<BackfillWanted>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    if wanted.dry_run {
        let intervals = host.plan_backfill(wanted).await?;
        return Ok((StatusCode::OK, Json(json!({ "intervals": intervals }))));
    }
    Ok(match host.create_backfill(wanted).await? {
        Some(backfill) => (StatusCode::CREATED, Json(backfill)),
        None => (StatusCode::OK, Json(json!({ "intervals": [] }))),
    })
}

/// A backfill with its intervals.
#[utoipa::path(
    get,
    path = "/backfills/{backfill}",
    tag = "schedules",
    params(("backfill" = String, Path, description = "the beginning of its id")),
    responses(
        (status = 200, description = "as `backfill show --json`", body = Object),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
async fn show_backfill(
    State(host): State<SharedHost>,
    Path(backfill): Path<String>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(host.backfill(&backfill).await?))
}

/// What is asked of a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackfillMove {
    /// Start no more runs.
    Pause,
    /// Go on.
    Resume,
    /// End it, and cancel its runs.
    Cancel,
}

/// Start no more runs of a backfill until it is resumed.
#[utoipa::path(
    post,
    path = "/backfills/{backfill}/pause",
    tag = "schedules",
    params(("backfill" = String, Path, description = "the beginning of its id")),
    responses(
        (status = 200, description = "the backfill", body = Object),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "it has ended", body = ErrorBody),
    )
)]
async fn pause_backfill(
    State(host): State<SharedHost>,
    Path(backfill): Path<String>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(
        host.move_backfill(&backfill, BackfillMove::Pause).await?,
    ))
}

/// Go on with a backfill that was paused.
#[utoipa::path(
    post,
    path = "/backfills/{backfill}/resume",
    tag = "schedules",
    params(("backfill" = String, Path, description = "the beginning of its id")),
    responses(
        (status = 200, description = "the backfill", body = Object),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "it has ended", body = ErrorBody),
    )
)]
async fn resume_backfill(
    State(host): State<SharedHost>,
    Path(backfill): Path<String>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(
        host.move_backfill(&backfill, BackfillMove::Resume).await?,
    ))
}

/// End a backfill and cancel its runs.
#[utoipa::path(
    post,
    path = "/backfills/{backfill}/cancel",
    tag = "schedules",
    params(("backfill" = String, Path, description = "the beginning of its id")),
    responses(
        (status = 200, description = "the backfill", body = Object),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "it has ended", body = ErrorBody),
    )
)]
async fn cancel_backfill(
    State(host): State<SharedHost>,
    Path(backfill): Path<String>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(
        host.move_backfill(&backfill, BackfillMove::Cancel).await?,
    ))
}
