//! A thin client of Reddit's API: a token, a budget, listings and batches, and patience.
//!
//! What follows each kind of answer stands in one table, in [`super::budget`].

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::RngExt as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use url::Url;

use super::{
    budget::{Answer, BudgetSheet, CallClass, Limiter, Rule},
    by_roux::{ByRoux, RouxClients},
    endpoint::{Credentials, Endpoint},
    exchange::exchange,
    listing::ListingPage,
    people,
    token::{Asker, Tokens, shut_out},
};
use crate::{
    clock::Timestamp,
    corpus::{AuthorReading, CommunityReading},
    sources::{BATCH, Error},
};

/// The header by which a simulated Reddit is told as of when to answer.
const TIME_HEADER: &str = "x-sandbox-time";

/// How often one request is tried.
pub(super) const TRIES: u32 = 6;

/// The first of the pauses between tries, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A client of one endpoint for one application. It is handed an HTTP client that follows no
/// redirects, so that no credentials go where they should not.
#[derive(Debug)]
pub(super) struct RedditClient {
    http: reqwest::Client,
    endpoint: Endpoint,
    host: String,
    credentials: Credentials,
    tokens: Tokens,
    limiter: Limiter,
    pauses: Pauses,
    /// How listings and accounts are asked for, where it is not in our own way.
    roux: Option<ByRoux>,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// What was asked for cannot be had; all else can.
    Refused { answer: Answer, why: String },
    /// Anything else.
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Other(error) => error,
            Fault::Refused { answer, why } => Self::Wrong(format!("{why}: {}", answer.meaning())),
        }
    }
}

/// Pauses between tries, each with its share of chance, so that those who failed together do not
/// come back together.
#[derive(Debug)]
pub(super) struct Pauses(Mutex<ChaCha8Rng>);

impl Pauses {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    /// The pause after the `tries`th try: half to all of half a second, doubled with each.
    pub(super) fn after(&self, tries: u32) -> Duration {
        let doubled = FIRST_PAUSE * 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doubled
            .min(LONGEST_PAUSE)
            .mul_f64(dice.random_range(0.5..=1.0))
    }
}

impl RedditClient {
    /// A client; `seed` is that of the pauses.
    ///
    /// # Errors
    ///
    /// [`Error::Wrong`] where an address of the endpoint is none.
    pub(super) fn new(
        http: reqwest::Client,
        endpoint: Endpoint,
        credentials: Credentials,
        limiter: Limiter,
        seed: u64,
    ) -> Result<Self, Error> {
        host_of(&endpoint.token_url)?;
        Ok(Self {
            host: host_of(&endpoint.api_url)?,
            http,
            endpoint,
            credentials,
            tokens: Tokens::default(),
            limiter,
            pauses: Pauses::seeded(seed),
            roux: None,
        })
    }

    /// Asks for listings and accounts by `roux`.
    #[must_use]
    pub(super) fn with_roux(mut self, clients: RouxClients) -> Self {
        self.roux = Some(ByRoux::new(clients));
        self
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The budget as it stands.
    pub(super) fn sheet(&self) -> Result<BudgetSheet, Error> {
        self.limiter.sheet()
    }

    /// A page of `/r/COMMUNITY+…/new`, the newest first, below the cursor `after`; of a simulated
    /// server as it is at `as_of`.
    pub(super) async fn newest(
        &self,
        communities: &[&str],
        after: Option<&str>,
        as_of: Timestamp,
    ) -> Result<ListingPage, Fault> {
        if let Some(roux) = &self.roux {
            let token = self.tokens.current(&self.asker()).await?.text;
            let (limiter, host) = (&self.limiter, &self.host);
            let page = roux.newest(&token, limiter, host, communities, after);
            if let Some(page) = page.await? {
                return Ok(page);
            }
        }
        let mut query = vec![("limit", "100")];
        query.extend(after.map(|after| ("after", after)));
        let path = format!("/r/{}/new", communities.join("+"));
        self.get(
            &path,
            &query,
            CallClass::Discovery,
            as_of,
            ListingPage::read,
        )
        .await
    }

    /// The things of these fullnames, of which there are at most 100. What is gone is left out.
    pub(super) async fn info(
        &self,
        names: &str,
        class: CallClass,
        as_of: Timestamp,
    ) -> Result<ListingPage, Fault> {
        self.get(
            "/api/info",
            &[("id", names)],
            class,
            as_of,
            ListingPage::read,
        )
        .await
    }

    /// What is known of these accounts: by their numbers (`t2_…`), which are asked for by the
    /// hundred, or by their names, each of which is a call. Those that are gone are left out.
    pub(super) async fn authors(
        &self,
        ids: &[String],
        as_of: Timestamp,
    ) -> Result<Vec<AuthorReading>, Fault> {
        let mut found = Vec::new();
        let is_number = |id: &String| id.starts_with("t2_");
        let (ids, names): (Vec<String>, Vec<String>) = ids.iter().cloned().partition(is_number);
        for name in &names {
            found.extend(self.account(name, as_of).await?);
        }
        for ids in ids.chunks(BATCH) {
            let read_at = self.read_at(as_of);
            let path = "/api/user_data_by_account_ids";
            let read = |body: &[u8]| people::authors(body, read_at);
            let query = [("ids", ids.join(","))];
            let query: Vec<_> = query.iter().map(|(k, v)| (*k, v.as_str())).collect();
            match self
                .get(path, &query, CallClass::Authors, as_of, read)
                .await
            {
                Ok(authors) => found.extend(authors),
                // That is how it says that it knows none of them.
                Err(Fault::Refused {
                    answer: Answer::Gone,
                    ..
                }) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(found)
    }

    /// What is known of an account by its name; `None` where nothing can be had of it.
    async fn account(&self, name: &str, as_of: Timestamp) -> Result<Option<AuthorReading>, Fault> {
        if !people::is_name(name) {
            return Ok(None);
        }
        let read_at = self.read_at(as_of);
        if let Some(roux) = &self.roux {
            let token = self.tokens.current(&self.asker()).await?.text;
            let (limiter, host) = (&self.limiter, &self.host);
            let account = roux.account(&token, limiter, host, name, read_at).await?;
            if account.is_some() {
                return Ok(account);
            }
        }
        let path = format!("/user/{name}/about");
        let read = |body: &[u8]| people::account(body, name, read_at);
        match self.get(&path, &[], CallClass::Authors, as_of, read).await {
            Ok(account) => Ok(Some(account)),
            Err(Fault::Refused { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// What is known of these communities, asked for by the hundred.
    pub(super) async fn communities(
        &self,
        names: &[String],
        as_of: Timestamp,
    ) -> Result<Vec<CommunityReading>, Fault> {
        let mut found = Vec::new();
        for names in names.chunks(BATCH) {
            let names = names.join(",");
            let query = [("sr_name", names.as_str())];
            let read_at = self.read_at(as_of);
            let page = self
                .get(
                    "/api/info",
                    &query,
                    CallClass::Authors,
                    as_of,
                    ListingPage::read,
                )
                .await?;
            found.extend(people::communities(&page, read_at));
        }
        Ok(found)
    }

    /// When an answer as of `as_of` is read: a live server answers as of its own now.
    pub(super) fn read_at(&self, as_of: Timestamp) -> Timestamp {
        if self.endpoint.simulated_time {
            as_of
        } else {
            self.limiter.server_now()
        }
    }

    async fn get<T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        class: CallClass,
        as_of: Timestamp,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, Fault> {
        let url = format!("{}{path}", self.endpoint.api_url);
        let mut url = Url::parse_with_params(&url, query)
            .map_err(|error| Error::Wrong(format!("`{url}` is not a URL: {error}")))?;
        url.query_pairs_mut().append_pair("raw_json", "1");
        let mut renewed = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let token = self.tokens.current(&self.asker()).await?;
            let mut request = self.http.get(url.clone()).bearer_auth(&token.text);
            if self.endpoint.simulated_time {
                request = request.header(TIME_HEADER, as_of.to_string());
            }
            let permit = self.limiter.acquire(&self.host, Some(class)).await?;
            let mut found = exchange(request, self.limiter.clock()).await;
            let mut value = None;
            if found.outcome.answer == Answer::Good {
                match read(&found.body) {
                    Ok(read) => value = Some(read),
                    Err(error) => {
                        found.outcome.answer = Answer::NotJson;
                        found.why =
                            format!("{}, and not with what was asked for: {error}", found.why);
                    }
                }
            }
            let answer = found.outcome.answer;
            let why = format!("`{path}`: {}", found.why);
            self.limiter.settle(permit, found.outcome, &why).await?;
            if let Some(value) = value {
                return Ok(value);
            }
            match answer.rule() {
                Rule::Again if tries < TRIES => {
                    let pause = self.pauses.after(tries);
                    tracing::debug!(why, ?pause, "a call failed; trying again");
                    self.limiter.pause(pause).await;
                }
                Rule::Later if tries < TRIES => {}
                Rule::NewToken if !renewed => {
                    renewed = true;
                    self.tokens.refused(&token).await;
                }
                rule => return Err(self.given_up(rule, answer, why)),
            }
        }
    }

    /// What is said where a call is not tried again.
    fn given_up(&self, rule: Rule, answer: Answer, why: String) -> Fault {
        Fault::Other(match rule {
            Rule::Later => Error::RateLimited {
                message: format!("{why}, {TRIES} times"),
                reset: LONGEST_PAUSE,
            },
            Rule::NewToken => Error::Unfit(format!(
                "{why}, and refused a new token too; check `reddit.client_id` and \
                 `reddit.client_secret`"
            )),
            Rule::ShutOut => return shut_out(&self.host, &why),
            Rule::Refused => return Fault::Refused { answer, why },
            Rule::Again | Rule::Done => Error::Unavailable {
                message: format!("{TRIES} times, at last {why}"),
                source: None,
            },
        })
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            http: &self.http,
            endpoint: &self.endpoint,
            credentials: &self.credentials,
            limiter: &self.limiter,
            pauses: &self.pauses,
        }
    }
}

/// The host of an address, with its port where it has one.
pub(super) fn host_of(url: &str) -> Result<String, Error> {
    let wrong = || Error::Wrong(format!("`{url}` is not the address of a server"));
    let url = Url::parse(url).map_err(|_| wrong())?;
    let host = url.host_str().ok_or_else(wrong)?;
    Ok(url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
