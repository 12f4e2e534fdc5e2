//! What changes runs that there are: cancel, clear, retry.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        ErrorBody, Fault, SharedHost,
        extract::{Body, Path},
    },
    paths::{OfRun, OfTask},
    runs::{RunAnswer, submit},
};
use crate::engine::{ClearSelection, RunRequest, find_run, find_task, to_clear};

pub(super) fn routes() -> OpenApiRouter<SharedHost> {
    OpenApiRouter::new()
        .routes(routes!(cancel))
        .routes(routes!(cancel_task))
        .routes(routes!(clear))
        .routes(routes!(retry))
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
    params(OfRun),
    responses(
        (status = 202, body = RunAsked),
        (status = 409, description = "it has ended, or several runs begin so", body = ErrorBody),
    )
)]
async fn cancel(
    State(host): State<SharedHost>,
    Path(OfRun { run }): Path<OfRun>,
) -> Result<(StatusCode, Json<RunAsked>), Fault> {
    let row = find_run(host.store(), &run).await?;
    if row.state.is_final() {
        return Err(Fault::conflict(
            "run_ended",
            format!("run `{}` has ended: it is {}", row.id, row.state),
        ));
    }
    host.engine().cancel(&row.id).await?;
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
    params(OfTask),
    responses(
        (status = 202, body = RunAsked),
        (status = 409, description = "it has ended, or several runs begin so", body = ErrorBody),
    )
)]
async fn cancel_task(
    State(host): State<SharedHost>,
    Path(OfTask { run, task }): Path<OfTask>,
) -> Result<(StatusCode, Json<RunAsked>), Fault> {
    let row = find_run(host.store(), &run).await?;
    let state = find_task(host.store(), &row.id, &task).await?.run.state;
    if state.is_final() {
        return Err(Fault::conflict(
            "task_ended",
            format!("task `{task}` has ended: it is {}", state.name()),
        ));
    }
    host.engine().cancel_task(&row.id, &task).await?;
    let asked = RunAsked::new(&row.id, Some(&task), "cancelling");
    Ok((StatusCode::ACCEPTED, Json(asked)))
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
    params(OfRun),
    request_body = ClearWanted,
    responses(
        (status = 200, body = ClearAnswer),
        (status = 409, description = "a task is running, nothing is to be cleared, or several runs \
            begin so", body = ErrorBody),
    )
)]
async fn clear(
    State(host): State<SharedHost>,
    Path(OfRun { run }): Path<OfRun>,
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
        to_clear(host.store(), host.data_dir(), &row.id, &selection).await?
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
    params(OfRun),
    request_body = RetryWanted,
    responses(
        (status = 200, description = "an unfinished run that is the same goes on", body = RunAnswer),
        (status = 201, description = "a new run; when this is answered, it is durable", body = RunAnswer),
        (status = 409, description = "it has not ended, or several runs begin so", body = ErrorBody),
    )
)]
async fn retry(
    State(host): State<SharedHost>,
    Path(OfRun { run }): Path<OfRun>,
    Body(wanted): Body<RetryWanted>,
) -> Result<(StatusCode, Json<RunAnswer>), Fault> {
    let row = find_run(host.store(), &run).await?;
    let request = RunRequest::again(host.store(), host.data_dir(), &row, wanted.from).await?;
    submit(&host, request).await
}
