//! `data/daemon.json`: where the daemon of a home is found while it lives.

use std::{
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::clock::Timestamp;

/// What a daemon says of itself to the commands of the same user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonFile {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub url: String,
    /// What proves to it that the caller may read this file.
    pub token: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// Takes the file away when it is dropped.
#[derive(Debug)]
pub(super) struct Posted(PathBuf);

impl Drop for Posted {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_file(&self.0) {
            tracing::warn!(%error, "cannot take away the daemon's file");
        }
    }
}

impl DaemonFile {
    /// What the daemon of a home left, whether it still lives or not.
    pub fn read(home: &Path) -> Option<Self> {
        let text = fs_err::read_to_string(path(home)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes the file, which only this user can read.
    pub(super) fn post(&self, home: &Path) -> std::io::Result<Posted> {
        let path = path(home);
        let next = path.with_extension("json.next");
        // One that is left may have been made with other rights.
        match fs_err::remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create_new(true);
        options.options_mut().mode(0o600);
        let mut file = options.open(&next)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs_err::rename(&next, &path)?;
        Ok(Posted(path))
    }
}

/// A client for the daemon of this machine: no proxy, and no limit for what is followed.
///
/// # Errors
///
/// Where the client cannot be set up.
pub fn client() -> Result<reqwest::Client, Error> {
    crate::net::local_client().map_err(|error| Error::unfit(error.to_string(), None))
}

fn path(home: &Path) -> PathBuf {
    home.join("data").join("daemon.json")
}
