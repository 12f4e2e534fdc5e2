//! What the API needs of the process in which it runs.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use super::{Fault, RunWanted};
use crate::{
    clock::Clock,
    engine::{Handle, RunRequest},
    store::Store,
};

/// Where a daemon stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes up what was left.
    Starting,
    /// It works.
    Ready,
    /// It lets running attempts end and takes nothing new.
    Draining,
}

/// What the API needs of the process in which it runs.
pub trait Host: fmt::Debug + Send + Sync {
    /// The databases.
    fn store(&self) -> &Store;

    /// The engine.
    fn engine(&self) -> &Handle;

    /// Where the time comes from.
    fn clock(&self) -> &dyn Clock;

    /// Where the daemon stands.
    fn phase(&self) -> Phase;

    /// Checks a run that is wanted, and finds all that it needs.
    fn request(&self, wanted: RunWanted) -> BoxFuture<'_, Result<RunRequest, Fault>>;
}

/// A host that all requests share.
pub type SharedHost = Arc<dyn Host>;
