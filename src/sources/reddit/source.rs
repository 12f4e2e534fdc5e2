//! Reddit as a [`Source`]: listings of what is new, and readings of what is due.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{
    client::{ListingPage, RedditClient},
    endpoint::{Credentials, Endpoint},
    post::{ParsedPost, Reason, parse_post_read_at},
};
use crate::{
    clock::Timestamp,
    corpus::Observation,
    sources::{Due, Error, Page, ScrapeRequest, ScrapeSummary, Source, SourceTraits},
};

/// A walk goes so far below what is known: a post may come out of the filter for spam late.
const MARGIN: Duration = Duration::from_hours(1);

/// How many posts one request can ask for.
const BATCH: usize = 100;

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

/// Reddit, or a server that speaks as it does.
#[derive(Debug)]
pub struct RedditSource {
    client: RedditClient,
    dataset: String,
    communities: Vec<String>,
    step: ReadingStep,
}

impl RedditSource {
    /// The source at `endpoint`, whose records belong to `dataset`.
    ///
    /// `http` follows no redirects. `communities` are read where a request names none.
    pub fn new(
        http: reqwest::Client,
        endpoint: Endpoint,
        credentials: Credentials,
        dataset: String,
        communities: Vec<String>,
    ) -> Self {
        Self {
            client: RedditClient::new(http, endpoint, credentials),
            dataset,
            communities,
            step: ReadingStep::default(),
        }
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
        let mut summary = ScrapeSummary::default();
        for community in communities {
            let known = request.watermarks.get(community).copied();
            let newest = self.walk(community, known, request.as_of, &pages).await?;
            if let Some(newest) = newest.max(known) {
                summary.watermarks.insert(community.clone(), newest);
            }
        }
        Ok(summary)
    }

    /// Walks down a community's listing until what is known; returns when its newest post was
    /// made.
    async fn walk(
        &self,
        community: &str,
        known: Option<Timestamp>,
        as_of: Timestamp,
        pages: &mpsc::Sender<Page>,
    ) -> Result<Option<Timestamp>, Error> {
        let stop = known.map(|known| known - MARGIN);
        let is_old = |created: Option<Timestamp>| stop.is_some() && created < stop;
        let mut newest: Option<Timestamp> = None;
        let mut cursor: Option<String> = None;
        loop {
            let listing = self
                .client
                .newest(community, cursor.as_deref(), as_of)
                .await?;
            let mut page = Page {
                bytes: listing.bytes,
                ..Page::default()
            };
            let mut reached_known = false;
            for child in &listing.children {
                match read_child(child, as_of) {
                    Ok(post) => {
                        let created = post.record.created_at;
                        reached_known |= is_old(created);
                        if created <= Some(as_of) && !is_old(created) {
                            newest = newest.max(created);
                            page.records.push((post.record, Some(post.observation)));
                        }
                    }
                    Err(reason) => *page.dropped.entry(reason.to_string()).or_insert(0) += 1,
                }
            }
            // A cursor that comes again would be walked for ever.
            let next = listing.after.filter(|after| Some(after) != cursor.as_ref());
            pages.send(page).await.map_err(|_| Error::Cancelled)?;
            if reached_known || next.is_none() {
                return Ok(newest);
            }
            cursor = next;
        }
    }

    async fn observe_all(&self, due: &[Due], as_of: Timestamp) -> Result<Vec<Observation>, Error> {
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
        let requests: Vec<(Timestamp, String)> = by_moment
            .iter()
            .flat_map(|(moment, ids)| ids.chunks(BATCH).map(|ids| (*moment, fullnames(ids))))
            .collect();
        let read: Vec<Vec<Observation>> = stream::iter(requests)
            .map(|(moment, names)| async move {
                let listing = self.client.info(&names, moment).await?;
                Ok::<_, Error>(observations(&listing, moment))
            })
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(read.into_iter().flatten().collect())
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
    ) -> BoxFuture<'a, Result<Vec<Observation>, Error>> {
        Box::pin(self.observe_all(due, as_of))
    }
}

fn fullnames(ids: &[&str]) -> String {
    let names: Vec<String> = ids.iter().map(|id| format!("t3_{id}")).collect();
    names.join(",")
}

fn observations(listing: &ListingPage, moment: Timestamp) -> Vec<Observation> {
    listing
        .children
        .iter()
        .filter_map(|child| match read_child(child, moment) {
            Ok(post) => Some(post.observation),
            Err(reason) => {
                tracing::warn!(%reason, "a reading could not be read");
                None
            }
        })
        .collect()
}

/// Reads one child of a listing: `{"kind": "t3", "data": {…}}`.
fn read_child(child: &RawValue, read_at: Timestamp) -> Result<ParsedPost, Reason> {
    #[derive(Deserialize)]
    struct Child<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let child: Child<'_> = serde_json::from_str(child.get()).map_err(|_| Reason::Malformed)?;
    parse_post_read_at(child.data.get().as_bytes(), read_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_a_due_time_up_to_its_step() {
        let step = ReadingStep(Duration::from_mins(10));
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let latest = time("2026-01-02T00:05:00Z");
        let end = |due: &str| step.end(time(due), latest).to_string();
        assert_eq!(end("2026-01-01T10:00:01Z"), "2026-01-01T10:10:00Z");
        assert_eq!(end("2026-01-01T10:10:00Z"), "2026-01-01T10:10:00Z");
        assert_eq!(end("2026-01-02T00:01:00Z"), "2026-01-02T00:05:00Z");
    }

    #[test]
    fn an_odd_child_is_counted_alone() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let at = Timestamp::from_millis(0);
        assert_eq!(read_child(&raw("7"), at), Err(Reason::Malformed));
        assert_eq!(
            read_child(&raw(r#"{"data": []}"#), at),
            Err(Reason::Malformed)
        );
        assert!(read_child(&raw(r#"{"data": {"id": "a", "title": "b"}}"#), at).is_ok());
    }
}
