//! Reddit as a [`Source`]: listings of what is new, and readings of what is due.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use tokio::sync::mpsc;

use super::{
    budget::{BudgetSheet, CallClass, Ledger, Limiter, Manners, SystemTimer},
    by_roux::RouxClients,
    client::{Fault, RedditClient},
    endpoint::{Credentials, Endpoint},
    listing::{ListingPage, read_child},
    pack::packs,
    standing,
    walk::Walk,
};
use crate::{
    clock::{Clock, Timestamp},
    corpus::{Observation, Refused},
    sources::{
        BATCH, Due, Error, ImageSize, Page, People, Readings, ScrapeRequest, ScrapeSummary, Source,
        SourceTraits, Standings,
    },
};

/// How many requests for readings are under way at a time.
const AT_A_TIME: usize = 8;

/// The steps of time in which a simulated server is asked for readings that are due.
///
/// All readings that are due within a step are asked for at its end: the fewer steps, the fewer
/// requests, and the later a reading may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadingStep(pub Duration);

impl Default for ReadingStep {
    fn default() -> Self {
        Self(Duration::from_mins(10))
    }
}

impl ReadingStep {
    /// The end of the step in which `due` lies, but not after `latest`.
    fn end(self, due: Timestamp, latest: Timestamp) -> Timestamp {
        let step = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX).max(1);
        let over = due.as_millis().rem_euclid(step);
        let wait = if over == 0 { 0 } else { step - over };
        Timestamp::from_millis(due.as_millis().saturating_add(wait)).min(latest)
    }
}

/// How Reddit is reached, as whom, and how often.
#[derive(Debug)]
pub struct Access {
    /// A client that follows no redirects.
    pub http: reqwest::Client,
    /// Where the API is.
    pub endpoint: Endpoint,
    /// Who asks.
    pub credentials: Credentials,
    /// Where the budget of the application lies.
    pub ledger: Ledger,
    /// How much of it is used.
    pub manners: Manners,
    /// This machine's time.
    pub clock: Arc<dyn Clock>,
}

/// Reddit, or a server that speaks as it does.
#[derive(Debug)]
pub struct RedditSource {
    pub(super) client: RedditClient,
    dataset: String,
    communities: Vec<String>,
    step: ReadingStep,
}

impl RedditSource {
    /// The source that is reached by `access`, whose records belong to `dataset`. `communities` are
    /// read where a request names none.
    ///
    /// # Errors
    ///
    /// [`Error::Wrong`] where an address is none.
    pub fn new(access: Access, dataset: String, communities: Vec<String>) -> Result<Self, Error> {
        let Access {
            http,
            endpoint,
            credentials,
            ledger,
            manners,
            clock,
        } = access;
        let now = u64::try_from(clock.now().as_millis()).unwrap_or(0);
        // Processes that start together do not pause alike.
        let seed = now ^ (u64::from(std::process::id()) << 32);
        let limiter = Limiter::new(ledger, clock, Arc::new(SystemTimer), manners);
        Ok(Self {
            client: RedditClient::new(http, endpoint, credentials, limiter, seed)?,
            dataset,
            communities,
            step: ReadingStep::default(),
        })
    }

    /// Asks for listings by `roux`, which speaks to Reddit itself only; for all else and for what it
    /// cannot read, in our own way.
    #[must_use]
    pub fn with_roux(mut self, clients: RouxClients) -> Self {
        self.client = self.client.with_roux(clients);
        self
    }

    /// The budget of the application as it stands.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where it cannot be read.
    pub fn budget(&self) -> Result<BudgetSheet, Error> {
        self.client.sheet()
    }

    /// Asks a simulated server for readings in other steps of time.
    #[must_use]
    pub fn with_reading_step(mut self, step: ReadingStep) -> Self {
        self.step = step;
        self
    }

    async fn scrape_all(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> Result<ScrapeSummary, Error> {
        let communities = request.communities.as_ref().unwrap_or(&self.communities);
        if communities.is_empty() {
            return Err(Error::Wrong(
                "no community is named; give `params.subreddits`, such as `[\"pics\"]`".to_owned(),
            ));
        }
        // What was never read may be more than one listing shows: it is read alone. What was is
        // mostly little.
        let (known, new): (Vec<&str>, Vec<&str>) = communities
            .iter()
            .map(String::as_str)
            .partition(|name| request.watermarks.contains_key(*name));
        let mut walks = packs(&known);
        walks.extend(new.into_iter().map(|name| vec![name]));
        walks.reverse();
        let mut summary = ScrapeSummary::default();
        while let Some(pack) = walks.pop() {
            match self.walk(&pack, &request, &pages).await {
                Ok(Walk::Whole { newest, gap }) => {
                    for name in pack {
                        let known = request.watermarks.get(name).copied();
                        if let Some(newest) = newest.max(known) {
                            summary.watermarks.insert(name.to_owned(), newest);
                        }
                        summary.walked.push(name.to_owned());
                    }
                    summary.gaps.extend(gap);
                }
                Ok(Walk::CutShort) => walks.extend(pack.iter().rev().map(|name| vec![*name])),
                Err(Fault::Refused { .. }) if pack.len() > 1 => {
                    walks.extend(pack.iter().rev().map(|name| vec![*name]));
                }
                // One that is private or gone is no reason to lose the others.
                Err(fault @ Fault::Refused { .. }) => summary.refused.push(Refused {
                    community: pack[0].to_owned(),
                    why: Error::from(fault).to_string(),
                }),
                Err(Fault::Other(error)) => return Err(error),
            }
        }
        Ok(summary)
    }

    async fn observe_all(&self, due: &[Due], as_of: Timestamp) -> Result<Readings, Error> {
        // By the moment of the reading: a live server can only be asked now.
        let mut by_moment: BTreeMap<Timestamp, Vec<&str>> = BTreeMap::new();
        for due in due.iter().filter(|due| due.at <= as_of) {
            let moment = if self.client.endpoint().simulated_time {
                self.step.end(due.at, as_of)
            } else {
                as_of
            };
            by_moment.entry(moment).or_default().push(&due.id);
        }
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let requests: Vec<(Timestamp, Vec<String>)> = by_moment
            .iter()
            .flat_map(|(moment, ids)| ids.chunks(BATCH).map(|ids| (*moment, owned(ids))))
            .collect();
        let answers: Vec<Readings> = stream::iter(requests)
            .map(|(moment, ids)| async move {
                let names = fullnames(&ids);
                let listing = self.client.info(&names, CallClass::ReRead, moment).await?;
                Ok::<_, Error>(readings(&ids, &listing, self.client.read_at(moment)))
            })
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        let mut all = Readings::default();
        for answer in answers {
            all.observations.extend(answer.observations);
            all.standings.extend(answer.standings);
            all.absent.extend(answer.absent);
        }
        Ok(all)
    }
}

impl Source for RedditSource {
    fn dataset(&self) -> &str {
        &self.dataset
    }

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            observes: true,
            by_community: true,
            live: true,
            replays: self.client.endpoint().simulated_time,
            by_permission: !self.client.endpoint().is_here(),
        }
    }

    fn scrape(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'_, Result<ScrapeSummary, Error>> {
        Box::pin(self.scrape_all(request, pages))
    }

    fn observe<'a>(
        &'a self,
        due: &'a [Due],
        as_of: Timestamp,
    ) -> BoxFuture<'a, Result<Readings, Error>> {
        Box::pin(self.observe_all(due, as_of))
    }

    /// Accounts are named as `t2_…`; a hundred accounts or communities are one call.
    fn people<'a>(
        &'a self,
        authors: &'a [String],
        communities: &'a [String],
        as_of: Timestamp,
    ) -> BoxFuture<'a, Result<People, Error>> {
        Box::pin(async move {
            Ok(People {
                authors: self.client.authors(authors, as_of).await?,
                communities: self.client.communities(communities, as_of).await?,
            })
        })
    }

    fn standings<'a>(
        &'a self,
        ids: &'a [String],
        as_of: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Standings>, Error>> {
        Box::pin(async move {
            let mut found = Vec::with_capacity(ids.len());
            for ids in ids.chunks(BATCH) {
                let names = fullnames(ids);
                let listing = self
                    .client
                    .info(&names, CallClass::DeletionSync, as_of)
                    .await?;
                found.extend(standing::standings(&listing));
            }
            Ok(Some(found))
        })
    }
}

fn fullnames(ids: &[String]) -> String {
    let names: Vec<String> = ids.iter().map(|id| format!("t3_{id}")).collect();
    names.join(",")
}

/// What an answer tells of the posts that were asked about.
fn readings(asked: &[String], listing: &ListingPage, moment: Timestamp) -> Readings {
    let standings = standing::standings(listing);
    let found: HashSet<&str> = standings.iter().map(|(id, _)| id.as_str()).collect();
    // An answer that holds nothing tells nothing.
    let absent = asked
        .iter()
        .filter(|id| !found.is_empty() && !found.contains(id.as_str()))
        .cloned()
        .collect();
    Readings {
        observations: observations(listing, moment),
        absent,
        standings,
    }
}

fn observations(listing: &ListingPage, moment: Timestamp) -> Vec<Observation> {
    listing
        .children
        .iter()
        .filter_map(
            |child| match read_child(child, moment, ImageSize::Original) {
                Ok(post) => Some(post.observation),
                Err(reason) => {
                    tracing::warn!(%reason, "a reading could not be read");
                    None
                }
            },
        )
        .collect()
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "troubled_tests.rs"]
mod troubled_tests;
