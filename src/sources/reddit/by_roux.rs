//! Listings and accounts by `roux`: a second transport, off by default.
//!
//! `roux` has Reddit's addresses built in and takes a client of `reqwest`, which is handed to it
//! with a token of our own. It hides the status and the headers of an answer, lacks fields (those
//! of galleries, subscribers, the author's number), and gives up a page for one odd child: what it
//! cannot read is asked for again without it. As it hands on no author's number, authors are asked
//! for by their names, a call for each, where our own way reads a hundred.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use roux::{
    Subreddit, User,
    util::{FeedOption, RouxError},
};

use super::{
    budget::{Answer, CallClass, Came, Limiter, Outcome, Permit, Told},
    client::Fault,
    listing::ListingPage,
};
use crate::{clock::Timestamp, corpus::AuthorReading, net, sources::Error};

/// How many posts a page holds.
const PAGE: u32 = 100;

type Make = dyn Fn(&str) -> Result<reqwest::Client, net::Error> + Send + Sync;

/// Makes the clients with which `roux` asks: one for each token, which it sends with every request.
#[derive(Clone)]
pub struct RouxClients(Arc<Make>);

impl fmt::Debug for RouxClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RouxClients").finish_non_exhaustive()
    }
}

impl RouxClients {
    /// Clients as `make` makes them for a token.
    pub fn new(
        make: impl Fn(&str) -> Result<reqwest::Client, net::Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(make))
    }
}

/// The transport, with the client of the token in use.
#[derive(Debug)]
pub(super) struct ByRoux {
    clients: RouxClients,
    current: Mutex<Option<(String, reqwest::Client)>>,
}

impl ByRoux {
    pub(super) fn new(clients: RouxClients) -> Self {
        Self {
            clients,
            current: Mutex::default(),
        }
    }

    /// A page of `/r/COMMUNITY+…/new`; `None` where `roux` could not read it, for whatever reason.
    pub(super) async fn newest(
        &self,
        token: &str,
        limiter: &Limiter,
        host: &str,
        communities: &[&str],
        after: Option<&str>,
    ) -> Result<Option<ListingPage>, Fault> {
        let client = self.client(token)?;
        let permit = limiter.acquire(host, Some(CallClass::Discovery)).await?;
        let listing = Subreddit::new_oauth(&communities.join("+"), &client);
        let options = after.map(|after| FeedOption::new().after(after));
        let found = listing.latest(PAGE, options).await;
        let found = settled(limiter, permit, found, "a listing").await?;
        Ok(found
            .and_then(|listing| serde_json::to_vec(&listing).ok())
            .and_then(|body| ListingPage::read(&body).ok())
            // `roux` keeps to itself what was sent; this is what it understood.
            .map(|page| ListingPage {
                is_as_sent: false,
                ..page
            }))
    }

    /// What is known of an account by its name; `None` where `roux` could not read it, for whatever
    /// reason.
    pub(super) async fn account(
        &self,
        token: &str,
        limiter: &Limiter,
        host: &str,
        name: &str,
        read_at: Timestamp,
    ) -> Result<Option<AuthorReading>, Fault> {
        let client = self.client(token)?;
        let permit = limiter.acquire(host, Some(CallClass::Authors)).await?;
        let found = User::new_oauth(name, &client).about(None).await;
        let found = settled(limiter, permit, found, "an account").await?;
        Ok(found.map(|about| AuthorReading {
            id: name.to_owned(),
            read_at,
            name: about.data.name,
            created_at: about.data.created_utc.map(Timestamp::from_seconds),
            link_karma: about.data.link_karma.map(f64::from),
            comment_karma: about.data.comment_karma.map(f64::from),
        }))
    }

    fn client(&self, token: &str) -> Result<reqwest::Client, Fault> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*current
            && known == token
        {
            return Ok(client.clone());
        }
        let client = (self.clients.0)(token).map_err(|error| Error::Unfit(error.to_string()))?;
        *current = Some((token.to_owned(), client.clone()));
        Ok(client)
    }
}

/// Books what came of a call; the answer where it could be read.
async fn settled<T>(
    limiter: &Limiter,
    permit: Permit,
    found: Result<T, RouxError>,
    what: &str,
) -> Result<Option<T>, Fault> {
    let (answer, came) = came_of(found.as_ref().err());
    let outcome = Outcome {
        answer,
        came,
        heard_at: limiter.now(),
    };
    let why = match &found {
        Ok(_) => format!("{what} by roux"),
        Err(error) => {
            tracing::debug!(%error, what, "asking again without roux");
            format!("{what} by roux: {error}")
        }
    };
    limiter.settle(permit, outcome, &why).await?;
    Ok(found.ok())
}

/// What an answer was, as far as `roux` tells: not more than whether one came.
fn came_of(error: Option<&RouxError>) -> (Answer, Came) {
    match error {
        None => (Answer::Good, Came::Answer(Told::default())),
        Some(RouxError::Network(error)) if error.is_connect() => {
            (Answer::Unreachable, Came::Unsent)
        }
        Some(RouxError::Network(error)) if !error.is_decode() => (Answer::Silent, Came::Silence),
        // It may be a refusal as well, which says nothing of the host.
        Some(_) => (Answer::Wrong, Came::Answer(Told::default())),
    }
}

#[cfg(test)]
#[path = "by_roux_tests.rs"]
mod tests;
