//! How these endpoints refuse: `{"error_code", "message"}`, as `MLflow`'s clients read it.

use axum::{
    Json,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::super::Fault;
use crate::{registry, store};

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// What is asked for is not there.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "RESOURCE_DOES_NOT_EXIST",
            message: message.into(),
        }
    }

    /// It was asked for wrongly.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "INVALID_PARAMETER_VALUE",
            message: message.into(),
        }
    }

    /// There is one of this name.
    pub(super) fn exists(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "RESOURCE_ALREADY_EXISTS",
            message: message.into(),
        }
    }

    /// The server failed.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "INTERNAL_ERROR",
            message: message.into(),
        }
    }

    /// It is not done here.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "PERMISSION_DENIED",
            message: message.into(),
        }
    }

    /// There is another way, which clients take when they read this.
    pub(super) fn not_implemented(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_IMPLEMENTED,
            code: "NOT_IMPLEMENTED",
            message: message.into(),
        }
    }

    /// It is what trendmill recorded itself.
    pub(super) fn recorded(what: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "PERMISSION_DENIED",
            message: format!(
                "{what} is what trendmill recorded itself and cannot be changed from here; tags, \
                 descriptions and aliases can"
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("the MLflow endpoints failed: {}", self.message);
        }
        let body = json!({ "error_code": self.code, "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let (status, message) = fault.in_words();
        let (status, code) = match status {
            StatusCode::NOT_FOUND => (status, "RESOURCE_DOES_NOT_EXIST"),
            StatusCode::UNAUTHORIZED => (status, "UNAUTHENTICATED"),
            StatusCode::FORBIDDEN => (status, "PERMISSION_DENIED"),
            StatusCode::CONFLICT => (status, "RESOURCE_CONFLICT"),
            StatusCode::SERVICE_UNAVAILABLE => (status, "TEMPORARILY_UNAVAILABLE"),
            StatusCode::INTERNAL_SERVER_ERROR => (status, "INTERNAL_ERROR"),
            _ => (StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE"),
        };
        Self {
            status,
            code,
            message,
        }
    }
}

impl From<registry::Error> for Refusal {
    fn from(error: registry::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Fault::from(error).into()
    }
}

impl From<store::LogError> for Refusal {
    fn from(error: store::LogError) -> Self {
        match error {
            store::LogError::Unknown(told) => Self::unknown(told),
            store::LogError::Exists(told) => Self::exists(told),
            store::LogError::Refused(told) => Self::invalid(told),
            store::LogError::Store(error) => error.into(),
        }
    }
}

/// The answer where no route fits.
pub(super) async fn no_route(uri: Uri) -> Refusal {
    Refusal {
        status: StatusCode::NOT_FOUND,
        code: "ENDPOINT_NOT_FOUND",
        message: format!("trendmill does not serve `{}`", uri.path()),
    }
}
