//! What a walk through the newest records may have missed.

use serde::Serialize;

use crate::clock::Timestamp;

/// A stretch of publication in which records of a community may have been missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The community.
    pub community: String,
    /// Up to here everything was known.
    pub from: Timestamp,
    /// The oldest record that the source still showed.
    pub to: Timestamp,
}

/// A community that a source does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name, as it was asked for.
    pub community: String,
    /// What was answered, and what that means.
    pub why: String,
}
