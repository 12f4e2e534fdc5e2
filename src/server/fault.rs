//! How the API refuses: one shape, with a stable code and a hint.

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{engine, pipelines, registry, store, telemetry::chain};

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    status: StatusCode,
    detail: ErrorDetail,
    /// Where it passes: in how many seconds it is worth to ask again.
    retry_after: Option<u64>,
}

/// A refusal as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What was wrong.
    pub error: ErrorDetail,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// A word that stays the same from release to release.
    #[schema(example = "unknown_run")]
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with this status and code.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            detail: ErrorDetail {
                code: code.to_owned(),
                message: message.into(),
                hint: None,
            },
            retry_after: None,
        }
    }

    /// What another process has said, with its status; one that no refusal has is a failure.
    pub fn told(status: u16, detail: ErrorDetail) -> Self {
        let status = StatusCode::from_u16(status).ok();
        let refusal = status.filter(|s| s.is_client_error() || s.is_server_error());
        Self {
            status: refusal.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            detail,
            retry_after: None,
        }
    }

    /// Its status and what is told.
    pub fn into_parts(self) -> (u16, ErrorDetail) {
        (self.status.as_u16(), self.detail)
    }

    /// What is asked for is not there.
    pub fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// It was asked for wrongly.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    /// The environment is not fit for it.
    pub fn unfit(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "unfit", message)
    }

    /// It cannot be done as things stand.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// The daemon failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The daemon ends or has not begun.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// There is no room for it on the disk.
    pub fn disk_full(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "disk_full", message)
            .hint("make room, or let `[retention]` keep less; work goes on by itself".to_owned())
    }

    /// Too many ask at once.
    pub fn too_many(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message).retry_after(1)
    }

    /// It passes: it is worth to ask again in so many seconds.
    pub fn told_later(code: &'static str, message: impl Into<String>, seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(seconds)
    }

    /// Adds in how many seconds it is worth to ask again.
    #[must_use]
    const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The status and the words, for those who tell it in another shape.
    pub(super) fn in_words(self) -> (StatusCode, String) {
        let ErrorDetail { message, hint, .. } = self.detail;
        let words = match hint {
            Some(hint) => format!("{message}; {hint}"),
            None => message,
        };
        (self.status, words)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.detail.hint = hint.into();
        self
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("the API failed: {}", self.detail.message);
        }
        let body = ErrorBody { error: self.detail };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        if error.is_disk_full() {
            return Self::disk_full("the disk is full");
        }
        Self::internal(chain(&error))
    }
}

impl From<engine::Error> for Fault {
    fn from(error: engine::Error) -> Self {
        use engine::Error;
        let message = chain(&error);
        match error {
            Error::Store(error) => error.into(),
            Error::UnknownRun(_) => Self::unknown("unknown_run", message),
            Error::SeveralRuns(_) => Self::conflict("several_runs", message),
            Error::UnknownTask { .. } => Self::unknown("unknown_task", message),
            Error::UnknownOperator { .. } => Self::invalid(message),
            Error::NoEarlierResult { .. } | Error::OtherSettings { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "no_earlier_result",
                message,
            ),
            Error::Ended(_) => Self::conflict("run_ended", message),
            Error::Unfinished(_) => Self::conflict("run_unfinished", message),
            Error::Idle(_) => Self::conflict("run_idle", message),
            Error::Held { .. } => Self::conflict("run_held", message),
            Error::NotHeld(_) => Self::conflict("run_not_held", message),
            Error::StillRunning(_) => Self::conflict("task_running", message),
            Error::FilesGone { .. } => Self::conflict("files_gone", message),
            Error::NothingToClear(_) => Self::conflict("nothing_to_clear", message),
            Error::TickTaken { .. } => Self::conflict("tick_taken", message),
            Error::Stopped(_) => Self::unavailable(message),
            Error::Locked { .. }
            | Error::Lock { .. }
            | Error::Files { .. }
            | Error::Replay { .. } => Self::internal(message),
        }
    }
}

impl From<pipelines::Error> for Fault {
    fn from(error: pipelines::Error) -> Self {
        let message = chain(&error);
        let hint = error.hint().map(str::to_owned);
        match error {
            pipelines::Error::Unknown { .. } => Self::unknown("unknown_pipeline", message),
            pipelines::Error::Faulty(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "faulty_pipeline", message)
            }
            pipelines::Error::Argument { .. } => Self::invalid(message),
            pipelines::Error::Read(_) => Self::internal(message),
        }
        .hint(hint)
    }
}

impl From<registry::Error> for Fault {
    fn from(error: registry::Error) -> Self {
        let message = chain(&error);
        match error {
            registry::Error::Name(_) | registry::Error::Tag(_) | registry::Error::Exists(_) => {
                Self::invalid(message)
            }
            registry::Error::Removed { .. }
            | registry::Error::NoEarlier { .. }
            | registry::Error::InUse(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            registry::Error::Unknown { .. } => Self::unknown("unknown_model", message),
            registry::Error::UnknownMetric { known, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_metric", message)
                    .hint(format!("the metrics are {}", known.join(", ")))
            }
            registry::Error::Store(error) => error.into(),
            registry::Error::File(_) | registry::Error::Damaged { .. } => Self::internal(message),
        }
    }
}

/// The answer where no route fits.
pub(super) async fn no_route(uri: Uri) -> Fault {
    Fault::unknown(
        "unknown_path",
        format!("there is nothing at `{}`", uri.path()),
    )
    .hint("`/api/v1/openapi.json` says what there is".to_owned())
}

/// The answer where a route does not know the method.
pub(super) async fn no_method(method: Method, uri: Uri) -> Fault {
    let message = format!("`{}` does not take {method}", uri.path());
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
    .hint("the header `allow` names what it takes".to_owned())
}
