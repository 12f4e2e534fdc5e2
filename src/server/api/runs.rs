//! Runs: list, show, trigger, cancel, retry.

#![expect(unused_qualifications, reason = "the descriptions' macro writes them")]

use axum::{Json, extract::State, http::StatusCode};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::super::{
    ErrorBody, Fault, SharedHost,
    extract::{Asked, Body, Path},
};
use crate::{
    dag::RunState,
    engine::{
        ClearSelection, Explanation, RunOverview, RunRequest, RunSummary, find_run, to_clear,
    },
    store::RunFilter,
};

/// The most runs in one answer.
const PAGE: u32 = 1000;

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(list, trigger))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(cancel_task))
        .routes(routes!(explain))
        .routes(routes!(clear))
        .routes(routes!(retry))
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
        (status = 400, body = ErrorBody),
        (status = 422, body = ErrorBody),
    )
)]
async fn list(
    State(host): State<SharedHost>,
    Asked(wanted): Asked<ListWanted>,
) -> Result<Json<RunPage>, Fault> {
    if !(1..=PAGE).contains(&wanted.limit) {
        return Err(Fault::invalid(format!(
            "`limit` is {}; write 1 to {PAGE}",
            wanted.limit
        )));
    }
    let filter = RunFilter {
        pipeline: wanted.pipeline.as_deref(),
        state: wanted.state,
        before: wanted.before.as_deref(),
        limit: wanted.limit + 1,
    };
    let mut rows = host.store().filtered_runs(&filter).await?;
    let more = rows.len() > wanted.limit as usize;
    rows.truncate(wanted.limit as usize);
    let now = host.clock().now();
    Ok(Json(RunPage {
        next: rows.last().filter(|_| more).map(|row| row.id.clone()),
        runs: rows
            .into_iter()
            .map(|row| RunOverview::new(row, now))
            .collect(),
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
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
async fn trigger(
    State(host): State<SharedHost>,
    Body(wanted): Body<RunWanted>,
) -> Result<(StatusCode, Json<RunAnswer>), Fault> {
    if wanted.from.is_some() && wanted.only.is_some() {
        return Err(Fault::invalid("`from` and `only` exclude each other"));
    }
    let request = host.request(wanted).await?;
    submit(&host, request).await
}

/// Show a run with its tasks. RUN is an id, its unique beginning, or `latest`.
#[utoipa::path(
    get,
    path = "/runs/{run}",
    tag = "runs",
    params(("run" = String, Path, description = "an id, its unique beginning, or `latest`", example = "latest")),
    responses(
        (status = 200, body = RunSummary),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "several runs begin so", body = ErrorBody),
    )
)]
async fn show(
    State(host): State<SharedHost>,
    Path(run): Path<String>,
) -> Result<Json<RunSummary>, Fault> {
    let row = find_run(host.store(), &run).await?;
    Ok(Json(RunSummary::load(host.store(), &row.id).await?))
}

/// A run or one of its tasks that was asked to end.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunAsked {
    /// The run.
    pub run_id: String,
    /// The task, where one alone was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Its state: `cancelling` until its last attempt has ended.
    pub state: String,
}

impl RunAsked {
    /// A run, or one of its tasks, in this state.
    pub fn new(run_id: &str, task: Option<&str>, state: &str) -> Self {
        Self {
            run_id: run_id.to_owned(),
            task: task.map(str::to_owned),
            state: state.to_owned(),
        }
    }
}

/// End a run: its attempts are stopped, its other tasks are cancelled.
#[utoipa::path(
    post,
    path = "/runs/{run}/cancel",
    tag = "runs",
    params(("run" = String, Path, description = "an id, its unique beginning, or `latest`", example = "latest")),
    responses(
        (status = 202, body = RunAsked),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "it has ended, or several runs begin so", body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
async fn cancel(
    State(host): State<SharedHost>,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<RunAsked>), Fault> {
    let row = find_run(host.store(), &run).await?;
    if row.state.is_final() {
        return Err(Fault::conflict(
            "run_ended",
            format!("run `{}` has ended: it is {}", row.id, row.state),
        ));
    }
    // Durable first: a run that is asked to end does so even where the daemon dies now.
    host.store().request_cancel(&row.id).await?;
    host.engine().cancel(&row.id)?;
    Ok((
        StatusCode::ACCEPTED,
        Json(RunAsked::new(&row.id, None, "cancelling")),
    ))
}

/// End one task of a run: tasks downstream see a failure, and the run goes on.
#[utoipa::path(
    post,
    path = "/runs/{run}/tasks/{task}/cancel",
    tag = "runs",
    params(
        ("run" = String, Path, description = "an id, its unique beginning, or `latest`", example = "latest"),
        ("task" = String, Path, description = "the task's id"),
    ),
    responses(
        (status = 202, body = RunAsked),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "it has ended, or several runs begin so", body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
async fn cancel_task(
    State(host): State<SharedHost>,
    Path((run, task)): Path<(String, String)>,
) -> Result<(StatusCode, Json<RunAsked>), Fault> {
    let row = find_run(host.store(), &run).await?;
    host.engine().cancel_task(&row.id, &task).await?;
    let asked = RunAsked::new(&row.id, Some(&task), "cancelling");
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// Say why a task stands where it does, in one sentence.
#[utoipa::path(
    get,
    path = "/runs/{run}/tasks/{task}/explain",
    tag = "runs",
    params(
        ("run" = String, Path, description = "an id, its unique beginning, or `latest`", example = "latest"),
        ("task" = String, Path, description = "the task's id"),
    ),
    responses(
        (status = 200, body = Explanation),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "several runs begin so", body = ErrorBody),
    )
)]
async fn explain(
    State(host): State<SharedHost>,
    Path((run, task)): Path<(String, String)>,
) -> Result<Json<Explanation>, Fault> {
    let row = find_run(host.store(), &run).await?;
    let (slots, disk) = (host.engine().slots(), host.engine().disk());
    Ok(Json(
        Explanation::load(host.store(), &row.id, &task, &slots, disk).await?,
    ))
}

/// Which tasks of a run are to begin anew.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearWanted {
    /// This task and all downstream of it.
    #[serde(default)]
    pub from: Option<String>,
    /// This task alone. Without either those that failed, and all downstream of them.
    #[serde(default)]
    pub task: Option<String>,
    /// Tell which tasks that are, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// A run of which tasks begin anew.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClearAnswer {
    /// The run.
    pub run_id: String,
    /// The tasks, in the order of the pipeline file.
    pub tasks: Vec<String>,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The newest event before: events after it tell what follows.
    pub event: i64,
}

/// Let tasks begin anew within the same run, and go on with it.
#[utoipa::path(
    post,
    path = "/runs/{run}/clear",
    tag = "runs",
    params(("run" = String, Path, description = "an id, its unique beginning, or `latest`", example = "latest")),
    request_body = ClearWanted,
    responses(
        (status = 200, body = ClearAnswer),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "a task is running, nothing is to be cleared, or several runs \
            begin so", body = ErrorBody),
        (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
async fn clear(
    State(host): State<SharedHost>,
    Path(run): Path<String>,
    Body(wanted): Body<ClearWanted>,
) -> Result<Json<ClearAnswer>, Fault> {
    let selection = match (wanted.from, wanted.task) {
        (Some(_), Some(_)) => {
            return Err(Fault::invalid("`from` and `task` exclude each other"));
        }
        (Some(task), None) => ClearSelection::From(task),
        (None, Some(task)) => ClearSelection::Only(task),
        (None, None) => ClearSelection::Failed,
    };
    let row = find_run(host.store(), &run).await?;
    let event = host.store().last_event().await?;
    let cleared = if wanted.dry_run {
        to_clear(host.store(), &row.id, &selection).await?
    } else {
        host.engine().clear(&row.id, selection).await?
    };
    Ok(Json(ClearAnswer {
        run_id: cleared.run_id,
        tasks: cleared.task_ids,
        dry_run: wanted.dry_run,
        event,
    }))
}

/// Which part of a run is to run again.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetryWanted {
    /// This task and all downstream of it; without it what did not succeed, and all downstream.
    #[serde(default)]
    from: Option<String>,
}

/// Run again a part of a run that has ended, with the results that are there: a new run.
#[utoipa::path(
    post,
    path = "/runs/{run}/retry",
    tag = "runs",
    params(("run" = String, Path, description = "an id, its unique beginning, or `latest`", example = "latest")),
    request_body = RetryWanted,
    responses(
        (status = 200, description = "an unfinished run that is the same goes on", body = RunAnswer),
        (status = 201, description = "a new run; when this is answered, it is durable", body = RunAnswer),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, description = "several runs begin so", body = ErrorBody),
        (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody),
        (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
async fn retry(
    State(host): State<SharedHost>,
    Path(run): Path<String>,
    Body(wanted): Body<RetryWanted>,
) -> Result<(StatusCode, Json<RunAnswer>), Fault> {
    let row = find_run(host.store(), &run).await?;
    let request = RunRequest::again(host.store(), &row, wanted.from).await?;
    submit(&host, request).await
}

/// Hands a request to the engine.
async fn submit(
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
