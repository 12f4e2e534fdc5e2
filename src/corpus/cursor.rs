//! How far a file was read, so that it is not read again.

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
    /// Bytes of the file before it.
    pub raw: u64,
    /// What [`FileCursor::offset`] counts before it.
    pub offset: u64,
}
