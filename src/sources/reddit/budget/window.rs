//! A window of the server: when it ends, what is left in it, and for whom.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::class::CallClass;
use crate::clock::Timestamp;

/// The length of the server's windows.
pub(super) const WINDOW: Duration = Duration::from_mins(10);

/// How far `Date` and `x-ratelimit-reset` together miss a window's end; measured −1 to +4 s.
pub(super) const SLACK: Duration = Duration::from_secs(5);

/// How much of a window may leave at once, in percent; the rest is spread over its time.
const BURST_PERCENT: u64 = 25;

/// The longest wait after which it is looked again whether others have left something over.
pub(super) const POLL: Duration = Duration::from_secs(5);

/// A window as far as the server has told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) end: Timestamp,
    /// The most that it can be away.
    pub(super) span: Duration,
    pub(super) limit: u64,
    /// The smallest count that was told.
    pub(super) left: u64,
    /// Calls of this client by class.
    pub(super) calls: BTreeMap<CallClass, u64>,
}

impl Window {
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.end + SLACK || self.is_impossible(now)
    }

    /// Whether its end is further away than it can be: the clock was set back.
    pub(super) fn is_impossible(&self, now: Timestamp) -> bool {
        self.end.since(now) > self.span + SLACK
    }

    /// What `class` holds of its own part at `now`: less, the later it is.
    pub(super) fn kept_for(&self, class: CallClass, limit: u64, now: Timestamp) -> u64 {
        let part = limit * class.kept_percent() / 100;
        let unused = part.saturating_sub(self.calls.get(&class).copied().unwrap_or(0));
        unused.min(share(part, self.end.since(now)))
    }

    pub(super) fn kept_for_others(&self, class: CallClass, limit: u64, now: Timestamp) -> u64 {
        let others = CallClass::ALL.into_iter().filter(|other| *other != class);
        others.map(|other| self.kept_for(other, limit, now)).sum()
    }

    /// How long until the even pace allows one more call after `used`. A class is not held up in
    /// what is kept for it.
    pub(super) fn too_early(
        &self,
        class: CallClass,
        pace: u64,
        used: u64,
        now: Timestamp,
    ) -> Duration {
        if self.kept_for(class, pace, now) > 0 {
            return Duration::ZERO;
        }
        let burst = pace * BURST_PERCENT / 100;
        let spread = (pace - burst).max(1);
        let over = (used + 1).saturating_sub(burst);
        let wanted = WINDOW.mul_f64(over as f64 / spread as f64);
        let to_end = self.end.since(now);
        let elapsed = WINDOW.saturating_sub(to_end);
        wanted.saturating_sub(elapsed).min(to_end + SLACK).min(POLL)
    }
}

/// The part of `whole` that belongs to the time left of a window.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between zero and the whole"
)]
fn share(whole: u64, left: Duration) -> u64 {
    let part = left.as_secs_f64() / WINDOW.as_secs_f64();
    (whole as f64 * part.min(1.0)).floor() as u64
}

/// The mark of ten minutes that is meant, where one is near.
pub(super) fn aligned(end: Timestamp) -> Timestamp {
    let step = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
    let over = end.as_millis().rem_euclid(step);
    let slack = i64::try_from(SLACK.as_millis()).unwrap_or(0);
    Timestamp::from_millis(if over <= slack {
        end.as_millis() - over
    } else if step - over <= slack {
        end.as_millis() + step - over
    } else {
        end.as_millis()
    })
}
