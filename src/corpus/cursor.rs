//! How far a file was read, so that it is not read again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ContentHash;

/// What tells a file from one that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Its length in bytes.
    pub size: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified: i64,
    /// The hash of its first bytes, up to 64 KiB.
    pub head: ContentHash,
    /// The hash of its last bytes, up to 64 KiB.
    pub tail: ContentHash,
}

/// Up to where a file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCursor {
    /// Its path.
    pub file: String,
    /// Which file was there.
    pub identity: FileIdentity,
    /// Everything before this place is read: a count of decoded bytes, or of rows where the
    /// format counts rows. It is where a line begins.
    pub offset: u64,
    /// How many lines lie before `offset`.
    pub lines: u64,
    /// Where decoding has to begin to come to `offset`.
    pub start: DecodeStart,
}

/// A place in a file at which decoding can begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeStart {
    /// Bytes of the file before it; where decoding can begin anywhere, the same as `offset`.
    pub raw: u64,
    /// What [`FileCursor::offset`] counts before it.
    pub offset: u64,
}

/// What a walk through files has counted up to its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Records that were kept.
    pub kept: u64,
    /// Rows that were not, by reason code.
    pub dropped: BTreeMap<String, u64>,
}

impl Counted {
    /// Counts rows that were dropped.
    pub fn drop_rows(&mut self, reason: &str, rows: u64) {
        *self.dropped.entry(reason.to_owned()).or_default() += rows;
    }

    /// Counts some of the records that were kept as purged ones, which are not taken back.
    pub fn refuse(&mut self, purged: u64) {
        self.kept = self.kept.saturating_sub(purged);
        if purged > 0 {
            self.drop_rows("purged", purged);
        }
    }

    /// Counts what another walk has counted.
    pub fn add(&mut self, other: &Self) {
        self.kept += other.kept;
        for (reason, rows) in &other.dropped {
            self.drop_rows(reason, *rows);
        }
    }
}
