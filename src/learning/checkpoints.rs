//! Where trainings put down how far they are.

use std::time::Duration;

/// Keeps how far long trainings are, so that one that was interrupted goes on from there and ends
/// with the same bytes as one that was not.
///
/// What is kept has a key of all that a training depends on: the numbers it learns from, its
/// settings, its place in the ensemble, the device and this program. So nothing is ever found that
/// belongs to another training. All methods are called from the threads of the trainings.
pub trait Checkpoints: Sync {
    /// Whether nothing was kept before; then nothing is looked for.
    fn is_empty(&self) -> bool;

    /// What was kept last under a key.
    fn find(&self, key: &str) -> Option<Vec<u8>>;

    /// Takes note that what was found is of no use, and why; the training begins anew.
    fn refuse(&self, key: &str, why: &str);

    /// The time since some fixed moment.
    fn time(&self) -> Duration;

    /// How long a training works at least before it keeps something, and again something.
    fn interval(&self) -> Duration;

    /// Keeps this in place of what was kept before under the key. Where that fails the training
    /// goes on all the same.
    fn keep(&self, key: &str, checkpoint: &[u8]);
}
