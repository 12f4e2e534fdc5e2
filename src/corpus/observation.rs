//! A reading of a record's changing numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// A reading of a record's changing numbers (score, comments, subscribers) at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The id of the record that was read.
    pub record_id: String,
    /// When it was read; `None` where the source does not say.
    pub observed_at: Option<Timestamp>,
    /// How old the record was when it was read.
    pub age: LabelAge,
    /// The score, where the source has one.
    pub score: Option<f64>,
    /// The other numbers that were read, by the source's own names.
    #[serde(default)]
    pub values: Map<String, Value>,
}

/// How old a record was when a number was read. It is the reading's age, not the post's of today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelAge {
    /// Read this long after publication.
    Known(Duration),
    /// Read at an unknown age: used, and counted in the report.
    Unknown,
}
