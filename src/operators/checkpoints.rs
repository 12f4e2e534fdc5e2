//! How far a training is, in files of its run.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    artifacts,
    clock::{Clock, Timestamp},
    learning::Checkpoints,
};

/// Keeps checkpoints in a folder, a file for each network. The folder outlives the attempt, so
/// that the next one goes on; it is removed when the task has ended well.
#[derive(Debug)]
pub(super) struct CheckpointFiles {
    folder: PathBuf,
    interval: Duration,
    clock: Arc<dyn Clock>,
    begun: Timestamp,
    /// The one of the attempt: trainings run in threads of their own.
    span: tracing::Span,
}

impl CheckpointFiles {
    pub(super) fn new(folder: PathBuf, interval: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            begun: clock.now(),
            span: tracing::Span::current(),
            folder,
            interval,
            clock,
        }
    }

    /// Where they lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.safetensors"))
    }
}

impl Checkpoints for CheckpointFiles {
    fn is_empty(&self) -> bool {
        !self.folder.is_dir()
    }

    fn find(&self, key: &str) -> Option<Vec<u8>> {
        let found = fs_err::read(self.path(key));
        if let Err(error) = &found
            && error.kind() != io::ErrorKind::NotFound
        {
            let _entered = self.span.enter();
            tracing::warn!(%error, "the checkpoint cannot be read; the training begins anew");
        }
        found.ok()
    }

    fn refuse(&self, key: &str, why: &str) {
        let _entered = self.span.enter();
        let file = self.path(key).display().to_string();
        tracing::warn!(
            file,
            why,
            "the checkpoint is of no use; the training begins anew"
        );
    }

    fn time(&self) -> Duration {
        self.clock.now().since(self.begun)
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn keep(&self, key: &str, checkpoint: &[u8]) {
        let file = self.path(key);
        if let Err(error) = artifacts::write_atomic(&file, checkpoint) {
            let _entered = self.span.enter();
            tracing::warn!(%error, "no checkpoint can be written; the training goes on without");
        }
        fail::fail_point!("checkpoint.kept");
    }
}
