//! The posts that were kept lately, so that one that comes again is known.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::clock::Timestamp;

/// After how many posts the older half is forgotten: two maps of this length have 40 MB.
const GENERATION: usize = 900_000;
/// Stands for the time of a reading that is not told: before all others.
const UNTOLD: i64 = i64::MIN;

/// When the numbers of the posts kept lately were read: of the last 900,000 at least, so that
/// memory stays flat however long a dump is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    newer: HashMap<u64, i64>,
    older: HashMap<u64, i64>,
}

impl Seen {
    /// When a post's numbers were read, where it is known; before all time where that is not told.
    pub(super) fn reading(&self, id: &str) -> Option<Timestamp> {
        let id = short(id);
        let at = self.newer.get(&id).or_else(|| self.older.get(&id))?;
        Some(Timestamp::from_millis(*at))
    }

    /// Notes a reading.
    pub(super) fn note(&mut self, id: &str, read_at: Option<Timestamp>) {
        if self.newer.len() >= GENERATION {
            self.older = std::mem::take(&mut self.newer);
        }
        let at = read_at.map_or(UNTOLD, Timestamp::as_millis);
        self.newer.insert(short(id), at);
    }
}

/// A number that stands for an id: the id itself where it is one of Reddit's, else a hash with
/// the highest bit set.
pub(super) fn short(id: &str) -> u64 {
    let is_number = (1..=12).contains(&id.len())
        && !id.starts_with('0')
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    match u64::from_str_radix(id, 36) {
        Ok(number) if is_number => number,
        _ => {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            hasher.finish() | 1 << 63
        }
    }
}
