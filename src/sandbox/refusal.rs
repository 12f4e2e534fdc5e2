//! What the simulated Reddit answers where it does not give what was asked for.

use std::fmt::Display;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::json;

use crate::clock::ParseTimestampError;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// `{"message": …, "error": STATUS}`, and why, where that is told.
    Told {
        status: StatusCode,
        message: String,
        reason: Option<&'static str>,
    },
    /// 302 to the search for this name.
    Search(String),
}

impl Refusal {
    /// An error with the words of its status.
    pub(super) fn of(status: StatusCode) -> Self {
        Self::Told {
            status,
            message: status.canonical_reason().unwrap_or("Error").to_owned(),
            reason: None,
        }
    }

    pub(super) fn not_found() -> Self {
        Self::of(StatusCode::NOT_FOUND)
    }

    /// A community that is not for everybody.
    pub(super) fn private() -> Self {
        Self::Told {
            status: StatusCode::FORBIDDEN,
            message: "Forbidden".to_owned(),
            reason: Some("private"),
        }
    }

    /// The sandbox itself has failed.
    pub(super) fn failed(error: impl Display) -> Self {
        Self::Told {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: error.to_string(),
            reason: None,
        }
    }
}

impl From<ParseTimestampError> for Refusal {
    fn from(error: ParseTimestampError) -> Self {
        Self::Told {
            status: StatusCode::BAD_REQUEST,
            message: error.to_string(),
            reason: None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Told {
                status,
                message,
                reason,
            } => {
                let mut body = json!({"message": message, "error": status.as_u16()});
                if let Some(reason) = reason {
                    body["reason"] = json!(reason);
                }
                (status, Json(body)).into_response()
            }
            Self::Search(name) => {
                let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
                let place = format!("https://www.reddit.com/subreddits/search?q={query}");
                (StatusCode::FOUND, [(header::LOCATION, place)]).into_response()
            }
        }
    }
}

/// What the edge shows to a network that it has shut out, whatever it asks.
pub(super) fn shut_out() -> Response {
    let text = "<!doctype html>\n<html><head><title>Blocked</title></head><body><p>You've been \
                blocked by network security.</p><p>To continue, log in to your Reddit account or \
                use your developer token</p></body></html>\n";
    (StatusCode::FORBIDDEN, Html(text)).into_response()
}

/// A page of about `size` bytes, as Reddit's edge shows one.
pub(super) fn page(status: StatusCode, size: usize) -> Response {
    let what = status.canonical_reason().unwrap_or("reddit");
    let head = format!("<!doctype html>\n<html><head><title>{what}</title></head>\n<body>");
    let filling = "<p>whoa there, pardner!</p>\n".repeat(size / 28);
    (status, Html(format!("{head}{filling}</body></html>\n"))).into_response()
}
