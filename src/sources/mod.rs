//! The outside world → records, observations and the places of their images.
//!
//! A [`Source`] is what the operators see; one file or folder per kind. Nothing outside
//! `sources::reddit` and `sandbox` knows the word "Reddit".

pub mod arctic;
mod deleted;
mod dump;
mod images;
mod obtain;
mod pager;
pub mod reddit;
mod request;
mod spec;
mod table;

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::mpsc;

pub use dump::DumpSource;
pub use images::ImageIndex;
pub use obtain::{Obtained, obtain};
pub use request::{ImageSize, ScrapeRequest, community_name};
pub use spec::SourceSpec;
pub use table::{Loaded, ScoreColumn, TableSource, TableSpec, every_row_of};

use crate::{
    clock::Timestamp,
    corpus::{
        AuthorReading, CommunityReading, Counted, FileCursor, Gap, Observation, RawBody, Record,
        Refused,
    },
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
    ) -> BoxFuture<'a, Result<Readings, Error>>;

    /// How long after a reading is due the source can be expected to have it: it is not asked for
    /// before, and given up when it is not there then.
    fn settles(&self) -> Duration {
        Duration::ZERO
    }

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

    /// How these records stand at the source as of `as_of`, or now where it is live; those that it
    /// does not know are left out. `None` where the source cannot say.
    fn standings<'a>(
        &'a self,
        _ids: &'a [String],
        _as_of: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Standings>, Error>> {
        Box::pin(async { Ok(None) })
    }
}

/// What a source told when it was asked for numbers again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// The numbers.
    pub observations: Vec<Observation>,
    /// How the records stand, where the same answers tell it: then nobody has to ask for that.
    pub standings: Standings,
    /// Records that are missing in an answer that held others.
    pub absent: Vec<String>,
}

/// What a source knows of authors and communities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    /// The authors.
    pub authors: Vec<AuthorReading>,
    /// The communities.
    pub communities: Vec<CommunityReading>,
}

/// How records stand at their source, each by its id.
pub type Standings = Vec<(String, Standing)>;

/// How a record stands at its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there.
    There,
    /// It is there, and who published it is not any more.
    AuthorGone,
    /// Who published it has deleted it.
    Deleted,
    /// A moderator or the source has taken it away; in the source's word.
    Removed(String),
}

/// What a source can do.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
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
    /// Whether models may be made of what it gives by permission only.
    pub by_permission: bool,
}

/// Some records of a source, stored in one transaction.
#[derive(Debug, Default)]
pub struct Page {
    /// Records with their first reading.
    pub records: Vec<(Record, Option<Observation>)>,
    /// By record id: what was sent of it, as it came; where that was asked for and is at hand.
    pub raw: BTreeMap<String, RawBody>,
    /// Rows that could not be read, by reason code (`malformed_line`, `missing:title`, …).
    pub dropped: BTreeMap<String, u64>,
    /// Ids of records that the source says their authors have deleted; they are counted as dropped.
    pub deleted: Vec<String>,
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
    /// The communities that cannot be read, while others can.
    pub refused: Vec<Refused>,
    /// Files that were read as far as they go, for they are not whole yet.
    pub unfinished: Vec<PathBuf>,
}

impl ScrapeSummary {
    /// What a person should know of files that are not whole; none where all are.
    pub fn unfinished(&self) -> Option<String> {
        let files: Vec<String> = self
            .unfinished
            .iter()
            .map(|file| format!("`{}`", file.display()))
            .collect();
        (!files.is_empty()).then(|| {
            format!(
                "not whole yet, and read on by the next run that finds more in them: {}",
                files.join(", ")
            )
        })
    }
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
