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
/// By how much clocks may differ.
const CLOCKS: Duration = Duration::from_hours(24);

/// What to read.
#[derive(Clone, Debug)]
pub struct ScrapeRequest {
    /// Nothing published after this moment is wanted.
    pub as_of: Timestamp,
    /// What time it is, where that is known: nothing can have been published much later.
    pub now: Option<Timestamp>,
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

/// The name of a community as sources know it, from what people write: `r/pics`, `/r/pics/`.
pub fn community_name(written: &str) -> &str {
    let name = written.trim().trim_matches('/');
    match name.split_at_checked(2) {
        Some(("r/" | "R/", name)) => name.trim_matches('/'),
        _ => name,
    }
}

impl ScrapeRequest {
    /// All that there is at `as_of`; nothing is known yet.
    pub fn everything(as_of: Timestamp) -> Self {
        Self {
            as_of,
            now: None,
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

    /// The latest moment at which a record can have been published, clocks that are off included;
    /// one that tells of a later one is wrong, and is not waited for.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.now.map(|now| now.max(self.as_of) + CLOCKS)
    }

    /// Why `record` is not wanted, if so.
    pub(super) fn unwanted(&self, record: &Record) -> Option<&'static str> {
        if let Some(at) = record.created_at {
            if at > self.as_of {
                let is_possible = self.latest().is_none_or(|latest| at <= latest);
                return Some(if is_possible {
                    "after_as_of"
                } else {
                    "in_future"
                });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_community_is_called_by_its_name_alone() {
        for written in ["pics", "r/pics", "/r/pics", " R/pics/ ", "pics "] {
            assert_eq!(community_name(written), "pics", "{written}");
        }
        for nameless in ["", " ", "r/", "/r/"] {
            assert!(["", "r"].contains(&community_name(nameless)), "{nameless}");
        }
        assert_eq!(community_name("u/somebody"), "u/somebody");
        assert_eq!(community_name("r"), "r");
        assert_eq!(community_name("é"), "é");
    }
}
