//! What may be asked now: a state machine over time.
//!
//! Reddit counts the calls of a client id in windows of ten minutes of its own clock, and tells in
//! most answers how many are left. What is certain here is an upper bound of what the server has
//! counted: the smallest `remaining` that it told in this window, less every call that this answer
//! cannot have known of – those in flight, and the *strays*, whose answer told nothing or never
//! came. A call leaves while that bound is above [`MARGIN`].
//!
//! The end of a window is the server's, told by `Date` and `x-ratelimit-reset`. This machine's
//! clock only measures from there, and may be wrong: so the first call in a window that should have
//! begun is a *probe*, alone until its answer says which window it is. A wrong guess costs one of
//! the calls of the margin, never one too many.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    class::CallClass,
    told::{Count, LONGEST, Told},
    window::{POLL, SLACK, WINDOW, Window, aligned},
};
use crate::clock::Timestamp;

/// How far this machine's clock is thought to jump.
const JUMP: Duration = Duration::from_mins(10);

/// How many calls of a window are left for probes that guess wrong.
pub(super) const MARGIN: u64 = 8;

/// The time between two calls while no window is known.
const UNKNOWN_PACE: Duration = Duration::from_secs(1);

/// How long those wait who wait for the answer of another.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A call that nobody waits for any more arrives within this time, or never.
const ARRIVAL: Duration = Duration::from_secs(10);

/// The pause after the first refusal that says nothing of its length; it doubles with each.
const FIRST_STOP: Duration = Duration::from_secs(5);

/// What the caller decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The most calls in a window, where the server grants more.
    pub(super) ceiling: Option<u64>,
    /// After this long a call has arrived, or never will.
    pub(super) life: Duration,
}

/// The budget of a client id. All times are the server's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Budget {
    /// How many milliseconds the server's clock is ahead of this machine's.
    pub(super) offset: i64,
    pub(super) window: Option<Window>,
    pub(super) stop: Option<Stop>,
    /// Until then calls leave at half the pace.
    slow_until: Option<Timestamp>,
    /// Refusals in a row.
    refusals: u32,
    next: u64,
    pub(super) last_start: Option<Timestamp>,
    pub(super) flights: Vec<Flight>,
    pub(super) strays: Vec<Stray>,
}

/// A call that was allowed and has not been answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Flight {
    number: u64,
    pub(super) class: CallClass,
    at: Timestamp,
    probes: bool,
}

/// A call that the server may have counted without having told so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stray {
    number: u64,
    /// The count in an answer to a call that left from then on has it, if it ever arrived.
    covered_from: Timestamp,
    /// When it was given up.
    at: Timestamp,
}

/// No call leaves before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub(super) until: Timestamp,
    length: Duration,
}

/// Whether a call may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It leaves now, under this number.
    Go(u64),
    /// Not now; ask again after this long.
    Wait(Duration, Cause),
}

/// Why a call has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The server has refused, and said or implied until when.
    Stopped,
    /// The answer that tells the window is awaited.
    Probing,
    /// The window is spent, or what is left of it is for others.
    Spent,
    /// It is too early in the window for so many.
    Paced,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Came {
    /// It never reached the server.
    Unsent,
    /// It may have; no answer came.
    Silence,
    /// An answer.
    Answer(Told),
}

impl Budget {
    /// The server's time when this machine's is `now`.
    pub(super) fn server_time(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis().saturating_add(self.offset))
    }

    /// Decides about a call of `class`, and books it where it may leave.
    pub(super) fn reserve(&mut self, now: Timestamp, class: CallClass, bounds: Bounds) -> Verdict {
        if let Some(left) = self.stopped(now) {
            return Verdict::Wait(left, Cause::Stopped);
        }
        let now = self.server_time(now);
        self.give_up_old(now, bounds.life);
        match self.verdict(now, class, bounds) {
            Ok(probes) => Verdict::Go(self.start(now, class, probes)),
            Err((wait, cause)) => Verdict::Wait(wait, cause),
        }
    }

    /// How long the server wants to be left alone.
    pub(super) fn stopped(&mut self, now: Timestamp) -> Option<Duration> {
        let now = self.server_time(now);
        let stop = self.stop.as_mut()?;
        // A clock that was set back must not make it longer.
        stop.until = stop.until.min(now + stop.length);
        let left = stop.until.since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether the call may leave, and whether as a probe; else how long it waits.
    fn verdict(
        &self,
        now: Timestamp,
        class: CallClass,
        bounds: Bounds,
    ) -> Result<bool, (Duration, Cause)> {
        let Some(window) = &self.window else {
            return self.verdict_unknown(now);
        };
        if window.is_over(now) {
            return self.verdict_over(now, window);
        }
        let to_end = window.end.since(now);
        let held = (self.flights.len() + self.strays.len()) as u64;
        let ceiling = bounds.ceiling.unwrap_or(u64::MAX).min(window.limit);
        let used = window.limit.saturating_sub(window.left) + held;
        let free = window.left.saturating_sub(held);
        let free = free.min(ceiling.saturating_sub(used));
        let margin = MARGIN.min(window.limit / 4);
        if free <= margin {
            return Err((to_end + SLACK, Cause::Spent));
        }
        if free <= margin + window.kept_for_others(class, ceiling, now) {
            return Err((POLL.min(to_end + SLACK), Cause::Spent));
        }
        let pace = if self.slow_until.is_some_and(|until| now < until) {
            ceiling / 2
        } else {
            ceiling
        };
        let early = window.too_early(class, pace.max(1), used, now);
        if early.is_zero() {
            Ok(false)
        } else {
            Err((early, Cause::Paced))
        }
    }

    /// Nothing is known: one call at a time, slowly.
    fn verdict_unknown(&self, now: Timestamp) -> Result<bool, (Duration, Cause)> {
        if !self.flights.is_empty() {
            return Err((LOOK_AGAIN, Cause::Probing));
        }
        let next = self.last_start.map(|last| last + UNKNOWN_PACE);
        let left = next.map_or(Duration::ZERO, |next| next.since(now).min(UNKNOWN_PACE));
        if left.is_zero() {
            Ok(true)
        } else {
            Err((left, Cause::Paced))
        }
    }

    /// The window should be over: one probe at a time, paid from what is left of it.
    fn verdict_over(&self, now: Timestamp, window: &Window) -> Result<bool, (Duration, Cause)> {
        if self.flights.iter().any(|flight| flight.probes) {
            return Err((LOOK_AGAIN, Cause::Probing));
        }
        let held = (self.flights.len() + self.strays.len()) as u64;
        let sure = window.end + SLACK + JUMP;
        if window.left > held || now >= sure || window.is_impossible(now) {
            Ok(true)
        } else {
            Err((sure.since(now), Cause::Spent))
        }
    }

    fn start(&mut self, now: Timestamp, class: CallClass, probes: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        self.last_start = Some(now);
        self.flights.push(Flight {
            number,
            class,
            at: now,
            probes,
        });
        if let Some(window) = &mut self.window {
            *window.calls.entry(class).or_insert(0) += 1;
        }
        number
    }

    /// Calls of processes that died become strays.
    fn give_up_old(&mut self, now: Timestamp, life: Duration) {
        for flight in &mut self.flights {
            if flight.at > now + SLACK {
                // The clock was set back: its life begins anew.
                flight.at = now;
            }
        }
        for stray in &mut self.strays {
            stray.covered_from = stray.covered_from.min(now + SLACK + ARRIVAL);
        }
        let (alive, dead) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(|flight| flight.at + life >= now);
        self.flights = alive;
        for flight in dead {
            self.strays.push(Stray {
                number: flight.number,
                covered_from: now + ARRIVAL,
                at: now,
            });
        }
    }

    /// Books what came of a call.
    pub(super) fn settle(&mut self, now: Timestamp, number: u64, came: Came) {
        let flight = self.take(number);
        let (told, arrival) = match came {
            Came::Unsent => return,
            Came::Silence => (Told::default(), ARRIVAL),
            Came::Answer(told) => (told, Duration::ZERO),
        };
        if let Some(date) = told.date {
            // The date is cut to whole seconds: on average it is half a second later.
            self.offset = date.as_millis().saturating_add(500) - now.as_millis();
        }
        let now = self.server_time(now);
        if let Some(count) = told.count {
            self.refusals = 0;
            if let Some(flight) = &flight {
                self.strays.retain(|stray| stray.covered_from > flight.at);
            }
            let class = flight.map(|flight| flight.class);
            self.counted(told.date.unwrap_or(now), count, class);
        } else {
            self.strays.push(Stray {
                number,
                covered_from: now + arrival,
                at: now,
            });
            if let Some(date) = told.date {
                self.dated(date);
            }
        }
    }

    /// Books that the server has refused to be asked so often.
    pub(super) fn refuse(&mut self, now: Timestamp, told: Told) {
        let now = self.server_time(now);
        let growing = FIRST_STOP * 2_u32.saturating_pow(self.refusals.min(7));
        self.refusals = self.refusals.saturating_add(1);
        let window = self.window.as_ref().filter(|window| !window.is_over(now));
        let rest = window
            .filter(|window| window.left <= MARGIN)
            .map_or(Duration::ZERO, |window| window.end.since(now) + SLACK);
        let length = told
            .retry_after
            .unwrap_or_default()
            .max(growing.min(WINDOW))
            .max(rest)
            .min(LONGEST);
        let until = now + length;
        if self.stop.is_none_or(|stop| stop.until < until) {
            self.stop = Some(Stop { until, length });
        }
        self.slow_until = Some(until.max(window.map_or(until, |window| window.end)) + WINDOW);
    }

    /// Removes a call from those that are under way; none where it was given up.
    fn take(&mut self, number: u64) -> Option<Flight> {
        self.strays.retain(|stray| stray.number != number);
        let place = self.flights.iter().position(|f| f.number == number)?;
        Some(self.flights.swap_remove(place))
    }

    /// The server has told its count at its time `at`.
    fn counted(&mut self, at: Timestamp, count: Count, class: Option<CallClass>) {
        let limit = count.remaining.saturating_add(count.used);
        let end = aligned(at + count.reset);
        if let Some(window) = &mut self.window {
            let nearness = end.since(window.end).max(window.end.since(end));
            if nearness <= SLACK * 6 {
                window.left = window.left.min(count.remaining);
                window.limit = limit;
                return;
            }
            if end < window.end && !window.is_impossible(at) {
                // An answer of the window before, which is late.
                return;
            }
        }
        self.open(
            Window {
                end,
                span: count.reset.max(WINDOW),
                limit,
                left: count.remaining,
                calls: BTreeMap::new(),
            },
            class,
        );
    }

    /// The server has told its time, and not its count.
    fn dated(&mut self, at: Timestamp) {
        let Some(window) = &self.window else {
            return;
        };
        if at < window.end + SLACK {
            return;
        }
        let past = at.since(window.end).as_millis() / WINDOW.as_millis();
        let windows = u32::try_from(past).unwrap_or(u32::MAX).saturating_add(1);
        let next = Window {
            end: window.end + WINDOW.saturating_mul(windows),
            span: WINDOW,
            limit: window.limit,
            left: window.limit,
            calls: BTreeMap::new(),
        };
        self.open(next, None);
    }

    /// A window has begun. What is under way may be counted in it.
    fn open(&mut self, mut window: Window, settled: Option<CallClass>) {
        // Its time was measured by this machine's clock.
        let start = window.end - WINDOW - SLACK - JUMP;
        self.strays.retain(|stray| stray.at >= start);
        for class in self
            .flights
            .iter()
            .map(|flight| flight.class)
            .chain(settled)
        {
            *window.calls.entry(class).or_insert(0) += 1;
        }
        self.window = Some(window);
    }
}
