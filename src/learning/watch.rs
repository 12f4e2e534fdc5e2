//! How a caller sees the progress of a training, and stops it.

use super::Checkpoints;

/// What a training tells while it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A stage of the work has begun: `ridge`, `members`, `without title`, `intervals`, ….
    Stage(String),
    /// A network goes on where it was when its training was interrupted.
    Resumed {
        /// Which member of the ensemble, from 1.
        member: usize,
        /// After which pass, from 1.
        epoch: usize,
    },
    /// One pass over the training rows is done.
    Epoch {
        /// Which pass, from 1.
        epoch: usize,
        /// The most passes there can be.
        epochs: usize,
        /// The mean loss over the training rows of this pass, in squared units of the scaled target.
        train_loss: f64,
        /// The mean squared error on the validation rows after it, in the same units.
        validation_loss: Option<f64>,
    },
}

/// Somebody who watches a training.
///
/// The methods are called from the threads of the training, between steps; they must return soon.
pub trait Watch: Sync {
    /// Takes note of progress.
    fn progress(&self, progress: &Progress) {
        let _ = progress;
    }

    /// Whether the work shall end now, with [`Error::Cancelled`](super::Error::Cancelled).
    fn cancelled(&self) -> bool {
        false
    }

    /// Where trainings put down how far they are; by default nowhere.
    fn checkpoints(&self) -> Option<&dyn Checkpoints> {
        None
    }
}

/// A [`Watch`] that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}
