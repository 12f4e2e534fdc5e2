//! Errors of the registry.

use std::path::PathBuf;

use crate::{clock::Timestamp, store};

/// Why a model version cannot be had or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text does not name a version.
    #[error("`{0}` names no model version; write `NAME/VERSION` or `NAME@ALIAS`")]
    Name(String),
    /// There is no such model or version.
    #[error("there is no model version `{wanted}`; {known}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is, in words.
        known: String,
    },
    /// There is no such metric.
    #[error("there is no metric `{metric}`")]
    UnknownMetric {
        /// What was asked for.
        metric: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file of a version is missing, unreadable or cannot be written.
    #[error("model registry: {0}")]
    File(#[from] std::io::Error),
    /// A file of a version is not what its manifest says.
    #[error("`{path}` is damaged: {message}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
    /// Its files were removed.
    #[error(
        "the files of `{name}/{version}` were removed at {at}; its metrics stay: `trendmill models \
         show {name}/{version}`"
    )]
    Removed {
        /// The model's name.
        name: String,
        /// The version's number.
        version: u32,
        /// When.
        at: Timestamp,
    },
    /// The champion had none before it.
    #[error("version {version} of `{name}` is the champion, and there was none before it")]
    NoEarlier {
        /// The model's name.
        name: String,
        /// The present champion.
        version: u32,
    },
    /// What shall be removed is what others use.
    #[error("{0}; point it elsewhere first")]
    InUse(String),
    /// An alias or tag cannot be set so.
    #[error("{0}")]
    Tag(String),
    /// There is something where an export shall go.
    #[error("`{0}` is there already; give a folder that is not")]
    Exists(PathBuf),
    /// The database failed.
    #[error("{0}")]
    Store(#[from] store::Error),
}
