//! Where the clocks of a zone show what: instants in whole seconds of UTC, and the wall clock.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

/// Transitions are looked for in steps of this many seconds: no zone has two within one.
const STEP: i64 = 12 * 3600;

/// How far a clock was ever set back or forth at once, with room.
const LARGEST_CHANGE: i64 = 48 * 3600;

/// The seconds that the clocks of a zone are ahead of UTC.
pub(super) fn offset(zone: Tz, at: i64) -> i64 {
    let utc = naive(at);
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

/// What the clocks show, counted like an instant.
pub(super) fn shown(zone: Tz, at: i64) -> i64 {
    at + offset(zone, at)
}

/// The first instant after `at` and not after `limit` at which the clocks change.
pub(super) fn change_after(zone: Tz, at: i64, limit: i64) -> Option<i64> {
    let before = offset(zone, at);
    let mut low = at;
    while low < limit {
        let high = (low + STEP).min(limit);
        if offset(zone, high) != before {
            return Some(first_with(low, high, |second| {
                offset(zone, second) != before
            }));
        }
        low = high;
    }
    None
}

/// The first instant of the stretch without change in which `at` lies, where it is after `limit`.
pub(super) fn change_before(zone: Tz, at: i64, limit: i64) -> Option<i64> {
    let here = offset(zone, at);
    let mut high = at;
    while high > limit {
        let low = (high - STEP).max(limit);
        if offset(zone, low) != here {
            return Some(first_with(low, high, |second| offset(zone, second) == here));
        }
        high = low;
    }
    None
}

/// The first second after `low` for which something holds that holds at `high` and not at `low`.
fn first_with(mut low: i64, mut high: i64, holds: impl Fn(i64) -> bool) -> i64 {
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// When something happens once that is to happen when the clocks show `wall`: the first time they
/// do, or where they jump over it, right after the jump. `None` where they jump over the whole day.
pub(super) fn instant_of(zone: Tz, wall: i64) -> Option<i64> {
    match zone.from_local_datetime(&naive(wall)) {
        LocalResult::Single(instant) => Some(instant.timestamp()),
        LocalResult::Ambiguous(first, second) => Some(first.timestamp().min(second.timestamp())),
        LocalResult::None => {
            let jump = change_after(zone, wall - LARGEST_CHANGE, wall + LARGEST_CHANGE)?;
            let jump = jump_over(zone, wall, jump)?;
            let (from, to) = (jump + offset(zone, jump - 1), shown(zone, jump));
            let midnight = wall - wall.rem_euclid(86_400);
            let whole_day = from <= midnight && midnight + 86_400 <= to;
            (!whole_day).then_some(jump)
        }
    }
}

/// The change at which the clocks jump over `wall`, looked for from one change on.
fn jump_over(zone: Tz, wall: i64, mut change: i64) -> Option<i64> {
    loop {
        let (from, to) = (change + offset(zone, change - 1), shown(zone, change));
        if from <= wall && wall < to {
            return Some(change);
        }
        change = change_after(zone, change, wall + LARGEST_CHANGE)?;
    }
}

/// The latest time that the clocks have shown shortly before `at`: later than at `at` where they
/// were set back since.
pub(super) fn latest_shown(zone: Tz, at: i64) -> i64 {
    let now = shown(zone, at);
    match change_before(zone, at, at - LARGEST_CHANGE) {
        Some(change) => now.max(change + offset(zone, change - 1)),
        None => now,
    }
}

/// The first instant of a day.
pub(super) fn start_of(zone: Tz, date: NaiveDate) -> i64 {
    let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    // A day that the clocks jump over begins where they land.
    instant_of(zone, midnight)
        .or_else(|| change_after(zone, midnight - LARGEST_CHANGE, midnight + LARGEST_CHANGE))
        .unwrap_or(midnight)
}

/// A count of seconds as date and time.
pub(super) fn naive(seconds: i64) -> NaiveDateTime {
    utc(seconds).naive_utc()
}

/// A count of seconds as an instant; the far ends of the range stand for what lies beyond.
pub(super) fn utc(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or(if seconds < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}
