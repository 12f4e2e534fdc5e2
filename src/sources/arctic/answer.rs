//! One question to the archive, and its answer.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::sources::{
    Error, ImageSize,
    reddit::post::{ParsedPost, parse_post},
};

/// A wait that nobody has told.
const WAIT: Duration = Duration::from_mins(1);
/// The longest wait inside a walk; a longer one ends it, to be tried again later.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// The posts of an answer.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) posts: Vec<ParsedPost>,
    /// What each of them was read from.
    pub(super) sent: Vec<Box<RawValue>>,
    /// What is no post, by reason.
    pub(super) dropped: BTreeMap<String, u64>,
    /// How long the answer was.
    pub(super) bytes: u64,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Vec<Box<RawValue>>>,
    error: Option<String>,
}

/// Asks, and waits where the server says that this was the last question for now.
pub(super) async fn ask(
    http: &reqwest::Client,
    url: Url,
    images: ImageSize,
) -> Result<Found, Error> {
    let shown = url.to_string();
    let unavailable = |error: reqwest::Error| Error::Unavailable {
        message: format!("`{shown}` does not answer"),
        source: Some(Box::new(error)),
    };
    let response = http.get(url).send().await.map_err(unavailable)?;
    let (status, reset) = (response.status(), reset(response.headers()));
    let spent = number(response.headers(), "x-ratelimit-remaining") == Some(0.0);
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::RateLimited {
            message: format!("`{shown}`: the archive was asked too often"),
            reset: reset.unwrap_or(WAIT),
        });
    }
    let body = response.bytes().await.map_err(unavailable)?;
    let found = read(status, &body, &shown, images)?;
    if let Some(wait) = reset.filter(|_| spent) {
        if wait > LONGEST_WAIT {
            return Err(Error::RateLimited {
                message: format!("`{shown}`: nothing more may be asked for now"),
                reset: wait,
            });
        }
        tokio::time::sleep(wait).await;
    }
    Ok(found)
}

pub(super) fn read(
    status: StatusCode,
    body: &[u8],
    shown: &str,
    images: ImageSize,
) -> Result<Found, Error> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let said = answer.as_ref().and_then(|answer| answer.error.clone());
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    // It answers 422 where a search takes it too long.
    let passes = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_EARLY
    );
    if status.is_client_error() && !passes {
        return Err(Error::Wrong(format!(
            "`{shown}` is refused with {status}{said}; is `arctic.url` the archive's address, and \
             does the community exist?"
        )));
    }
    let children = answer.and_then(|answer| answer.data);
    let Some(children) = children.filter(|_| status.is_success()) else {
        return Err(Error::Unavailable {
            message: format!("`{shown}` answers {status}, without posts{said}"),
            source: None,
        });
    };
    let mut found = Found {
        bytes: body.len() as u64,
        ..Found::default()
    };
    for child in children {
        match parse_post(child.get().as_bytes(), images) {
            Ok(post) => {
                found.posts.push(post);
                found.sent.push(child);
            }
            Err(reason) => *found.dropped.entry(reason.to_string()).or_default() += 1,
        }
    }
    Ok(found)
}

/// After how long questions are answered again. Servers write it as a length or as a moment, in
/// seconds; a moment is longer than any window.
fn reset(headers: &HeaderMap) -> Option<Duration> {
    let told = number(headers, "retry-after").or_else(|| number(headers, "x-ratelimit-reset"))?;
    Duration::try_from_secs_f64(told).ok().map(|told| {
        if told > Duration::from_hours(24) {
            WAIT
        } else {
            told
        }
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
