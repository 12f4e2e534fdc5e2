//! What each tick of a schedule becomes: a run now, a run that waits, or nothing, with the reason.
//!
//! Pure, one [`Step`] at a time: whoever takes a step tells the next question what it changed. A
//! schedule remembers up to which tick everything was decided; what lies between that and the
//! present is due. A tick is *late* when nobody was there to decide it at its time; catch-up says
//! which late ticks are made up for, and those wait in order, whatever the overlap rule says of
//! ticks in time: making up for what was missed must not lose it again.

use std::{fmt, time::Duration};

use super::ticks::Ticks;
use crate::clock::Timestamp;

/// A tick that is decided later than this was missed by everybody.
const LATE: Duration = Duration::from_mins(1);

/// A mark that lies this far ahead was set by a clock that stood wrong.
const WRONG_CLOCK: Duration = Duration::from_hours(24);

/// How many runs of one schedule are made at once of ticks that were missed: with
/// [`Catchup::All`] that may be years, and what is not made yet is not forgotten.
const MOST_MADE_UP: usize = 100;

/// How many runs of one schedule go on at once where they may overlap; further ones wait.
const MOST_AT_ONCE: usize = 100;

/// How many ticks one step passes over at most.
const MOST_SKIPPED: u32 = 10_000;

/// When a schedule fires and what its ticks become.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its ticks.
    pub ticks: Ticks,
    /// No tick before this.
    pub start: Option<Timestamp>,
    /// No tick after this.
    pub end: Option<Timestamp>,
    /// What happens to ticks that were missed.
    pub catchup: Catchup,
    /// What happens to a tick while the run of an earlier one goes on.
    pub overlap: Overlap,
    /// Whether a run starts only once the one before it has succeeded.
    pub depends_on_past: bool,
}

/// What happens to ticks that were missed while nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Catchup {
    /// Each is made up for, in order.
    All,
    /// The last one is made up for.
    #[default]
    Last,
    /// They are forgotten.
    None,
    /// Those that are at most this old are made up for, in order.
    Window(Duration),
}

impl Catchup {
    /// The names in pipeline files and in JSON.
    pub const NAMES: [&'static str; 4] = ["all", "last", "none", "window"];

    /// The name in pipeline files and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Last => "last",
            Self::None => "none",
            Self::Window(_) => "window",
        }
    }
}

/// What happens to a tick while the run of an earlier one goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits for its turn; where one waits already, it is left out.
    QueueOne,
    /// It waits for its turn.
    QueueAll,
    /// The earlier run is cancelled, and it starts once that has ended.
    CancelOther,
    /// Both run.
    Allow,
}

impl Overlap {
    /// Every rule, in the order in which messages list them.
    pub const ALL: [Self; 5] = [
        Self::Skip,
        Self::QueueOne,
        Self::QueueAll,
        Self::CancelOther,
        Self::Allow,
    ];

    /// The name in pipeline files and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::QueueOne => "queue-one",
            Self::QueueAll => "queue-all",
            Self::CancelOther => "cancel-other",
            Self::Allow => "allow",
        }
    }
}

/// A tick with its data interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The tick.
    pub scheduled_for: Timestamp,
    /// The tick before it.
    pub interval_start: Timestamp,
    /// The tick itself.
    pub interval_end: Timestamp,
}

/// A run of the schedule that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveRun {
    /// Its tick.
    pub scheduled_for: Timestamp,
    /// Whether it waits for its turn.
    pub held: bool,
}

/// Where a schedule stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// Everything up to here is decided.
    pub handled_until: Timestamp,
    /// The present.
    pub now: Timestamp,
    /// Its runs that have not ended.
    pub live: &'a [LiveRun],
    /// Whether the last run made so far has succeeded; true where there is none.
    pub past_succeeded: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The ticks from `first` to `last` become no runs.
    Skip {
        /// The first of them.
        first: Timestamp,
        /// The last of them.
        last: Timestamp,
        /// How many they are.
        count: u32,
        /// Why.
        reason: SkipReason,
    },
    /// A tick becomes a run.
    Run {
        /// The tick.
        tick: Tick,
        /// Whether it starts now; else why it waits.
        hold: Option<Hold>,
        /// Whether the runs of earlier ticks are cancelled first.
        cancels_others: bool,
    },
    /// The mark goes back: it was set by a clock that stood wrong.
    Rewind {
        /// The new mark.
        to: Timestamp,
    },
}

/// Why a tick becomes no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Nobody was there to decide it, and it is not made up for.
    Missed(Catchup),
    /// The run of this earlier tick went on.
    Overlap(Timestamp),
    /// The run of this earlier tick waited already.
    Waiting(Timestamp),
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(catchup) => {
                write!(f, "it was missed, and catchup is `{}`", catchup.name())
            }
            Self::Overlap(earlier) => write!(f, "the run of {earlier} went on"),
            Self::Waiting(earlier) => write!(f, "the run of {earlier} waited for its turn already"),
        }
    }
}

/// Why a run waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// A run of an earlier tick goes on.
    Overlap,
    /// The run before it has not succeeded.
    Past,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overlap => "it waits for the run of an earlier tick to end",
            Self::Past => "it waits for the run before it to succeed (`depends_on_past`)",
        })
    }
}

impl Schedule {
    /// The first tick after `moment` between start and end.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let before_start = self.start.map(|start| start - Duration::from_millis(1));
        let from = before_start.map_or(moment, |start| start.max(moment));
        let next = self.ticks.after(from)?;
        self.end.is_none_or(|end| next <= end).then_some(next)
    }

    /// The ticks after `moment` between start and end, with their intervals.
    pub fn iter_after(&self, moment: Timestamp) -> impl Iterator<Item = Tick> {
        std::iter::successors(self.next_after(moment), |tick| self.next_after(*tick))
            .map(|tick| self.tick(tick))
    }

    /// A tick with its interval; the first one ever has an empty interval.
    pub fn tick(&self, scheduled_for: Timestamp) -> Tick {
        Tick {
            scheduled_for,
            interval_start: self.ticks.before(scheduled_for).unwrap_or(scheduled_for),
            interval_end: scheduled_for,
        }
    }

    /// What is to be done next; `None` where nothing is due, or there is no room for what is.
    pub fn step(&self, standing: &Standing<'_>) -> Option<Step> {
        let now = standing.now;
        if standing.handled_until > now + WRONG_CLOCK {
            return Some(Step::Rewind { to: now });
        }
        let next = self.next_after(standing.handled_until)?;
        if next > now {
            return None;
        }
        if now.since(next) > LATE {
            self.late(next, standing)
        } else {
            Some(self.in_time(next, standing))
        }
    }

    /// Whether the oldest waiting run may start. `past_succeeded` is that of the run before it.
    pub fn may_start(&self, live: &[LiveRun], past_succeeded: bool) -> bool {
        self.has_room(live) && (past_succeeded || !self.depends_on_past)
    }

    fn late(&self, tick: Timestamp, standing: &Standing<'_>) -> Option<Step> {
        let now = standing.now;
        let limit = match self.catchup {
            Catchup::All => None,
            Catchup::None => Some(now - LATE),
            Catchup::Window(window) => Some(now - window.max(LATE)),
            // The last one that is due is made up for, so all before it are not.
            Catchup::Last => self.last_due(now),
        };
        if let Some(limit) = limit.filter(|&limit| tick < limit) {
            let (mut last, mut count) = (tick, 1);
            while count < MOST_SKIPPED
                && let Some(next) = self.next_after(last).filter(|&next| next < limit)
            {
                (last, count) = (next, count + 1);
            }
            return Some(Step::Skip {
                first: tick,
                last,
                count,
                reason: SkipReason::Missed(self.catchup),
            });
        }
        // Any other rule would forget in the meantime what is not made now.
        if self.catchup == Catchup::All && standing.live.len() >= MOST_MADE_UP {
            return None;
        }
        Some(self.run(tick, self.hold(standing), false))
    }

    fn in_time(&self, tick: Timestamp, standing: &Standing<'_>) -> Step {
        let skip = |reason| Step::Skip {
            first: tick,
            last: tick,
            count: 1,
            reason,
        };
        let hold = self.hold(standing);
        let going_on = standing.live.iter().map(|run| run.scheduled_for).min();
        let waiting = standing.live.iter().find(|run| run.held);
        match (self.overlap, going_on, waiting) {
            (Overlap::Skip, Some(earlier), _) => skip(SkipReason::Overlap(earlier)),
            (Overlap::QueueOne, _, Some(earlier)) => {
                skip(SkipReason::Waiting(earlier.scheduled_for))
            }
            (Overlap::CancelOther, Some(_), _) => self.run(tick, hold, true),
            _ => self.run(tick, hold, false),
        }
    }

    fn hold(&self, standing: &Standing<'_>) -> Option<Hold> {
        if !self.has_room(standing.live) || self.waits_in_line(standing.live) {
            Some(Hold::Overlap)
        } else if self.depends_on_past && !standing.past_succeeded {
            Some(Hold::Past)
        } else {
            None
        }
    }

    /// Whether one more run may go on beside those that do.
    fn has_room(&self, live: &[LiveRun]) -> bool {
        let most = match self.overlap {
            Overlap::Allow => MOST_AT_ONCE,
            Overlap::Skip | Overlap::QueueOne | Overlap::QueueAll | Overlap::CancelOther => 1,
        };
        live.iter().filter(|run| !run.held).count() < most
    }

    /// Whether runs that wait come first.
    fn waits_in_line(&self, live: &[LiveRun]) -> bool {
        self.overlap != Overlap::Allow && live.iter().any(|run| run.held)
    }

    fn run(&self, tick: Timestamp, hold: Option<Hold>, cancels_others: bool) -> Step {
        Step::Run {
            tick: self.tick(tick),
            hold,
            cancels_others,
        }
    }

    fn last_due(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.end.map_or(now, |end| end.min(now));
        self.ticks.before(until + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests;
