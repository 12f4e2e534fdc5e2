//! Runs: list, show, explain, trigger.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State, http::StatusCode};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        ErrorBody, Fault, SharedHost,
        extract::{Asked, Body, Path},
    },
    page,
    paths::{OfRun, OfTask},
};
use crate::{
    dag::RunState,
    engine::{Explanation, RunOverview, RunRequest, RunSummary, find_run},
    store::RunFilter,
};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(list, trigger))
        .routes(routes!(show))
        .routes(routes!(explain))
}

/// Which runs are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListWanted {
    /// Only those of this pipeline.
    pipeline: Option<String>,
    /// Only those in this state.
    state: Option<RunState>,
    /// How many at most, 1 to 1000.
    #[serde(default = "twenty")]
    #[param(default = 20, minimum = 1, maximum = 1000)]
    limit: u32,
    /// Only those older than this run: the `next` of the page before.
    before: Option<String>,
}

fn twenty() -> u32 {
    20
}

/// Runs, the newest first.
#[derive(Debug, Serialize, ToSchema)]
struct RunPage {
    /// The runs.
    runs: Vec<RunOverview>,
    /// What to give as `before` for the next page; null on the last one.
    next: Option<String>,
}

/// List runs, the newest first.
#[utoipa::path(
    get,
    path = "/runs",
    tag = "runs",
    params(ListWanted),
    responses(
        (status = 200, body = RunPage),
        (status = 422, body = ErrorBody),
    )
)]
async fn list(
    State(host): State<SharedHost>,
    Asked(wanted): Asked<ListWanted>,
) -> Result<Json<RunPage>, Fault> {
    page::check("limit", wanted.limit)?;
    let filter = RunFilter {
        pipeline: wanted.pipeline.as_deref(),
        state: wanted.state,
        before: wanted.before.as_deref(),
        limit: wanted.limit + 1,
    };
    let rows = host.store().filtered_runs(&filter).await?;
    let (rows, next) = page::cut(rows, wanted.limit, |row| row.id.clone());
    let now = host.clock().now();
    let runs = rows.into_iter().map(|row| RunOverview::new(row, now));
    Ok(Json(RunPage {
        runs: runs.collect(),
        next,
    }))
}

/// A run that is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunWanted {
    /// The pipeline's name.
    #[schema(example = "reddit")]
    pub pipeline: String,
    /// The day of the data interval; default: the one that has just ended.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    pub date: Option<NaiveDate>,
    /// Where records come from; default: what the pipeline says.
    #[serde(default)]
    pub source: Option<String>,
    /// The set of encoders; default: what the pipeline says.
    #[serde(default)]
    pub profile: Option<String>,
    /// Parameters of the pipeline.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Begin at this task; the tasks before it are taken over from the last run.
    #[serde(default)]
    pub from: Option<String>,
    /// Run this task alone.
    #[serde(default)]
    pub only: Option<String>,
    /// Start a new run and compute everything again.
    #[serde(default)]
    pub force: bool,
    /// Encode what is stored and lacks a result under this profile, and do nothing else; not with
    /// `date`, `from`, `only` or `force`.
    #[serde(default)]
    pub fill: bool,
}

/// A run that was taken on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunAnswer {
    /// Its id.
    pub run_id: String,
    /// Whether it had begun before: an unfinished run that is the same goes on.
    pub resumed: bool,
    /// The newest event before: events after it tell what follows.
    pub event: i64,
}

/// Start a run; an unfinished one that is the same goes on.
#[utoipa::path(
    post,
    path = "/runs",
    tag = "runs",
    request_body = RunWanted,
    responses(
        (status = 200, description = "an unfinished run that is the same goes on", body = RunAnswer),
        (status = 201, description = "a new run; when this is answered, it is durable", body = RunAnswer),
        (status = 404, description = "there is no such pipeline or task", body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
async fn trigger(
    State(host): State<SharedHost>,
    Body(wanted): Body<RunWanted>,
) -> Result<(StatusCode, Json<RunAnswer>), Fault> {
    if wanted.from.is_some() && wanted.only.is_some() {
        return Err(Fault::invalid("`from` and `only` exclude each other"));
    }
    let whole = wanted.date.is_none() && wanted.from.is_none() && wanted.only.is_none();
    if wanted.fill && (wanted.force || !whole) {
        return Err(Fault::invalid(
            "`fill` excludes `date`, `from`, `only` and `force`",
        ));
    }
    let request = host.request(wanted).await?;
    submit(&host, request).await
}

/// Show a run with its tasks. RUN is an id, its unique beginning, or `latest`.
#[utoipa::path(
    get,
    path = "/runs/{run}",
    tag = "runs",
    params(OfRun),
    responses(
        (status = 200, body = RunSummary),
    )
)]
async fn show(
    State(host): State<SharedHost>,
    Path(OfRun { run }): Path<OfRun>,
) -> Result<Json<RunSummary>, Fault> {
    let row = find_run(host.store(), &run).await?;
    let mut summary = RunSummary::load(host.store(), &row.id).await?;
    summary.model = host.registry().model_of(&row.id).await?;
    Ok(Json(summary))
}

/// Say why a task stands where it does, in one sentence.
#[utoipa::path(
    get,
    path = "/runs/{run}/tasks/{task}/explain",
    tag = "runs",
    params(OfTask),
    responses(
        (status = 200, body = Explanation),
    )
)]
async fn explain(
    State(host): State<SharedHost>,
    Path(OfTask { run, task }): Path<OfTask>,
) -> Result<Json<Explanation>, Fault> {
    let row = find_run(host.store(), &run).await?;
    let (slots, disk) = (host.engine().slots(), host.engine().disk());
    Ok(Json(
        Explanation::load(host.store(), &row.id, &task, &slots, disk).await?,
    ))
}

/// Hands a request to the engine.
pub(super) async fn submit(
    host: &SharedHost,
    request: RunRequest,
) -> Result<(StatusCode, Json<RunAnswer>), Fault> {
    let event = host.store().last_event().await?;
    let submitted = host.engine().submit(request).await?;
    let status = if submitted.resumed {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let answer = RunAnswer {
        run_id: submitted.run_id,
        resumed: submitted.resumed,
        event,
    };
    Ok((status, Json(answer)))
}
