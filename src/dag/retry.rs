//! How often and how soon a failed attempt is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often and how soon a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many times a failed attempt is tried again. Default: 0.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each further one. Default: 2 s.
    pub delay: Duration,
    /// The longest pause. Default: 10 min.
    pub max_delay: Duration,
    /// How many crashed attempts in a row that got nowhere are tried again; they never count as
    /// `retries`. Default: 3.
    pub crash_retries: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 0,
            delay: Duration::from_secs(2),
            max_delay: Duration::from_mins(10),
            crash_retries: 3,
        }
    }
}
