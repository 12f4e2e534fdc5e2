//! What can go wrong with an encoder, and whether the machine or the caller must mend it.

use std::path::PathBuf;

use super::{device, weights};

/// Why an encoder could not be loaded or could not run.
///
/// [`Error::is_environment`] tells the faults of the machine (no weights, no device: exit code 3)
/// from wrong use (exit code 2).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is in no catalogue and is no directory.
    #[error("unknown encoder `{name}`; give one of {known}, or a directory with a checkpoint")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that would do, in backticks.
        known: String,
    },

    /// The files of a checkpoint are not those that were there before.
    #[error("the checkpoint `{0}` was replaced while it was read")]
    Replaced(String),

    /// What must be a directory is none.
    #[error("there is no directory `{}`", path.display())]
    NoDirectory {
        /// What was asked for.
        path: PathBuf,
    },

    /// The encoder exists, but does something else.
    #[error("`{name}` is {found}, not {wanted}; give one of {known}")]
    WrongKind {
        /// What was asked for.
        name: String,
        /// What it is: `an image encoder`.
        found: &'static str,
        /// What is needed here.
        wanted: &'static str,
        /// The names that would do, in backticks.
        known: String,
    },

    /// This release does not compute the architecture.
    #[error("`{name}` is of architecture `{architecture}`, which does not do this")]
    Architecture {
        /// What was asked for.
        name: String,
        /// Its architecture.
        architecture: String,
    },

    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] device::Error),

    /// The weights cannot be had, or are not the pinned ones.
    #[error(transparent)]
    Weights(#[from] weights::Error),

    /// A file of a checkpoint cannot be read.
    #[error("cannot read the checkpoint: {0}")]
    Io(#[from] std::io::Error),

    /// A file of a checkpoint does not say what it must.
    #[error("`{}` is not usable: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        reason: String,
    },

    /// The server that writes captions is not set up.
    #[error("{0}")]
    Server(String),

    /// A text could not be tokenised.
    #[error("cannot tokenise: {0}")]
    Tokenizer(String),

    /// No caption can be made as it was asked for.
    #[error("no caption can be made so: {0}")]
    Caption(String),

    /// The device failed while computing.
    #[error("the device failed: {0}")]
    Compute(String),
}

impl Error {
    /// Whether the machine is not fit (exit code 3), rather than the request wrong (2).
    pub const fn is_environment(&self) -> bool {
        match self {
            Self::Device(_) | Self::Weights(_) | Self::Compute(_) | Self::Server(_) => true,
            Self::Unknown { .. }
            | Self::NoDirectory { .. }
            | Self::Architecture { .. }
            | Self::WrongKind { .. }
            | Self::Io(_)
            | Self::Checkpoint { .. }
            | Self::Caption(_)
            | Self::Replaced(_)
            | Self::Tokenizer(_) => false,
        }
    }
}

/// Why one image, or an image with its text, has no vector; the others of its batch are not
/// concerned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot read the image: {0}")]
    Io(#[from] std::io::Error),

    /// The bytes are no image, or a broken one.
    #[error("cannot decode the image: {0}")]
    Decode(String),

    /// The image has no pixels.
    #[error("the image is empty ({width}×{height})")]
    Empty {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },

    /// The device failed while computing.
    #[error("the device failed: {0}")]
    Compute(String),

    /// The text beside it cannot be tokenised.
    #[error("cannot tokenise the text: {0}")]
    Text(String),

    /// There is neither an image nor a text.
    #[error("there is neither an image nor a text")]
    Nothing,
}
