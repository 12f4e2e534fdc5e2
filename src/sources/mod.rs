//! The outside world → records, observations and the places of their images.
//!
//! A [`Source`] is what the operators see; one file or folder per kind. Nothing outside
//! `sources::reddit` and `sandbox` knows the word "Reddit".

mod dump;
mod images;
mod obtain;
mod pager;
pub mod reddit;
mod spec;
mod table;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::mpsc;

pub use dump::DumpSource;
pub use images::ImageIndex;
pub use obtain::{Obtained, obtain};
pub use spec::SourceSpec;
pub use table::{Loaded, ScoreColumn, TableSource, TableSpec, every_row_of};

use crate::{
    clock::Timestamp,
    corpus::{AuthorReading, CommunityReading, Counted, FileCursor, Gap, Observation, Record},
};

/// How many things a live source answers for at once.
pub const BATCH: usize = 100;

/// A source of records.
pub trait Source: Send + Sync + fmt::Debug {
    /// The name of the data set that the records belong to; ids are unique within it. Two
    /// sources that would give the same records have the same name.
    fn dataset(&self) -> &str;

    /// What the source can do.
    fn traits(&self) -> SourceTraits;

    /// Reads records and sends them page by page, in the source's own order.
    ///
    /// The caller stores each page before it takes the next one. A source that reads newest
    /// first stops at `request.watermark`; the returned watermark is stored only when the whole
    /// walk is done, so that a walk that is killed in the middle is walked again.
    ///
    /// # Errors
    ///
    /// Where the source ends before its time (a truncated file, a server that gives up); the
    /// pages sent before stand.
    fn scrape(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'_, Result<ScrapeSummary, Error>>;

    /// Reads the numbers of these records again, at the age at which each is due.
    ///
    /// Ids that the source no longer knows are left out of the answer. A source that cannot read
    /// again (see [`SourceTraits::observes`]) answers with nothing.
    fn observe<'a>(
        &'a self,
        due: &'a [Due],
        as_of: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Observation>, Error>>;

    /// Reads what is known of these authors, by the source's ids, and of these communities.
    ///
    /// Those that the source no longer knows are left out of the answer. A source that tells
    /// nothing of people answers with nothing.
    ///
    /// # Errors
    ///
    /// As [`Source::observe`].
    fn people<'a>(
        &'a self,
        _authors: &'a [String],
        _communities: &'a [String],
        _as_of: Timestamp,
    ) -> BoxFuture<'a, Result<People, Error>> {
        Box::pin(async { Ok(People::default()) })
    }
}

/// What a source knows of authors and communities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    /// The authors.
    pub authors: Vec<AuthorReading>,
    /// The communities.
    pub communities: Vec<CommunityReading>,
}

/// What a source can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTraits {
    /// Whether [`Source::observe`] can read a score again.
    pub observes: bool,
    /// Whether `params.subreddits` limits it.
    pub by_community: bool,
    /// Whether it reads again and again from the outside world, as opposed to a file that is
    /// there as a whole.
    pub live: bool,
    /// Whether it can be asked for numbers as they were at a past moment.
    pub replays: bool,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct ScrapeRequest {
    /// Nothing published after this moment is wanted.
    pub as_of: Timestamp,
    /// Only these communities; `None` for all that the source has.
    pub communities: Option<Vec<String>>,
    /// Nothing published before this moment is wanted, of a file; a live source may send it.
    pub since: Option<Timestamp>,
    /// By community: everything published up to this moment is known already.
    pub watermarks: BTreeMap<String, Timestamp>,
    /// Ids of records that are known, of the time shortly before the watermarks. A source that
    /// reads newest first may stop where it meets them; without any it looks further back, for
    /// what has appeared late.
    pub known: HashSet<String>,
    /// Up to where files are known already, from requests with the same [`ScrapeRequest::choice`]
    /// and an `as_of` that was not later.
    pub cursors: Vec<FileCursor>,
}

impl ScrapeRequest {
    /// All that there is at `as_of`; nothing is known yet.
    pub fn everything(as_of: Timestamp) -> Self {
        Self {
            as_of,
            communities: None,
            since: None,
            watermarks: BTreeMap::new(),
            known: HashSet::new(),
            cursors: Vec::new(),
        }
    }

    /// Which records are wanted, apart from `as_of`: equal texts choose the same ones. Empty
    /// where all are.
    pub fn choice(&self) -> String {
        let mut communities = self.communities.clone();
        for name in communities.iter_mut().flatten() {
            name.make_ascii_lowercase();
        }
        if let Some(names) = &mut communities {
            names.sort();
            names.dedup();
        }
        let communities = communities.map(|names| format!("communities={}", names.join(",")));
        let since = self.since.map(|since| format!("since={since}"));
        let parts: Vec<String> = communities.into_iter().chain(since).collect();
        parts.join(";")
    }

    /// Why `record` is not wanted, if so.
    fn unwanted(&self, record: &Record) -> Option<&'static str> {
        if let Some(at) = record.created_at {
            if at > self.as_of {
                return Some("after_as_of");
            }
            if self.since.is_some_and(|since| at < since) {
                return Some("before_since");
            }
        }
        let communities = self.communities.as_ref()?;
        let is_wanted = record.community.as_ref().is_some_and(|community| {
            communities
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(community))
        });
        (!is_wanted).then_some("other_community")
    }
}

/// Some records of a source, stored in one transaction.
#[derive(Debug, Default)]
pub struct Page {
    /// Records with their first reading.
    pub records: Vec<(Record, Option<Observation>)>,
    /// Rows that could not be read, by reason code (`malformed_line`, `missing:title`, …).
    pub dropped: BTreeMap<String, u64>,
    /// Bytes read from the outside for this page.
    pub bytes: u64,
    /// What they were decoded to, where the source decodes; bytes.
    pub decoded: u64,
    /// Up to where the source's file is known once this page is stored.
    pub cursor: Option<FileCursor>,
    /// What this walk has counted up to the cursor: not more than there is in this page and those
    /// before it.
    pub counted: Counted,
}

/// What a finished [`Source::scrape`] has learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeSummary {
    /// By community: everything published up to this moment is now known.
    pub watermarks: BTreeMap<String, Timestamp>,
    /// The communities that were walked to what was known, whether they have any records.
    pub walked: Vec<String>,
    /// What may have been missed.
    pub gaps: Vec<Gap>,
}

/// A record whose numbers are to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The record's id.
    pub id: String,
    /// When the reading is due: publication plus the label's horizon.
    pub at: Timestamp,
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source as written is wrong: an unknown kind, a missing file, a bad option.
    #[error("{0}")]
    Wrong(String),
    /// Something that the source needs is not there: credentials, say.
    #[error("{0}")]
    Unfit(String),
    /// The data ends before it is whole, or cannot be decoded.
    #[error("{message}")]
    Broken {
        /// What was found, and where.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The outside world does not answer now; trying again may help.
    #[error("{message}")]
    Unavailable {
        /// What was asked, and how it failed.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Too much was asked; nothing is answered before the reset.
    #[error("{message}")]
    RateLimited {
        /// What was asked, and how often.
        message: String,
        /// How long until then.
        reset: Duration,
    },
    /// The receiver of the pages is gone: the task was cancelled.
    #[error("reading was cancelled")]
    Cancelled,
}

#[cfg(test)]
mod real_tests;
