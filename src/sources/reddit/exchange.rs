//! One request and what came of it, in the terms of the table of rules.

use reqwest::{RequestBuilder, Response, header::CONTENT_TYPE};

use super::budget::{Answer, Came, Outcome, Told};
use crate::clock::Clock;

/// The largest answer that is read; a full page of a listing has 0.5 to 1.5 MB.
const LARGEST: usize = 32 << 20;

/// What it mostly means when a page comes where JSON was asked for.
const A_PAGE: &str = "something between here and the API answered, such as a login page of this \
     network, a proxy, or the server's edge, which asks for a browser; or `reddit.oauth_url` is not \
     the address of an API";

/// What came of a request.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) outcome: Outcome,
    pub(super) body: Vec<u8>,
    /// What was answered, in words.
    pub(super) why: String,
}

/// Sends a request and reads its answer.
pub(super) async fn exchange(request: RequestBuilder, clock: &dyn Clock) -> Exchange {
    match request.send().await {
        Ok(response) => read(response, clock).await,
        Err(error) => {
            let (answer, came) = if error.is_connect() || error.is_builder() {
                (Answer::Unreachable, Came::Unsent)
            } else {
                (Answer::Silent, Came::Silence)
            };
            Exchange {
                outcome: Outcome {
                    answer,
                    came,
                    heard_at: clock.now(),
                },
                body: Vec::new(),
                why: in_words(error),
            }
        }
    }
}

async fn read(mut response: Response, clock: &dyn Clock) -> Exchange {
    let heard_at = clock.now();
    let told = Told::of(response.headers());
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let said_page = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let mut body = Vec::new();
    let mut why = format!("the server answered {status}");
    let mut is_whole = false;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST => {
                why = format!("{why} with more than {} MB", LARGEST >> 20);
                break;
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => {
                is_whole = true;
                break;
            }
            Err(error) => {
                why = format!("{why}, and then broke off: {}", in_words(error));
                break;
            }
        }
    }
    let is_page = said_page || body.trim_ascii_start().first() == Some(&b'<');
    let mut answer = Answer::of_status(status.as_u16(), is_page);
    if answer == Answer::Good && !is_whole {
        answer = Answer::NotJson;
    }
    if answer == Answer::NotJson && is_page {
        why = format!("{why} with a page of HTML in place of JSON: {A_PAGE}");
    }
    Exchange {
        outcome: Outcome {
            answer,
            came: Came::Answer(told),
            heard_at,
        },
        body,
        why,
    }
}

/// An error of the transport with its cause, without the address.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(found) = cause {
        words = format!("{words}: {found}");
        cause = found.source();
    }
    words
}
