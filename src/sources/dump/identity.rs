//! Which file lies at a path: the one that was read before, or another.

use std::{
    io::{self, Read, Seek, SeekFrom},
    time::UNIX_EPOCH,
};

use fs_err as fs;

use crate::corpus::{ContentHash, FileCursor, FileIdentity};

/// How much of the beginning and of the end is looked at.
const EDGE: u64 = 64 << 10;

/// What tells this file from another.
///
/// # Errors
///
/// Where it cannot be read.
pub(super) fn identity(file: &mut fs::File) -> io::Result<FileIdentity> {
    let found = file.metadata()?;
    let modified = found.modified()?.duration_since(UNIX_EPOCH);
    let modified = modified.map_or(0, |since| since.as_nanos());
    let size = found.len();
    Ok(FileIdentity {
        size,
        modified: i64::try_from(modified).unwrap_or(i64::MAX),
        head: hash(file, 0, size)?,
        tail: hash(file, size.saturating_sub(EDGE), size)?,
    })
}

/// Whether `cursor` still tells where to go on: the file is the same one, or the same one with
/// something added.
///
/// One of the same length that was written again since is taken for another: what changed in its
/// middle would be missed, and what is read twice is stored once.
///
/// # Errors
///
/// Where the file cannot be read.
pub(super) fn goes_on(
    file: &mut fs::File,
    now: &FileIdentity,
    cursor: &FileCursor,
) -> io::Result<bool> {
    let before = &cursor.identity;
    if now.size <= before.size {
        return Ok(now == before);
    }
    Ok(hash(file, 0, before.size)? == before.head
        && hash(file, before.size.saturating_sub(EDGE), before.size)? == before.tail)
}

/// The hash of at most [`EDGE`] bytes from `from` on, none of them behind `end`.
fn hash(file: &mut fs::File, from: u64, end: u64) -> io::Result<ContentHash> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(EDGE.min(end - from)).read_to_end(&mut bytes)?;
    Ok(ContentHash::of(bytes))
}
