//! Arctic Shift: a volunteers' archive of posts that is searched without an account.
//!
//! It reads each post again 36 hours after it was made and then has that score, so that a day that
//! is two days old comes with mature labels. It is off unless `arctic.url` names a host.

mod answer;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use url::Url;

use self::answer::{Found, ask};
use super::{
    Due, Error, ImageSize, Page, Readings, ScrapeRequest, ScrapeSummary, Source, SourceTraits,
    deleted::{DELETED, is_deleted},
};
use crate::{
    clock::Timestamp,
    corpus::{Gap, Observation},
};

/// The name of the data set.
pub const DATASET: &str = "arctic";
/// Who asks the archive should have read this.
pub const TERMS: &str = "Arctic Shift is run by volunteers who promise neither availability nor \
     speed (https://github.com/ArthurHeitmann/arctic_shift): ask it sparingly, and take the monthly \
     dumps for whole communities. The posts are their authors' all the same: what was deleted since \
     must be deleted here, and Reddit's terms do not license training on them without permission";

/// The server chooses how many posts an answer has: from [`LEAST`] to 1,000.
const LIMIT: &str = "auto";
/// An answer with fewer posts is the last one.
const LEAST: usize = 100;
/// After 36 hours the archive reads a post again; so much later the reading can be had. A reading
/// that is made later than this is too late to be a label anyhow.
const SETTLES: Duration = Duration::from_hours(12);
/// The most ids of a question.
const IDS: usize = 500;
/// How far back a community is read of which nothing is known, where nothing says since when.
const FIRST: Duration = Duration::from_hours(7 * 24);
/// A walk goes so far below what is known: the archive may take a post in late.
const MARGIN: Duration = Duration::from_hours(1);

/// Pauses after which a question is asked again that the archive could not answer; after the last
/// one the walk ends, to be tried again as a whole.
const PAUSES: &[Duration] = &[
    Duration::from_secs(2),
    Duration::from_secs(8),
    Duration::from_secs(30),
];

/// The archive at one address.
#[derive(Debug)]
pub struct ArcticSource {
    http: reqwest::Client,
    base: Url,
    pauses: &'static [Duration],
}

impl ArcticSource {
    /// The archive at `base`, asked by `http`, which follows no redirects.
    pub const fn new(http: reqwest::Client, base: Url) -> Self {
        Self {
            http,
            base,
            pauses: PAUSES,
        }
    }

    /// The address of a search of one community: posts made from `after` on up to `before`, oldest
    /// first, both in seconds.
    fn search(&self, community: &str, after: i64, before: i64) -> Result<Url, Error> {
        let mut url = self.at("api/posts/search")?;
        url.query_pairs_mut()
            .append_pair("subreddit", community)
            .append_pair("after", &after.to_string())
            .append_pair("before", &before.to_string())
            .append_pair("sort", "asc")
            .append_pair("limit", LIMIT);
        Ok(url)
    }

    fn at(&self, path: &str) -> Result<Url, Error> {
        let base = self.base.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|error| Error::Wrong(format!("`arctic.url`: `{base}` is no address: {error}")))
    }

    /// Asks, and asks again after growing pauses where the archive does not answer.
    async fn ask(&self, url: Url, images: ImageSize) -> Result<Found, Error> {
        for pause in self.pauses {
            match ask(&self.http, url.clone(), images).await {
                Err(error @ Error::Unavailable { .. }) => {
                    tracing::warn!(pause_s = pause.as_secs(), "{error}; it is asked again");
                    tokio::time::sleep(*pause).await;
                }
                end => return end,
            }
        }
        ask(&self.http, url, images).await
    }

    async fn scrape_all(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> Result<ScrapeSummary, Error> {
        let Some(communities) = request.communities.clone() else {
            return Err(Error::Wrong(
                "the source `arctic` reads communities by name; say which by `subreddits`, as in \
                 `--param subreddits=pics,aww`"
                    .to_owned(),
            ));
        };
        tracing::info!("{TERMS}");
        let mut summary = ScrapeSummary::default();
        for community in communities {
            let walk = self.walk(&community, &request, &pages, &mut summary.gaps);
            if let Some(newest) = walk.await? {
                summary.watermarks.insert(community, newest);
            }
        }
        Ok(summary)
    }

    /// Reads one community from its oldest wanted post on; when its newest one was made.
    async fn walk(
        &self,
        community: &str,
        request: &ScrapeRequest,
        pages: &mpsc::Sender<Page>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Option<Timestamp>, Error> {
        let known = request.watermarks.get(community).copied();
        let from = match (known, request.since) {
            (Some(known), Some(since)) => (known - MARGIN).max(since),
            (Some(known), None) => known - MARGIN,
            (None, Some(since)) => since,
            (None, None) => request.as_of - FIRST,
        };
        // Whether the bounds themselves count is the server's secret: a second is asked for too
        // many at both ends, and what comes twice is known.
        let (mut after, before) = (seconds(from) - 1, seconds(request.as_of) + 2);
        let mut newest = known;
        let mut at_the_edge: BTreeSet<String> = BTreeSet::new();
        loop {
            let url = self.search(community, after, before)?;
            let found = self.ask(url, request.images).await?;
            let length = found.posts.len() + count(&found.dropped);
            let last = found.posts.iter().filter_map(|p| p.record.created_at).max();
            let (page, edge) = page(found, request, &at_the_edge);
            for (record, _) in &page.records {
                newest = newest.max(record.created_at);
            }
            at_the_edge = edge;
            if pages.send(page).await.is_err() {
                return Err(Error::Cancelled);
            }
            let Some(last) = last.map(seconds).filter(|_| length >= LEAST) else {
                return Ok(newest);
            };
            if last - 1 > after {
                after = last - 1;
                continue;
            }
            // One second has as many posts as an answer: nobody can ask for those behind them.
            let second = last.max(after + 1);
            gaps.push(Gap {
                community: community.to_owned(),
                from: Timestamp::from_millis(second * 1000),
                to: Timestamp::from_millis((second + 1) * 1000),
            });
            after = second;
        }
    }

    async fn observe_all(&self, due: &[Due]) -> Result<Vec<Observation>, Error> {
        let mut observations = Vec::new();
        for some in due.chunks(IDS) {
            let ids: Vec<&str> = some.iter().map(|due| due.id.as_str()).collect();
            let mut url = self.at("api/posts/ids")?;
            url.query_pairs_mut().append_pair("ids", &ids.join(","));
            let found = self.ask(url, ImageSize::Original).await?;
            // Also those that were not read again: that they are known is told by it.
            observations.extend(found.posts.into_iter().map(|post| post.observation));
        }
        Ok(observations)
    }
}

/// The posts of an answer that are wanted and new, and what became of the others; and the ids of
/// its last two seconds, which the next answer has again.
fn page(
    found: Found,
    request: &ScrapeRequest,
    before: &BTreeSet<String>,
) -> (Page, BTreeSet<String>) {
    let mut page = Page {
        dropped: found.dropped,
        bytes: found.bytes,
        decoded: found.bytes,
        ..Page::default()
    };
    let last = found
        .posts
        .iter()
        .filter_map(|post| post.record.created_at)
        .max();
    let since = last.map(|last| last - Duration::from_secs(2));
    let mut edge = BTreeSet::new();
    for (post, sent) in found.posts.into_iter().zip(found.sent) {
        if post.record.created_at >= since {
            edge.insert(post.record.id.clone());
        }
        if before.contains(&post.record.id) {
            continue;
        }
        let deleted = || is_deleted(&post.record).then_some(DELETED);
        if let Some(reason) = request.unwanted(&post.record).or_else(deleted) {
            *page.dropped.entry(reason.to_owned()).or_default() += 1;
            continue;
        }
        if request.raw {
            let raw = post.raw(sent.get().as_bytes());
            page.raw.insert(post.record.id.clone(), raw);
        }
        page.records.push((post.record, Some(post.observation)));
    }
    (page, edge)
}

fn count(dropped: &BTreeMap<String, u64>) -> usize {
    usize::try_from(dropped.values().sum::<u64>()).unwrap_or(usize::MAX)
}

const fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

impl Source for ArcticSource {
    fn dataset(&self) -> &str {
        DATASET
    }

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            observes: true,
            by_community: true,
            live: true,
            replays: true,
            by_permission: false,
        }
    }

    fn scrape(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'_, Result<ScrapeSummary, Error>> {
        Box::pin(self.scrape_all(request, pages))
    }

    fn settles(&self) -> Duration {
        SETTLES
    }

    fn observe<'a>(
        &'a self,
        due: &'a [Due],
        _as_of: Timestamp,
    ) -> BoxFuture<'a, Result<Readings, Error>> {
        Box::pin(async {
            Ok(Readings {
                observations: self.observe_all(due).await?,
                ..Readings::default()
            })
        })
    }
}

#[cfg(test)]
#[path = "arctic_tests.rs"]
mod tests;
