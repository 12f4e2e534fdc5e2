//! What a call is for, and what of a window is kept for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a call is for. The order is that of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallClass {
    /// Whether posts that are kept are still there.
    DeletionSync,
    /// Numbers that are due at an age of the post.
    ReRead,
    /// Listings of what is new.
    Discovery,
    /// What is known of authors and communities.
    Authors,
}

impl CallClass {
    /// All classes.
    pub const ALL: [Self; 4] = [
        Self::DeletionSync,
        Self::ReRead,
        Self::Discovery,
        Self::Authors,
    ];

    /// The part of a window, in percent, that the other classes leave to this one. What is left of
    /// it is given free evenly as the window passes, so that nothing is wasted at its end.
    pub const fn kept_percent(self) -> u64 {
        match self {
            Self::DeletionSync => 10,
            Self::ReRead => 25,
            Self::Discovery => 15,
            Self::Authors => 0,
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeletionSync => "deletion_sync",
            Self::ReRead => "re_read",
            Self::Discovery => "discovery",
            Self::Authors => "authors",
        }
    }
}

impl fmt::Display for CallClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
