//! Cron patterns in a time zone; the moments at which a schedule fires.
//!
//! croner says which times of the clock a pattern matches; which instants those are is decided
//! here, by Vixie cron's rule: where clocks change, a job at fixed times runs once per local day (a
//! time that the clocks jump over is made up for right after the jump, one that they show twice
//! counts the first time), and one with wildcards runs whenever the clocks match. Ticks strictly
//! increase in UTC. A pattern is at fixed times where minute and hour are numbers or lists of
//! numbers. The table in the tests says what that means for each kind of pattern.

mod local;

use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::clock::Timestamp;

/// When a schedule fires.
#[derive(Clone, Debug)]
pub struct Ticks(Rule);

#[derive(Clone, Debug)]
enum Rule {
    /// A cron pattern on the clocks of a zone.
    Cron {
        cron: Box<Cron>,
        fixed: bool,
        zone: Tz,
    },
    /// Every `period`, counted in UTC from `offset` after 1970-01-01.
    Every { period: Duration, offset: Duration },
}

/// Why a schedule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicksError {
    /// The pattern is not a cron pattern of five fields.
    #[error(
        "`{pattern}` is not a cron pattern: {reason}; write five fields (minute, hour, day of \
         month, month, weekday), as in `0 4 * * *`"
    )]
    Cron {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name is not one of the IANA time zones.
    #[error("`{0}` is not an IANA time zone; write a name such as `UTC` or `Europe/Berlin`")]
    Zone(String),
}

impl Ticks {
    /// The moments at which a pattern of five fields matches the clocks of an IANA zone.
    ///
    /// # Errors
    ///
    /// Where either cannot be read.
    pub fn cron(pattern: &str, zone: &str) -> Result<Self, TicksError> {
        let cron = Box::new(parse(pattern)?);
        let fixed = at_fixed_times(pattern);
        let zone = zone_of(zone)?;
        Ok(Self(Rule::Cron { cron, fixed, zone }))
    }

    /// Every `period`, from `offset` after 1970-01-01T00:00:00Z; never less than a millisecond.
    pub fn every(period: Duration, offset: Duration) -> Self {
        let period = period.max(Duration::from_millis(1));
        Self(Rule::Every { period, offset })
    }

    /// The first tick after `moment`; none where the pattern never matches again.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Cron { cron, fixed, zone } => {
                let second = moment.as_millis().div_euclid(1000);
                let next = if *fixed {
                    once_after(cron, *zone, second)
                } else {
                    whenever_after(cron, *zone, second)
                };
                next.map(from_seconds)
            }
            Rule::Every { period, offset } => {
                let (period, offset) = (milliseconds(*period), milliseconds(*offset));
                let passed = (moment.as_millis() - offset).div_euclid(period);
                Some(Timestamp::from_millis((passed + 1) * period + offset))
            }
        }
    }

    /// The last tick before `moment`; none where there was none.
    pub fn before(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Cron { cron, fixed, zone } => {
                // A moment within a second lies after the tick at its start.
                let second = (moment.as_millis() + 999).div_euclid(1000);
                let last = if *fixed {
                    once_before(cron, *zone, second)
                } else {
                    whenever_before(cron, *zone, second)
                };
                last.map(from_seconds)
            }
            Rule::Every { period, offset } => {
                let (period, offset) = (milliseconds(*period), milliseconds(*offset));
                let passed = (moment.as_millis() - offset - 1).div_euclid(period);
                Some(Timestamp::from_millis(passed * period + offset))
            }
        }
    }

    /// The ticks after `moment`, in order.
    pub fn iter_after(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.after(moment), |tick| self.after(*tick))
    }
}

/// The first matching time of the clock after `wall`, or at it.
fn match_after(cron: &Cron, wall: i64, inclusive: bool) -> Option<i64> {
    let next = cron
        .find_next_occurrence(&local::utc(wall), inclusive)
        .ok()?;
    Some(next.timestamp())
}

/// The last matching time of the clock before `wall`.
fn match_before(cron: &Cron, wall: i64) -> Option<i64> {
    let last = cron
        .find_previous_occurrence(&local::utc(wall), false)
        .ok()?;
    Some(last.timestamp())
}

/// The first instant after `second` at which the clocks match for the first time.
fn once_after(cron: &Cron, zone: Tz, second: i64) -> Option<i64> {
    let mut wall = local::shown(zone, second);
    loop {
        wall = match_after(cron, wall, false)?;
        match local::instant_of(zone, wall) {
            Some(instant) if instant > second => return Some(instant),
            _ => {}
        }
    }
}

/// The last instant before `second` at which the clocks match for the first time.
fn once_before(cron: &Cron, zone: Tz, second: i64) -> Option<i64> {
    let mut wall = local::latest_shown(zone, second) + 1;
    loop {
        wall = match_before(cron, wall)?;
        match local::instant_of(zone, wall) {
            Some(instant) if instant < second => return Some(instant),
            _ => {}
        }
    }
}

/// The first instant after `second` at which the clocks match.
fn whenever_after(cron: &Cron, zone: Tz, second: i64) -> Option<i64> {
    let (mut at, mut inclusive) = (second, false);
    loop {
        let ahead = local::offset(zone, at);
        let instant = match_after(cron, at + ahead, inclusive)? - ahead;
        match local::change_after(zone, at, instant) {
            None => return Some(instant),
            // From a change on, the clocks show something else than was reckoned.
            Some(change) => (at, inclusive) = (change, true),
        }
    }
}

/// The last instant before `second` at which the clocks match.
fn whenever_before(cron: &Cron, zone: Tz, second: i64) -> Option<i64> {
    let mut end = second;
    loop {
        let ahead = local::offset(zone, end - 1);
        let instant = match_before(cron, end + ahead)? - ahead;
        match local::change_before(zone, end - 1, instant) {
            None => return Some(instant),
            Some(change) => end = change,
        }
    }
}

/// Whether minute and hour are numbers or lists of numbers.
fn at_fixed_times(pattern: &str) -> bool {
    if let Some(name) = pattern.trim().strip_prefix('@') {
        return !name.eq_ignore_ascii_case("hourly");
    }
    let numbers = |field: &str| field.chars().all(|c| c.is_ascii_digit() || c == ',');
    pattern.split_whitespace().take(2).all(numbers)
}

/// The first instant of a day on the clocks of a zone.
///
/// # Errors
///
/// Where the time zone database does not have the zone.
pub fn start_of_day(date: NaiveDate, zone: &str) -> Result<Timestamp, TicksError> {
    Ok(from_seconds(local::start_of(zone_of(zone)?, date)))
}

fn zone_of(name: &str) -> Result<Tz, TicksError> {
    name.parse().map_err(|_| TicksError::Zone(name.to_owned()))
}

fn from_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Checks a cron pattern of five fields.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_cron(pattern: &str) -> Result<(), TicksError> {
    parse(pattern).map(drop)
}

fn parse(pattern: &str) -> Result<Cron, TicksError> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let wrong = |reason: String| TicksError::Cron {
        pattern: pattern.to_owned(),
        reason,
    };
    if !pattern.is_ascii() {
        return Err(wrong("it holds other than ASCII characters".to_owned()));
    }
    parser
        .parse(pattern)
        .map_err(|error| wrong(error.to_string().trim_end_matches('.').to_lowercase()))
}

/// Checks the name of a time zone.
///
/// # Errors
///
/// Where the time zone database does not have it.
pub fn check_zone(name: &str) -> Result<(), TicksError> {
    zone_of(name).map(drop)
}

#[cfg(test)]
mod tests;
