//! Cron patterns in a time zone; the moments at which a schedule fires.
//!
//! The rule is Vixie cron's, which croner 4 follows: where clocks change, a job at fixed times runs
//! once per local day, and one with wildcards runs every elapsed period. Ticks strictly increase in
//! UTC. The table in the tests says what that means for each kind of pattern.

use std::time::Duration;

use chrono::{DateTime, TimeZone as _};
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
    Cron { cron: Box<Cron>, zone: Tz },
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
        let zone = zone
            .parse()
            .map_err(|_| TicksError::Zone(zone.to_owned()))?;
        Ok(Self(Rule::Cron { cron, zone }))
    }

    /// Every `period`, from `offset` after 1970-01-01T00:00:00Z; never less than a millisecond.
    pub fn every(period: Duration, offset: Duration) -> Self {
        let period = period.max(Duration::from_millis(1));
        Self(Rule::Every { period, offset })
    }

    /// The first tick after `moment`; none where the pattern never matches again.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Cron { cron, zone } => {
                // Ticks are whole seconds: croner drops what is below them, and so must we.
                let start = on_clock(moment, *zone)?;
                let next = cron.find_next_occurrence(&start, false).ok()?;
                Some(from_clock(&next)).filter(|next| *next > moment)
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
            Rule::Cron { cron, zone } => {
                let start = on_clock(moment, *zone)?;
                // A moment within a second lies after the tick at its start.
                let inclusive = moment.as_millis().rem_euclid(1000) != 0;
                let last = cron.find_previous_occurrence(&start, inclusive).ok()?;
                Some(from_clock(&last)).filter(|last| *last < moment)
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

fn on_clock(moment: Timestamp, zone: Tz) -> Option<DateTime<Tz>> {
    let seconds = moment.as_millis().div_euclid(1000);
    zone.timestamp_opt(seconds, 0).single()
}

fn from_clock(moment: &DateTime<Tz>) -> Timestamp {
    Timestamp::from_millis(moment.timestamp_millis())
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
    match name.parse::<Tz>() {
        Ok(_) => Ok(()),
        Err(_) => Err(TicksError::Zone(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_five_fields_and_iana_names() {
        for pattern in [
            "0 4 * * *",
            "*/5 * * * *",
            "30 1 1-7 * MON",
            "0 0 L * *",
            "@daily",
        ] {
            assert_eq!(check_cron(pattern), Ok(()), "{pattern}");
        }
        for pattern in [
            "",
            "4 * *",
            "0 0 4 * * *",
            "61 * * * *",
            "a b c d e",
            "ö * * * *",
        ] {
            assert!(check_cron(pattern).is_err(), "{pattern}");
        }
        assert_eq!(check_zone("Europe/Berlin"), Ok(()));
        assert!(check_zone("Mars/Olympus").is_err());
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The ticks of one local day, as the clocks of the zone show them.
    fn on(day: &str, pattern: &str) -> String {
        let ticks = Ticks::cron(pattern, "America/New_York").unwrap();
        let zone: Tz = "America/New_York".parse().unwrap();
        let midnight = at(&format!("{day}T04:00:00Z"));
        let shown: Vec<String> = ticks
            .iter_after(midnight - Duration::from_hours(1))
            .filter_map(|tick| on_clock(tick, zone))
            .skip_while(|tick| tick.format("%F").to_string() != day)
            .take_while(|tick| tick.format("%F").to_string() == day)
            .map(|tick| tick.format("%H:%M %Z").to_string())
            .collect();
        match shown.len() {
            0..=5 => shown.join(", "),
            count => format!("{count} ticks, {} … {}", shown[0], shown[count - 1]),
        }
    }

    #[test]
    fn where_clocks_change() {
        let spring = "2026-03-08";
        let autumn = "2026-11-01";
        let rows = [
            (spring, "30 2 * * *"),
            (autumn, "30 1 * * *"),
            (spring, "0 * * * *"),
            (autumn, "0 * * * *"),
            (autumn, "*/30 1 * * *"),
            (spring, "0 */2 * * *"),
            (spring, "15 2-3 * * *"),
        ];
        let table: Vec<String> = rows
            .iter()
            .map(|(day, pattern)| format!("{day}  {pattern:<13} {}", on(day, pattern)))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @"
        2026-03-08  30 2 * * *    03:00 EDT
        2026-11-01  30 1 * * *    01:30 EDT
        2026-03-08  0 * * * *     23 ticks, 00:00 EST … 23:00 EDT
        2026-11-01  0 * * * *     25 ticks, 00:00 EDT … 23:00 EST
        2026-11-01  */30 1 * * *  01:00 EDT, 01:30 EDT, 01:00 EST, 01:30 EST
        2026-03-08  0 */2 * * *   11 ticks, 00:00 EST … 22:00 EDT
        2026-03-08  15 2-3 * * *  03:15 EDT
        ");
    }

    #[test]
    fn a_period_is_counted_in_utc() {
        let ticks = Ticks::every(Duration::from_hours(6), Duration::from_hours(5));
        let after: Vec<String> = ticks
            .iter_after(at("2026-03-08T05:00:00Z"))
            .take(2)
            .map(|tick| tick.to_string())
            .collect();
        assert_eq!(after, ["2026-03-08T11:00:00Z", "2026-03-08T17:00:00Z"]);
        assert_eq!(
            ticks.before(at("2026-03-08T05:00:00Z")),
            Some(at("2026-03-07T23:00:00Z"))
        );
        assert_eq!(
            ticks.before(at("2026-03-08T05:00:00.001Z")),
            Some(at("2026-03-08T05:00:00Z"))
        );
    }

    proptest! {
        /// Forwards and backwards meet, and ticks strictly increase.
        #[test]
        fn after_and_before_are_inverse(
            zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            second in 0_i64..2_145_916_800,
            pattern in prop::sample::select(vec![
                "0 4 * * *", "30 1 * * *", "*/15 * * * *", "0 */2 * * *", "15 2-3 * * MON", "0 0 1 * *",
            ]),
        ) {
            let ticks = Ticks::cron(pattern, zone.name()).unwrap();
            let moment = Timestamp::from_millis(second * 1000);
            let next = ticks.after(moment).unwrap();
            prop_assert!(next > moment);
            let last = ticks.before(next).unwrap();
            prop_assert!(last <= moment, "{} {pattern}: {last} {moment} {next}", zone.name());
            prop_assert_eq!(ticks.after(last), Some(next));
        }
    }
}
