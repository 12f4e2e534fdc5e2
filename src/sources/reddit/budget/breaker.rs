//! Whether a host is asked at all: it is left alone while it does not answer as it should.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::window::WINDOW;
use crate::clock::Timestamp;

/// So many failures in a row open the breaker.
const FAILURES: u32 = 5;

/// How long it stays open at first; each failed trial doubles that, up to a window.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// How long a host that has shut this network out is left alone.
pub(super) const BLOCKED: Duration = Duration::from_mins(30);

/// After this long a trial without an end is another's turn.
const TRIAL: Duration = Duration::from_mins(2);

/// What is known of a host. Times are this machine's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Breaker {
    /// Failures in a row.
    pub(super) failures: u32,
    pub(super) open: Option<Open>,
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) until: Timestamp,
    length: Duration,
    /// When the one call left that tries whether the host is well again.
    trial: Option<Timestamp>,
}

impl Breaker {
    /// How long a call has to wait; zero where it may leave now.
    pub(super) fn wait(&mut self, now: Timestamp) -> Duration {
        let Some(open) = &mut self.open else {
            return Duration::ZERO;
        };
        // A clock that was set back must not make it longer.
        open.until = open.until.min(now + open.length);
        let left = open.until.since(now);
        if !left.is_zero() {
            return left;
        }
        open.trial.map_or(Duration::ZERO, |trial| {
            let rest = (trial + TRIAL).since(now).min(TRIAL);
            rest.min(Duration::from_secs(1))
        })
    }

    /// A call leaves that did not have to wait. After a pause one alone does.
    pub(super) fn leave(&mut self, now: Timestamp) {
        if let Some(open) = &mut self.open {
            open.trial = Some(now);
        }
    }

    /// The host has answered, with whatever. While it is left alone only the trial's answer tells
    /// that it is well: others left before it failed.
    pub(super) fn answered(&mut self) {
        if self.open.as_ref().is_none_or(|open| open.trial.is_some()) {
            *self = Self::default();
        }
    }

    /// The host has failed.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let length = match &self.open {
            // Those that left before it opened say nothing new.
            Some(open) if open.trial.is_none() => return,
            Some(open) => (open.length * 2).min(WINDOW),
            None if self.failures >= FAILURES => FIRST_PAUSE,
            None => return,
        };
        self.open_for(now, length);
    }

    /// The host has shut this network out.
    pub(super) fn blocked(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.open_for(now, BLOCKED);
    }

    fn open_for(&mut self, now: Timestamp, length: Duration) {
        self.open = Some(Open {
            until: now + length,
            length,
            trial: None,
        });
    }

    /// Its state in a word.
    pub(super) fn state(&self, now: Timestamp) -> &'static str {
        match &self.open {
            None => "closed",
            Some(open) if now < open.until => "open",
            Some(_) => "half_open",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000) + Duration::from_secs(seconds)
    }

    #[test]
    fn opens_after_failures_in_a_row_and_tries_with_one_call() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        breaker.answered();
        for _ in 0..4 {
            breaker.failed(at(0));
        }
        assert_eq!(
            (breaker.wait(at(0)), breaker.state(at(0))),
            (Duration::ZERO, "closed")
        );
        breaker.failed(at(0));
        assert_eq!(breaker.wait(at(1)), Duration::from_secs(29));
        assert_eq!(breaker.state(at(1)), "open");
        assert_eq!(breaker.state(at(30)), "half_open");
        assert!(breaker.wait(at(30)).is_zero());
        breaker.leave(at(30));
        assert!(!breaker.wait(at(30)).is_zero(), "and no other beside it");
        breaker.failed(at(31));
        assert_eq!(
            breaker.wait(at(31)),
            Duration::from_mins(1),
            "twice as long"
        );
        assert!(breaker.wait(at(91)).is_zero());
        breaker.leave(at(91));
        breaker.answered();
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn an_answer_to_a_call_that_left_before_ends_no_pause() {
        let mut breaker = Breaker::default();
        breaker.blocked(at(0));
        breaker.answered();
        assert_eq!(
            breaker.wait(at(1)),
            BLOCKED.saturating_sub(Duration::from_secs(1))
        );
    }

    #[test]
    fn a_trial_that_died_is_followed_by_another() {
        let mut breaker = Breaker::default();
        breaker.blocked(at(0));
        assert_eq!(breaker.wait(at(0)), BLOCKED);
        let over = BLOCKED.as_secs();
        assert!(breaker.wait(at(over)).is_zero());
        breaker.leave(at(over));
        assert!(!breaker.wait(at(over + 1)).is_zero());
        assert!(breaker.wait(at(over + 120)).is_zero());
    }

    #[test]
    fn a_clock_set_back_makes_no_pause_longer() {
        let mut breaker = Breaker::default();
        breaker.blocked(at(100_000));
        assert_eq!(breaker.wait(at(0)), BLOCKED);
        assert_eq!(
            breaker.wait(at(60)),
            BLOCKED.saturating_sub(Duration::from_mins(1))
        );
    }
}
