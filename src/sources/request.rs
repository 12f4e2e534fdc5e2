//! What a source is asked for.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    corpus::{FileCursor, Record},
};

/// A post may come out of the filter for spam late, and then stands at the place of its creation.
const LOOK_BACK: Duration = Duration::from_hours(1);

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
    /// How far below the watermarks a live source looks, for what has appeared late.
    pub look_back: Duration,
    /// Ids of records that are known, of the time shortly before the watermarks. A source that
    /// reads newest first may stop where it meets them.
    pub known: HashSet<String>,
    /// Up to where files are known already, from requests with the same [`ScrapeRequest::choice`]
    /// and an `as_of` that was not later.
    pub cursors: Vec<FileCursor>,
    /// Whether pages should have the records as they came, where the source can tell.
    pub raw: bool,
    /// Which files of images are taken, of a source that has several.
    pub images: ImageSize,
}

/// Which file of an image is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageSize {
    /// The original.
    #[default]
    Original,
    /// The smallest preview whose shorter side has at least so many pixels, where there is one: it
    /// costs a tenth of the original's bytes.
    Preview(u64),
}

impl ScrapeRequest {
    /// All that there is at `as_of`; nothing is known yet.
    pub fn everything(as_of: Timestamp) -> Self {
        Self {
            as_of,
            communities: None,
            since: None,
            watermarks: BTreeMap::new(),
            look_back: LOOK_BACK,
            known: HashSet::new(),
            cursors: Vec::new(),
            raw: false,
            images: ImageSize::Original,
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
    pub(super) fn unwanted(&self, record: &Record) -> Option<&'static str> {
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
