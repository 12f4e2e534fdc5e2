//! The token with which the API is asked, and one at a time who asks for a new one.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    budget::{Answer, Limiter, Rule},
    client::{Fault, Pauses, TRIES, host_of},
    endpoint::{Credentials, Endpoint, Grant},
    exchange::exchange,
};
use crate::{clock::Timestamp, sources::Error};

/// A token is renewed so long before its end.
const EARLY: Duration = Duration::from_mins(1);

/// No token is trusted for longer.
const LONGEST: Duration = Duration::from_hours(24);

/// So long a token lasts of which the server does not tell, in a way that can be read.
const UNTOLD: Duration = Duration::from_hours(1);

/// The token in use.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    token: Option<(String, Timestamp)>,
    /// How many there were.
    generation: u64,
}

/// A token, and the how manieth it is.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    generation: u64,
}

impl Tokens {
    /// The token that is good now. Where there is none, the first who asks gets a new one, and all
    /// others wait for that.
    pub(super) async fn current(&self, asker: &Asker<'_>) -> Result<Token, Fault> {
        let mut slot = self.0.lock().await;
        let now = asker.limiter.now();
        if slot.token.as_ref().is_none_or(|(_, until)| now >= *until) {
            let new = asker.ask().await?;
            slot.token = Some(new);
            slot.generation += 1;
        }
        let text = slot.token.as_ref().map(|(text, _)| text.clone());
        Ok(Token {
            text: text.unwrap_or_default(),
            generation: slot.generation,
        })
    }

    /// `token` was refused. Where it is still the one in use, it is no more.
    pub(super) async fn refused(&self, token: &Token) {
        let mut slot = self.0.lock().await;
        if slot.generation == token.generation {
            slot.token = None;
        }
    }
}

/// Who asks for a token.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) endpoint: &'a Endpoint,
    pub(super) credentials: &'a Credentials,
    pub(super) limiter: &'a Limiter,
    pub(super) pauses: &'a Pauses,
}

impl Asker<'_> {
    /// Asks for a token; returns it and until when it is good.
    async fn ask(&self) -> Result<(String, Timestamp), Fault> {
        #[derive(Deserialize)]
        struct Given {
            access_token: String,
            #[serde(default)]
            expires_in: serde_json::Value,
        }
        let host = host_of(&self.endpoint.token_url)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let permit = self.limiter.acquire(&host, None).await?;
            let mut found = exchange(self.request(), self.limiter.clock()).await;
            let given: Option<Given> = serde_json::from_slice(&found.body).ok();
            if found.outcome.answer == Answer::Good && given.is_none() {
                // It says what is wrong with the credentials with a status of 200.
                found.outcome.answer = Answer::TokenRefused;
                "the server gave no token".clone_into(&mut found.why);
            }
            let (answer, heard_at) = (found.outcome.answer, found.outcome.heard_at);
            let what = format!("token: {}", found.why);
            self.limiter.settle(permit, found.outcome, &what).await?;
            match answer.rule() {
                Rule::Done => {
                    if let Some(given) = given {
                        let lasts = lifetime(&given.expires_in)
                            .saturating_sub(EARLY)
                            .max(Duration::from_secs(1));
                        return Ok((given.access_token, heard_at + lasts));
                    }
                }
                Rule::Again | Rule::Later if tries < TRIES => {
                    if answer.rule() == Rule::Again {
                        self.limiter.pause(self.pauses.after(tries)).await;
                    }
                    continue;
                }
                Rule::Again | Rule::Later => {
                    return Err(Fault::Other(Error::Unavailable {
                        message: format!("no token after {TRIES} tries, at last: {}", found.why),
                        source: None,
                    }));
                }
                Rule::ShutOut => return Err(shut_out(&host, &found.why)),
                Rule::NewToken | Rule::Refused => {}
            }
            return Err(Fault::Other(Error::Unfit(format!(
                "{}; check {}",
                found.why,
                self.settings()
            ))));
        }
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let form = match &self.credentials.grant {
            Grant::Application => vec![("grant_type", "client_credentials")],
            Grant::Password { username, password } => vec![
                ("grant_type", "password"),
                ("username", username),
                ("password", password),
            ],
            Grant::Refresh { token } => {
                vec![("grant_type", "refresh_token"), ("refresh_token", token)]
            }
        };
        let Credentials {
            client_id,
            client_secret,
            ..
        } = self.credentials;
        self.http
            .post(&self.endpoint.token_url)
            .basic_auth(client_id, Some(client_secret))
            .form(&form)
    }

    /// The settings of which one is wrong.
    fn settings(&self) -> &'static str {
        match self.credentials.grant {
            Grant::Application => "`reddit.client_id` and `reddit.client_secret`",
            Grant::Password { .. } => {
                "`reddit.client_id`, `reddit.client_secret`, `reddit.username` and \
                 `reddit.password` (an account with a second factor cannot log in by password)"
            }
            Grant::Refresh { .. } => {
                "`reddit.client_id`, `reddit.client_secret` and `reddit.refresh_token`"
            }
        }
    }
}

/// How long a token lasts: seconds, as a number or a text.
fn lifetime(told: &serde_json::Value) -> Duration {
    let seconds = match told {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    let Some(seconds) = seconds.filter(|seconds: &f64| *seconds >= 0.0) else {
        return UNTOLD;
    };
    Duration::try_from_secs_f64(seconds).map_or(LONGEST, |lasts| lasts.min(LONGEST))
}

/// This network is shut out, whatever is asked for.
pub(super) fn shut_out(host: &str, why: &str) -> Fault {
    tracing::error!(
        host,
        why,
        "this network is shut out; the host is left alone for 30 minutes"
    );
    Fault::Other(Error::RateLimited {
        message: format!(
            "`{host}` shuts this network out ({why}, with a page); addresses of data centres are \
             often refused"
        ),
        reset: Duration::from_mins(30),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_lasts_as_long_as_is_told_in_whatever_form() {
        for (told, minutes) in [
            (json!(3600), 60),
            (json!(86_400.0), 24 * 60),
            (json!("1800"), 30),
            (json!(0), 0),
            (json!(1e300), 24 * 60),
            (json!(null), 60),
            (json!(-5), 60),
            (json!("soon"), 60),
        ] {
            assert_eq!(lifetime(&told), Duration::from_mins(minutes), "{told}");
        }
    }
}
