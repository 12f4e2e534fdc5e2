//! How many requests a task has sent in its run.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::engine::TaskContext;

/// A limit for the requests of a task in a run, over all of its attempts.
///
/// Each request is a byte at the end of a file, written before the request leaves: whatever kills
/// the process, the next attempt counts all that were sent. A task that is cleared begins anew.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    file: PathBuf,
    sent: Mutex<u64>,
}

impl Budget {
    pub(super) fn open(context: &TaskContext, limit: u64) -> io::Result<Self> {
        // A run that takes over the files of an earlier one must not count on in those.
        let name = format!(
            "{}.{}.{}.requests",
            context.task_id,
            context.run_id,
            context.first_started_at.as_millis()
        );
        fs_err::create_dir_all(&context.run_dir)?;
        Self::of(&context.run_dir.join(name), limit)
    }

    fn of(file: &Path, limit: u64) -> io::Result<Self> {
        let sent = match fs_err::metadata(file) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self {
            limit,
            file: file.to_owned(),
            sent: Mutex::new(sent),
        })
    }

    /// How many requests it allows.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether no more requests may be sent.
    pub(super) fn is_spent(&self) -> bool {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) >= self.limit
    }

    /// Counts one request; false where it may not be sent.
    pub(super) fn take(&self) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if *sent >= self.limit {
            return false;
        }
        *sent += 1;
        if let Err(error) = self.note() {
            tracing::warn!(%error, "a request is not counted for later attempts");
        }
        true
    }

    fn note(&self) -> io::Result<()> {
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        file.write_all(b".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_attempt_counts_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("requests");
        let first = Budget::of(&file, 3).unwrap();
        assert!(first.take() && first.take() && !first.is_spent());
        drop(first);
        let second = Budget::of(&file, 3).unwrap();
        assert!(second.take());
        assert!(second.is_spent() && !second.take());
        assert_eq!(fs_err::metadata(&file).unwrap().len(), 3);
    }
}
