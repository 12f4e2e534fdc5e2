//! Who may ask: tokens that end, and windows of ten minutes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Troubles, dice::mixed};
use crate::clock::Timestamp;

/// How long a token is good where nobody looks at it; what Reddit says.
const TOKEN_LIFE: Duration = Duration::from_hours(24);

/// Calls of a window where no budget is set; so many that nobody waits.
const BUDGET: u64 = 1_000_000;

/// The length of a window in milliseconds.
const WINDOW: i64 = 600_000;

/// The account to which a lasting token belongs.
const ACCOUNT: &str = "sandbox_account";

/// The tokens that were given, and how much each application has asked.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    /// How many tokens there were.
    given: u64,
    tokens: BTreeMap<String, (Caller, Timestamp)>,
    /// By application and window: how often it has asked, and how often in vain.
    windows: BTreeMap<String, BTreeMap<i64, (u64, u64)>>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caller {
    /// The application; empty for one that has no token.
    pub(super) client: String,
    /// The account, where the application does not ask for itself.
    pub(super) account: Option<String>,
}

/// How often an application has asked in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowCount {
    /// The application's id; empty for who had no token.
    pub client: String,
    /// When the window began.
    pub start: Timestamp,
    /// How many calls were counted.
    pub calls: u64,
    /// How many more were refused, as the window was spent.
    pub refused: u64,
}

/// The count of a window, as the headers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) used: u64,
    pub(super) remaining: u64,
    /// Seconds to the end of the window.
    pub(super) reset: i64,
}

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoToken {
    /// 401: it is not known which application asks.
    Unauthorized,
    /// 429: its window is spent.
    TooMuch,
    /// 400: the form is not what it should be.
    BadRequest,
    /// 200 with this error.
    Error(&'static str),
}

impl Gate {
    /// Gives a token for what stands in a form.
    pub(super) fn token(
        &self,
        troubles: &Troubles,
        seed: u64,
        now: Timestamp,
        headers: &HeaderMap,
        form: &str,
    ) -> Result<Value, NoToken> {
        let client = match client_of(headers) {
            Some(client) => client,
            None if troubles.token_life.is_none() => String::new(),
            None => return Err(NoToken::Unauthorized),
        };
        let form: BTreeMap<_, _> = form_urlencoded::parse(form.as_bytes()).collect();
        let field = |name: &str| form.get(name).map(|value| &**value).unwrap_or_default();
        let account = match field("grant_type") {
            "client_credentials" | "https://oauth.reddit.com/grants/installed_client" => None,
            "password" if field("username").is_empty() || field("password").is_empty() => {
                return Err(NoToken::Error("invalid_grant"));
            }
            "password" => Some(field("username").to_owned()),
            "refresh_token" if field("refresh_token").is_empty() => {
                return Err(NoToken::BadRequest);
            }
            "refresh_token" => Some(ACCOUNT.to_owned()),
            _ => return Err(NoToken::Error("unsupported_grant_type")),
        };
        let life = troubles.token_life.unwrap_or(TOKEN_LIFE);
        let mut books = self.books();
        if books.used(&client, now) >= troubles.budget.unwrap_or(BUDGET) {
            return Err(NoToken::TooMuch);
        }
        books.tokens.retain(|_, (_, until)| *until > now);
        books.given += 1;
        let token = format!("{:016x}-{}", mixed(seed ^ mixed(books.given)), books.given);
        let caller = Caller { client, account };
        books.tokens.insert(token.clone(), (caller, now + life));
        Ok(json!({
            "access_token": token,
            "token_type": "bearer",
            "expires_in": life.as_secs(),
            "scope": "*",
        }))
    }

    /// Who asks with these headers; `None` for nobody who may.
    pub(super) fn caller(
        &self,
        troubles: &Troubles,
        now: Timestamp,
        headers: &HeaderMap,
    ) -> Option<Caller> {
        let known = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| after_word(value, "bearer"))
            .and_then(|token| self.books().tokens.get(token).cloned())
            .filter(|(_, until)| now < *until)
            .map(|(caller, _)| caller);
        match troubles.token_life {
            Some(_) => known,
            None => Some(known.unwrap_or_default()),
        }
    }

    /// Counts a call of an application; `None` where its window is spent.
    pub(super) fn count(&self, troubles: &Troubles, client: &str, now: Timestamp) -> Option<Count> {
        let budget = troubles.budget.unwrap_or(BUDGET);
        let mut books = self.books();
        let windows = books.windows.entry(client.to_owned()).or_default();
        let window = now.as_millis().div_euclid(WINDOW);
        let (used, refused) = windows.entry(window).or_default();
        let Some(remaining) = budget.checked_sub(*used + 1) else {
            *refused += 1;
            return None;
        };
        *used += 1;
        Some(Count {
            used: *used,
            remaining,
            reset: (WINDOW - now.as_millis().rem_euclid(WINDOW) + 999) / 1000,
        })
    }

    /// All that was counted.
    pub(super) fn calls(&self) -> Vec<WindowCount> {
        let books = self.books();
        let of = |client: &String, window: i64, (calls, refused): (u64, u64)| WindowCount {
            client: client.clone(),
            start: Timestamp::from_millis(window * WINDOW),
            calls,
            refused,
        };
        let windows = books.windows.iter();
        windows
            .flat_map(|(client, windows)| windows.iter().map(move |(at, n)| of(client, *at, *n)))
            .collect()
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// How many calls an application has made in the window of `now`.
    fn used(&self, client: &str, now: Timestamp) -> u64 {
        let window = now.as_millis().div_euclid(WINDOW);
        let counted = self.windows.get(client).and_then(|all| all.get(&window));
        counted.map_or(0, |(used, _)| *used)
    }
}

/// The application whose id and secret stand in the headers.
fn client_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(after_word(value, "basic")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (client, _) = decoded.split_once(':')?;
    (!client.is_empty()).then(|| client.to_owned())
}

/// What follows a word, which may be written in any case.
fn after_word<'a>(value: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = value.split_once(' ')?;
    first.eq_ignore_ascii_case(word).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPENT: &str = "budget=2,tokens=60";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + second * 1000)
    }

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    fn basic(text: &str) -> HeaderMap {
        with(&format!("Basic {}", STANDARD.encode(text)))
    }

    #[test]
    fn a_token_is_good_until_its_end_and_tells_who_asks() {
        let (gate, troubles) = (Gate::default(), SPENT.parse().unwrap());
        let ask = |form: &str| gate.token(&troubles, 7, at(0), &basic("app:secret"), form);
        let given = ask("grant_type=password&username=ann&password=x").unwrap();
        assert_eq!(given["expires_in"], json!(60));
        let bearer = with(&format!(
            "bearer {}",
            given["access_token"].as_str().unwrap()
        ));
        let caller = gate.caller(&troubles, at(59), &bearer).unwrap();
        assert_eq!(caller.client, "app");
        assert_eq!(caller.account.as_deref(), Some("ann"));
        assert_eq!(gate.caller(&troubles, at(60), &bearer), None);
        assert_eq!(gate.caller(&troubles, at(0), &HeaderMap::new()), None);
        let lax = Troubles::default();
        assert_eq!(gate.caller(&lax, at(60), &bearer), Some(Caller::default()));
        assert!(ask("grant_type=client_credentials").is_ok());
        assert!(ask("grant_type=refresh_token&refresh_token=lasting").is_ok());
        assert_eq!(ask("grant_type=refresh_token"), Err(NoToken::BadRequest));
        let refused = NoToken::Error("invalid_grant");
        assert_eq!(ask("grant_type=password&username=ann"), Err(refused));
        assert_eq!(ask("x=y"), Err(NoToken::Error("unsupported_grant_type")));
        for nobody in [HeaderMap::new(), basic(":secret"), with("Basic ?")] {
            let answer = gate.token(&troubles, 7, at(0), &nobody, "");
            assert_eq!(answer, Err(NoToken::Unauthorized));
        }
    }

    #[test]
    fn a_window_begins_every_ten_minutes_for_each_application() {
        let (gate, troubles) = (Gate::default(), SPENT.parse().unwrap());
        let count = |client: &str, second| gate.count(&troubles, client, at(second));
        let first = Count {
            used: 1,
            remaining: 1,
            reset: 1,
        };
        assert_eq!(count("app", 599), Some(first));
        assert_eq!(count("app", 599).map(|count| count.remaining), Some(0));
        assert_eq!(count("app", 599), None);
        assert_eq!(count("other", 599), Some(first));
        let counted = gate.calls();
        let of = |n: usize| {
            (
                counted[n].client.as_str(),
                counted[n].calls,
                counted[n].refused,
            )
        };
        assert_eq!((of(0), of(1)), (("app", 2, 1), ("other", 1, 0)));
        assert_eq!(counted[0].start, at(0));
        let form = "grant_type=client_credentials";
        let ask = |second| gate.token(&troubles, 7, at(second), &basic("app:"), form);
        assert_eq!(ask(599), Err(NoToken::TooMuch));
        assert!(ask(600).is_ok());
        assert_eq!(
            count("app", 600),
            Some(Count {
                reset: 600,
                ..first
            })
        );
    }
}
