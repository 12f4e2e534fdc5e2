//! A thin client of Reddit's API: a token, listings, and patience.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use url::Url;

use super::endpoint::{Credentials, Endpoint};
use crate::{clock::Timestamp, sources::Error};

/// The header by which a simulated Reddit is told as of when to answer.
const TIME_HEADER: &str = "x-sandbox-time";

/// How often one request is tried, and the first pause between two tries; each pause is twice
/// the one before.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before a request, which is a window of the server. Where it asks for more, the
/// task gives up its slot until then.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// No answer of a server makes us wait longer than this.
const LONGEST_WINDOW: Duration = Duration::from_hours(24);

/// One page of a listing.
#[derive(Debug)]
pub(super) struct ListingPage {
    /// The posts as they came; each is read by itself, so that an odd one spoils nothing.
    pub(super) children: Vec<Box<RawValue>>,
    /// The cursor of the next page.
    pub(super) after: Option<String>,
    /// How many bytes the page had.
    pub(super) bytes: u64,
}

/// A client of one endpoint. It is handed an HTTP client that follows no redirects, so that no
/// credentials go where they should not.
#[derive(Debug)]
pub(super) struct RedditClient {
    http: reqwest::Client,
    endpoint: Endpoint,
    credentials: Credentials,
    token: Mutex<Option<Token>>,
    /// No request leaves before this moment.
    not_before: Mutex<Instant>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    good_until: Instant,
}

/// What a failed try says about the next.
enum Failure {
    /// Trying again may help.
    Passing(String),
    /// Too much was asked; trying again may help after this long at least, where that is known.
    TooMuch(String, Option<Duration>),
    /// The token is not, or no longer, good.
    Token(String),
    /// Trying again is useless.
    Lasting(Error),
}

impl RedditClient {
    pub(super) fn new(http: reqwest::Client, endpoint: Endpoint, credentials: Credentials) -> Self {
        Self {
            http,
            endpoint,
            credentials,
            token: Mutex::new(None),
            not_before: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A page of `/r/COMMUNITY/new`, the newest first, below the cursor `after`; of a simulated
    /// server as it is at `as_of`.
    pub(super) async fn newest(
        &self,
        community: &str,
        after: Option<&str>,
        as_of: Timestamp,
    ) -> Result<ListingPage, Error> {
        let mut query = vec![("limit", "100"), ("raw_json", "1")];
        query.extend(after.map(|after| ("after", after)));
        self.listing(&format!("/r/{community}/new"), &query, as_of)
            .await
    }

    /// The posts of these fullnames, of which there are at most 100.
    pub(super) async fn info(&self, names: &str, as_of: Timestamp) -> Result<ListingPage, Error> {
        let query = [("id", names), ("raw_json", "1")];
        self.listing("/api/info", &query, as_of).await
    }

    async fn listing(
        &self,
        path: &str,
        query: &[(&str, &str)],
        as_of: Timestamp,
    ) -> Result<ListingPage, Error> {
        #[derive(Deserialize)]
        struct Envelope {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            #[serde(default)]
            after: Option<String>,
            #[serde(default)]
            children: Vec<Box<RawValue>>,
        }
        let body = self.get(path, query, as_of).await?;
        let envelope: Envelope =
            serde_json::from_slice(&body).map_err(|error| Error::Unavailable {
                message: format!("`{path}` did not answer with a listing"),
                source: Some(error.into()),
            })?;
        Ok(ListingPage {
            children: envelope.data.children,
            after: envelope.data.after.filter(|after| !after.is_empty()),
            bytes: body.len() as u64,
        })
    }

    async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        as_of: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let url = format!("{}{path}", self.endpoint.api_url);
        let url = Url::parse_with_params(&url, query)
            .map_err(|error| Error::Wrong(format!("`{url}` is not a URL: {error}")))?;
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let failure = match self.try_get(&url, as_of).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let (why, pause) = match failure {
                Failure::Lasting(error) => return Err(error),
                Failure::Token(_) if !renewed => {
                    renewed = true;
                    *self.token.lock().await = None;
                    continue;
                }
                Failure::Token(why) => {
                    return Err(Error::Unfit(format!(
                        "{why}; check `reddit.client_id` and `reddit.client_secret`"
                    )));
                }
                Failure::Passing(why) => (why, None),
                Failure::TooMuch(why, reset) => {
                    let reset = reset.unwrap_or_default();
                    if tries == TRIES || reset > LONGEST_PAUSE {
                        return Err(Error::RateLimited {
                            message: format!("`{path}` is refused for now: {why}"),
                            reset: reset.min(LONGEST_WINDOW),
                        });
                    }
                    (why, Some(reset))
                }
            };
            if tries == TRIES {
                return Err(Error::Unavailable {
                    message: format!("`{path}` failed {TRIES} times, at last: {why}"),
                    source: None,
                });
            }
            let growing = FIRST_PAUSE * 2_u32.pow(tries - 1);
            let pause = pause.unwrap_or(growing).max(growing);
            tracing::debug!(path, why, ?pause, "request failed; trying again");
            sleep(pause).await;
        }
    }

    async fn try_get(&self, url: &Url, as_of: Timestamp) -> Result<Vec<u8>, Failure> {
        let token = self.token().await?;
        let mut request = self.http.get(url.clone()).bearer_auth(token);
        if self.endpoint.simulated_time {
            request = request.header(TIME_HEADER, as_of.to_string());
        }
        self.wait_for_budget().await?;
        let response = sent(request).await?;
        if let Some(pause) = pause_told(response.headers()) {
            let mut not_before = self.not_before.lock().await;
            *not_before = (*not_before).max(Instant::now() + pause.min(LONGEST_WINDOW));
        }
        let body = response.bytes().await.map_err(passing)?;
        Ok(body.into())
    }

    /// Waits until the server takes requests again, as far as that is worth a slot.
    async fn wait_for_budget(&self) -> Result<(), Failure> {
        loop {
            let not_before = *self.not_before.lock().await;
            let left = not_before.saturating_duration_since(Instant::now());
            if left > LONGEST_PAUSE {
                let why = "the budget of requests is spent".to_owned();
                return Err(Failure::TooMuch(why, Some(left)));
            }
            if left.is_zero() {
                return Ok(());
            }
            sleep(left).await;
        }
    }

    /// The token that is good now; one request at a time asks for a new one.
    async fn token(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            #[serde(default)]
            expires_in: u64,
        }
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref()
            && Instant::now() < token.good_until
        {
            return Ok(token.text.clone());
        }
        let Credentials {
            client_id,
            client_secret,
        } = &self.credentials;
        let request = self
            .http
            .post(&self.endpoint.token_url)
            .basic_auth(client_id, Some(client_secret))
            .form(&[("grant_type", "client_credentials")]);
        let body = sent(request).await?.bytes().await.map_err(passing)?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| Failure::Token("the server gave no token".to_owned()))?;
        let lasts = Duration::from_secs(answer.expires_in.saturating_sub(60).max(1));
        let new = Token {
            text: answer.access_token,
            good_until: Instant::now() + lasts.min(LONGEST_WINDOW),
        };
        Ok(token.insert(new).text.clone())
    }
}

fn passing(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let cause = std::error::Error::source(&error);
    let why = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    Failure::Passing(why)
}

/// Sends a request; an answer that is none is a failure of its kind.
async fn sent(request: RequestBuilder) -> Result<Response, Failure> {
    let response = request.send().await.map_err(passing)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let why = format!("the server answered {status}");
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let pause = seconds(response.headers(), "retry-after");
            Failure::TooMuch(why, pause.or_else(|| pause_told(response.headers())))
        }
        StatusCode::REQUEST_TIMEOUT => Failure::Passing(why),
        StatusCode::UNAUTHORIZED => Failure::Token(why),
        _ if status.is_server_error() => Failure::Passing(why),
        // A community that is private, banned or gone; a redirect leads to a search for it.
        _ => Failure::Lasting(Error::Wrong(format!(
            "{why} for `{}`; is the community there, and open to this application?",
            response.url().path()
        ))),
    })
}

/// How long to wait before the next request, where the budget of this window is nearly spent.
fn pause_told(headers: &HeaderMap) -> Option<Duration> {
    let remaining = number(headers, "x-ratelimit-remaining")?;
    let reset = seconds(headers, "x-ratelimit-reset")?;
    if remaining < 1.0 {
        Some(reset.max(Duration::from_secs(1)))
    } else if remaining < 50.0 {
        Some(reset.div_f64(remaining))
    } else {
        None
    }
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number(headers, name)?).ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn names_the_settings_that_are_missing() {
        let error = Credentials::from_settings(None, Some("x")).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Unfit(_)));
        assert!(
            message.contains("`reddit.client_id` is not set"),
            "{message}"
        );
        let message = Credentials::from_settings(Some(" "), None)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`reddit.client_secret` are not set"),
            "{message}"
        );
    }

    #[test]
    fn keeps_its_secret_to_itself() {
        let credentials = Credentials::from_settings(Some("name"), Some("word")).unwrap();
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("word") && !shown.contains("name"));
    }

    /// A server that gives every request the same answer; a client of it.
    #[expect(clippy::disallowed_methods, reason = "a test asks its own server")]
    fn answered(head: &'static str, body: &'static str) -> RedditClient {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        RedditClient::new(
            reqwest::Client::new(),
            Endpoint::sandbox(&format!("http://{address}")),
            Credentials::sandbox(),
        )
    }

    async fn refusal(client: &RedditClient) -> (String, Duration) {
        let at = Timestamp::from_millis(0);
        match client.newest("pics", None, at).await.unwrap_err() {
            Error::RateLimited { message, reset } => (message, reset),
            error => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_refusal_for_longer_than_a_window_is_told_with_its_end() {
        let client = answered("429 Too Many Requests\r\nretry-after: 3600", "");
        let (message, reset) = refusal(&client).await;
        assert_eq!(reset, Duration::from_hours(1));
        assert!(message.contains("429"), "{message}");
    }

    #[tokio::test]
    async fn a_spent_budget_is_told_with_its_end_however_far_that_is() {
        let client = answered(
            "200 OK\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset: 1e19",
            r#"{"access_token":"a","expires_in":18446744073709551615,"data":{}}"#,
        );
        let at = Timestamp::from_millis(0);
        assert_eq!(
            client
                .newest("pics", None, at)
                .await
                .unwrap()
                .children
                .len(),
            0
        );
        let (message, reset) = refusal(&client).await;
        assert!(
            LONGEST_PAUSE < reset && reset <= LONGEST_WINDOW,
            "{reset:?}"
        );
        assert!(
            message.contains("the budget of requests is spent"),
            "{message}"
        );
    }

    #[test]
    fn slows_down_as_the_budget_ends() {
        let told = |remaining: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-remaining", HeaderValue::from_static(remaining));
            headers.insert("x-ratelimit-reset", HeaderValue::from_static("100"));
            pause_told(&headers)
        };
        assert_eq!(told("996.0"), None);
        assert_eq!(told("20.0"), Some(Duration::from_secs(5)));
        assert_eq!(told("0.0"), Some(Duration::from_secs(100)));
    }
}
