//! The kinds of answers, and the rule of each.
//!
//! | Answer | What it is | Again? | The host's breaker | The budget |
//! |---|---|---|---|---|
//! | `good` | 200 with JSON | – | closes | follows the headers |
//! | `not_json` | 200 with something else, or cut short | with growing pauses | counts | follows the headers |
//! | `token_refused` | 401, mostly 34 kB of HTML | once, with a new token | closes | one call, maybe counted |
//! | `closed` | 403 with JSON or nothing: private, quarantined, not for this application | no | closes | one call, maybe counted |
//! | `blocked` | 403 with HTML: this network is shut out | no; the task gives up its slot | opens for 30 minutes | one call, maybe counted |
//! | `moved` | 301, 302, 307, 308: gone or renamed; leads to a search | no; never followed | closes | one call, maybe counted |
//! | `gone` | 404, 410: not there, or no longer | no | closes | one call, maybe counted |
//! | `withheld` | 451: taken down | no | closes | one call, maybe counted |
//! | `too_much` | 429; the edge says `Retry-After`, the API does not | after the pause | closes | all stop: the longer of `Retry-After`, a pause that doubles from 5 s, and the window's end where it is spent; then half the pace for a window |
//! | `broken` | 408, 5xx (and 520 to 530 of the edge) | with growing pauses | counts | one call, maybe counted |
//! | `wrong` | any other 4xx: the request is wrong | no | closes | one call, maybe counted |
//! | `silent` | connected, then a hang or a reset | with growing pauses | counts | one call, maybe counted |
//! | `unreachable` | no connection | with growing pauses | counts | not a call |
//!
//! Growing pauses: half a second, doubled up to a minute, each drawn at random between half of that
//! and all of it; six tries in all.

use serde::{Deserialize, Serialize};

/// A kind of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Answer {
    Good,
    NotJson,
    TokenRefused,
    Closed,
    Blocked,
    Moved,
    Gone,
    Withheld,
    TooMuch,
    Broken,
    Wrong,
    Silent,
    Unreachable,
}

/// What follows for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Rule {
    /// It is done.
    Done,
    /// The same again after a pause.
    Again,
    /// The same again with a new token, once.
    NewToken,
    /// The same again when the budget allows it.
    Later,
    /// Not again: what was asked for cannot be had.
    Refused,
    /// Not again soon, whatever is asked for.
    ShutOut,
}

/// What follows for the host's breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostRule {
    Well,
    Failing,
    Blocked,
}

impl Answer {
    /// Every kind.
    #[cfg(test)]
    const ALL: [Self; 13] = [
        Self::Good,
        Self::NotJson,
        Self::TokenRefused,
        Self::Closed,
        Self::Blocked,
        Self::Moved,
        Self::Gone,
        Self::Withheld,
        Self::TooMuch,
        Self::Broken,
        Self::Wrong,
        Self::Silent,
        Self::Unreachable,
    ];

    /// The kind of a status. A body that is a page tells a block from a refusal.
    pub(in super::super) fn of_status(status: u16, is_page: bool) -> Self {
        match status {
            200..=299 if is_page => Self::NotJson,
            200..=299 => Self::Good,
            300..=399 => Self::Moved,
            401 => Self::TokenRefused,
            403 if is_page => Self::Blocked,
            403 => Self::Closed,
            404 | 410 => Self::Gone,
            429 => Self::TooMuch,
            451 => Self::Withheld,
            408 | 500..=599 => Self::Broken,
            _ => Self::Wrong,
        }
    }

    /// What follows for the call.
    pub(in super::super) const fn rule(self) -> Rule {
        match self {
            Self::Good => Rule::Done,
            Self::NotJson | Self::Broken | Self::Silent | Self::Unreachable => Rule::Again,
            Self::TokenRefused => Rule::NewToken,
            Self::TooMuch => Rule::Later,
            Self::Blocked => Rule::ShutOut,
            Self::Closed | Self::Moved | Self::Gone | Self::Withheld | Self::Wrong => Rule::Refused,
        }
    }

    /// What follows for the host.
    pub(super) const fn host_rule(self) -> HostRule {
        match self.rule() {
            Rule::Again => HostRule::Failing,
            Rule::ShutOut => HostRule::Blocked,
            Rule::Done | Rule::NewToken | Rule::Later | Rule::Refused => HostRule::Well,
        }
    }

    /// What it means, for messages.
    pub(in super::super) const fn meaning(self) -> &'static str {
        match self {
            Self::Good => "an answer",
            Self::NotJson => "no JSON, or half of it",
            Self::TokenRefused => "the token is not good",
            Self::Closed => "it is private, quarantined, or not for this application",
            Self::Blocked => "this network is shut out",
            Self::Moved => "it is gone or has another name",
            Self::Gone => "it is not there",
            Self::Withheld => "it was taken down",
            Self::TooMuch => "too much was asked",
            Self::Broken => "the server fails",
            Self::Wrong => "the request is wrong",
            Self::Silent => "no answer came",
            Self::Unreachable => "the server cannot be reached",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_kind() {
        let rows: Vec<Vec<&str>> = include_str!("answer.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! | `"))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), Answer::ALL.len());
        for (answer, row) in Answer::ALL.into_iter().zip(rows) {
            let name = serde_json::to_value(answer).unwrap();
            assert_eq!(row[0].trim_end_matches('`'), name);
            let again = match answer.rule() {
                Rule::Done => "–",
                Rule::Again => "with growing pauses",
                Rule::NewToken => "once, with a new token",
                Rule::Later => "after the pause",
                Rule::Refused | Rule::ShutOut => "no",
            };
            assert!(row[2].starts_with(again), "{name}: {}", row[2]);
            let host = match answer.host_rule() {
                HostRule::Well => "closes",
                HostRule::Failing => "counts",
                HostRule::Blocked => "opens",
            };
            assert!(row[3].starts_with(host), "{name}: {}", row[3]);
        }
    }

    #[test]
    fn a_status_alone_does_not_tell_a_block_from_a_refusal() {
        assert_eq!(Answer::of_status(403, true), Answer::Blocked);
        assert_eq!(Answer::of_status(403, false), Answer::Closed);
        assert_eq!(Answer::of_status(302, true), Answer::Moved);
        assert_eq!(Answer::of_status(522, true), Answer::Broken);
        assert_eq!(Answer::of_status(400, false), Answer::Wrong);
        assert_eq!(Answer::of_status(200, true), Answer::NotJson);
    }
}
