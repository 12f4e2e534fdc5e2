//! One request and what comes of it.

use std::{borrow::Cow, error::Error as _, time::Duration};

use chrono::DateTime;
use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use url::Url;

use super::{
    Server,
    answer::{self, Answer},
};
use crate::{
    config::Secret,
    encoders::Error,
    net::{self, NetSettings},
};

/// The largest answer that is read.
const LARGEST_ANSWER: usize = 1 << 20;

/// How long `doctor` waits.
const LOOK: Duration = Duration::from_secs(5);

/// Why a request brought no caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    /// The reason code, should it be the image's last try.
    pub(super) reason: Cow<'static, str>,
    /// In words, without the key.
    pub(super) message: String,
}

/// What trouble says about other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nobody answers at the address.
    Absent,
    /// It may pass; the server may have said how long that takes.
    Passing(Option<Duration>),
    /// There was no answer in time; another try would take as long.
    Late,
    /// Trying again with this image is useless.
    Lasting,
    /// Trying again is useless with any image.
    Refused,
}

/// A server as it is asked: a client that follows no redirects, and the key.
#[derive(Debug)]
pub(super) struct Line {
    http: reqwest::Client,
    base_url: String,
    key: Option<Key>,
}

#[derive(Debug)]
struct Key {
    secret: Secret,
    header: HeaderValue,
}

impl Line {
    /// A line to a server each of whose answers may take `request_timeout`.
    pub(super) fn new(server: &Server, request_timeout: Duration) -> Result<Self, Error> {
        let unusable = |error: String| Error::Server(format!("captioner.openai: {error}"));
        let url = Url::parse(&server.base_url).map_err(|error| unusable(error.to_string()))?;
        let settings = NetSettings {
            // A model is silent until it has written its last word.
            idle_timeout: request_timeout,
            total_timeout: request_timeout,
            ..server.net.clone()
        };
        let http = net::client_of(&url, &settings).map_err(|error| unusable(error.to_string()))?;
        let key = server.key.as_ref().map(|key| {
            let secret = Secret::new(key.trim());
            let header = HeaderValue::try_from(format!("Bearer {}", secret.expose()));
            let mut header =
                header.map_err(|_| unusable("`api_key` cannot be sent in a header".to_owned()))?;
            header.set_sensitive(true);
            Ok::<_, Error>(Key { secret, header })
        });
        Ok(Self {
            http,
            base_url: server.base_url.clone(),
            key: key.transpose()?,
        })
    }

    /// Asks about one image.
    pub(super) async fn ask(&self, body: &[u8]) -> Result<Answer, Trouble> {
        let request = self
            .http
            .post(format!("{}/v1/chat/completions", self.base_url))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_vec());
        let (status, headers, body) = self.send(request).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &headers, &body));
        }
        match answer::read(&body) {
            Ok(answer) => Ok(Answer {
                text: self.redact(&answer.text),
                ..answer
            }),
            Err((reason, message)) => Err(Trouble {
                // A page comes from something before the server, which may go away.
                kind: if reason == "html" {
                    Kind::Late
                } else {
                    Kind::Lasting
                },
                reason: reason.into(),
                message,
            }),
        }
    }

    async fn send(
        &self,
        request: RequestBuilder,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Trouble> {
        let mut request = request.header(ACCEPT, "application/json");
        if let Some(key) = &self.key {
            request = request.header(reqwest::header::AUTHORIZATION, key.header.clone());
        }
        let mut response = request.send().await.map_err(|error| self.broken(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(&mut response).await?;
        Ok((status, headers, body))
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + piece.len() > LARGEST_ANSWER {
                return Err(Trouble {
                    kind: Kind::Lasting,
                    reason: "too_big".into(),
                    message: format!("the server's answer is larger than {LARGEST_ANSWER} bytes"),
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// A connection that gave no answer.
    fn broken(&self, error: reqwest::Error) -> Trouble {
        let error = error.without_url();
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            words = format!("{words}: {error}");
            cause = error.source();
        }
        let (kind, reason, message) = if error.is_connect() {
            let message = format!("nobody answers at {}: {words}", self.base_url);
            (Kind::Absent, "unreachable", message)
        } else if error.is_timeout() {
            let message = "the server did not answer in time".to_owned();
            (Kind::Late, "timeout", message)
        } else {
            let message = format!("the connection to the server broke: {words}");
            (Kind::Passing(None), "disconnected", message)
        };
        Trouble {
            kind,
            reason: reason.into(),
            message: self.redact(&message),
        }
    }

    /// An answer that says no.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Trouble {
        let code = status.as_u16();
        let said = match status {
            // Servers like to repeat the key that they refuse.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => None,
            _ => answer::complaint(body),
        };
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let mut message = format!("the server answered {status}{said}");
        let told = told(headers);
        let (kind, reason) = match status {
            StatusCode::TOO_MANY_REQUESTS if answer::is_out_of_credit(body) => {
                (Kind::Refused, Cow::from("http_429"))
            }
            StatusCode::TOO_MANY_REQUESTS => (Kind::Passing(told), "rate_limited".into()),
            StatusCode::UNAUTHORIZED => {
                message.push_str("; `captioner.openai.api_key` is missing or wrong");
                (Kind::Refused, "http_401".into())
            }
            StatusCode::PAYMENT_REQUIRED => (Kind::Refused, "http_402".into()),
            StatusCode::NOT_FOUND => {
                message.push_str("; is `captioner.openai.base_url` right, and the model there?");
                (Kind::Refused, "http_404".into())
            }
            _ if status.is_redirection() => {
                message.push_str(
                    "; redirects are not followed: `captioner.openai.base_url` must be the \
                     server's own address",
                );
                (Kind::Refused, format!("http_{code}").into())
            }
            StatusCode::REQUEST_TIMEOUT => (Kind::Passing(told), "http_408".into()),
            _ if status.is_server_error() => (Kind::Passing(told), format!("http_{code}").into()),
            _ => (Kind::Lasting, format!("http_{code}").into()),
        };
        Trouble {
            kind,
            reason,
            message: self.redact(&message),
        }
    }

    /// A text in which the key does not stand, whatever a server repeats.
    fn redact(&self, text: &str) -> String {
        let secret = self.key.as_ref().map(|key| key.secret.expose());
        match secret.filter(|secret| !secret.is_empty()) {
            Some(secret) => text.replace(secret, "********"),
            None => text.to_owned(),
        }
    }
}

/// Asks a server for its models, as `doctor` does; the error says in words what is wrong.
///
/// # Errors
///
/// Where it does not answer soon, or refuses.
pub async fn look(server: &Server) -> Result<(), String> {
    let line = Line::new(server, LOOK).map_err(|error| error.to_string())?;
    let request = line.http.get(format!("{}/v1/models", line.base_url));
    let (status, headers, body) = line.send(request).await.map_err(|told| told.message)?;
    // Not every server has a list of models; that it answers is enough.
    if status.is_success() || status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    Err(line.refusal(status, &headers, &body).message)
}

/// How long a server asks us to wait, in seconds or as a moment on its own clock.
fn told(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let after = text(RETRY_AFTER)?;
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.min(1e6)).ok();
    }
    let moment = DateTime::parse_from_rfc2822(after).ok()?;
    let now = DateTime::parse_from_rfc2822(text(DATE)?).ok()?;
    Some((moment - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_told_in_seconds_or_by_the_servers_clock() {
        let headers = |pairs: &[(reqwest::header::HeaderName, &'static str)]| -> HeaderMap {
            let pairs = pairs.iter().cloned();
            pairs
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect()
        };
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let later = "Wed, 21 Oct 2015 07:28:30 GMT";
        for (pairs, seconds) in [
            (vec![(RETRY_AFTER, "7")], Some(7.0)),
            (vec![(RETRY_AFTER, "0.25")], Some(0.25)),
            (vec![(RETRY_AFTER, later), (DATE, date)], Some(30.0)),
            (vec![(RETRY_AFTER, date), (DATE, later)], Some(0.0)),
            (vec![(RETRY_AFTER, later)], None),
            (vec![(RETRY_AFTER, "soon")], None),
            (vec![(RETRY_AFTER, "-1")], None),
            (vec![], None),
        ] {
            let told = told(&headers(&pairs)).map(|pause| pause.as_secs_f64());
            assert_eq!(told, seconds, "{pairs:?}");
        }
    }
}
