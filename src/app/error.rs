//! Errors of the composition root, told apart by what a person can do about them.

use crate::{encoders, engine, pipelines, registry, sources, store};

/// Why the application could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The source failed.
    #[error(transparent)]
    Source(#[from] sources::Error),
    /// An encoder failed.
    #[error(transparent)]
    Encoder(#[from] encoders::Error),
    /// The engine refuses.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The pipeline file is wrong.
    #[error(transparent)]
    Pipeline(#[from] pipelines::Error),
    /// It was asked for wrongly.
    #[error("{message}")]
    Wrong {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The environment is not fit.
    #[error("{message}")]
    Unfit {
        /// What is missing.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// It is not done as things stand.
    #[error("{message}")]
    Refused {
        /// Why not.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The work failed.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// It was asked for wrongly.
    pub fn wrong(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Wrong {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The environment is not fit.
    pub fn unfit(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Unfit {
            message: message.into(),
            hint: hint.into(),
        }
    }
}
