//! What was known of an author or a community at a moment.

use serde::Serialize;

use crate::clock::Timestamp;

/// What was known of an author when it was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuthorReading {
    /// The source's id of the account, which outlives its name.
    pub id: String,
    /// When it was read.
    pub read_at: Timestamp,
    /// The account's name.
    pub name: Option<String>,
    /// When the account was made.
    pub created_at: Option<Timestamp>,
    /// What it has earned by posts.
    pub link_karma: Option<f64>,
    /// What it has earned by comments.
    pub comment_karma: Option<f64>,
}

/// What was known of a community when it was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommunityReading {
    /// Its name.
    pub name: String,
    /// When it was read.
    pub read_at: Timestamp,
    /// How many follow it.
    pub subscribers: Option<f64>,
}
