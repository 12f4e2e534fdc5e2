//! Backfills: runs for past intervals.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        ErrorBody, Fault, SharedHost,
        extract::{Body, Path},
    },
    paths::OfBackfill,
};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(move_backfill))
}

/// All backfills, the newest first.
#[utoipa::path(
    get,
    path = "/backfills",
    tag = "schedules",
    responses((status = 200, description = "as `backfill list --json`", body = [Object]))
)]
async fn list(State(host): State<SharedHost>) -> Result<Json<Value>, Fault> {
    Ok(Json(host.backfills().await?))
}

/// What happens to intervals that have a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reprocess {
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
    pub reprocess: Reprocess,
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
        (status = 200, description = "with `dry_run` `{\"intervals\": […]}`; without, `{\"intervals\": []}` \
            where none gets a run", body = Object),
        (status = 201, description = "the backfill, which the scheduler works off: a new one, or an \
            unfinished one that was asked for in the same words and goes on", body = Object),
        (status = 404, description = "there is no such pipeline", body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
async fn create(
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
    params(OfBackfill),
    responses(
        (status = 200, description = "as `backfill show --json`", body = Object),
    )
)]
async fn show(
    State(host): State<SharedHost>,
    Path(OfBackfill { backfill }): Path<OfBackfill>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(host.backfill(&backfill).await?))
}

/// What is asked of a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackfillMove {
    /// Start no more runs.
    Pause,
    /// Go on.
    Resume,
    /// End it, and cancel its runs.
    Cancel,
}

/// A backfill, and what is asked of it.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct MoveOfBackfill {
    /// The beginning of its id.
    backfill: String,
    /// What is asked of it.
    #[param(inline)]
    r#move: BackfillMove,
}

/// Start no more runs of a backfill until it is resumed, go on with it, or end it and cancel its
/// runs.
#[utoipa::path(
    post,
    path = "/backfills/{backfill}/{move}",
    tag = "schedules",
    params(MoveOfBackfill),
    responses(
        (status = 200, description = "the backfill", body = Object),
        (status = 409, description = "it has ended", body = ErrorBody),
    )
)]
async fn move_backfill(
    State(host): State<SharedHost>,
    Path(MoveOfBackfill { backfill, r#move }): Path<MoveOfBackfill>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(host.move_backfill(&backfill, r#move).await?))
}
