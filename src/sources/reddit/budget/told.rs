//! What the headers of an answer tell of the server's time and of the window.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::clock::Timestamp;

/// No answer makes anybody wait longer than this.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// What an answer tells. Everything may be missing, and is on most refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Told {
    /// The server's time, in whole seconds.
    pub(in super::super) date: Option<Timestamp>,
    /// The server's count of calls.
    pub(in super::super) count: Option<Count>,
    /// How long to stay away.
    pub(in super::super) retry_after: Option<Duration>,
}

/// The server's count of the calls of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Count {
    /// How many are left.
    pub(in super::super) remaining: u64,
    /// How many there were.
    pub(in super::super) used: u64,
    /// How long the window goes on.
    pub(in super::super) reset: Duration,
}

impl Told {
    /// Reads headers; what cannot be read is not told.
    pub(in super::super) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &str| -> Option<f64> {
            let number: f64 = text(name)?.parse().ok()?;
            number.is_finite().then_some(number)
        };
        let seconds = |seconds: f64| {
            Duration::try_from_secs_f64(seconds.max(0.0))
                .unwrap_or(LONGEST)
                .min(LONGEST)
        };
        let date = text(DATE.as_str())
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map(|date| Timestamp::from_millis(date.timestamp_millis()));
        let count = || {
            Some(Count {
                remaining: whole(number("x-ratelimit-remaining")?),
                used: whole(number("x-ratelimit-used")?),
                reset: seconds(number("x-ratelimit-reset")?),
            })
        };
        let retry_after = number(RETRY_AFTER.as_str()).map(seconds).or_else(|| {
            // The header may be a date; without the server's own there is nothing to compare with.
            let until = DateTime::parse_from_rfc2822(text(RETRY_AFTER.as_str())?).ok()?;
            let until = Timestamp::from_millis(until.timestamp_millis());
            Some(until.since(date?).min(LONGEST))
        });
        Self {
            date,
            count: count(),
            retry_after,
        }
    }
}

/// A count of calls: 996.0 as 996, and never more than there is.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is within the range"
)]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn told(headers: &[(&str, &str)]) -> Told {
        let headers = headers.iter().map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        });
        Told::of(&headers.collect())
    }

    #[test]
    fn numbers_come_as_any_text() {
        let told = told(&[
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("x-ratelimit-remaining", "995.7"),
            ("x-ratelimit-used", "5"),
            ("x-ratelimit-reset", " 303.5"),
        ]);
        let count = told.count.unwrap();
        assert_eq!((count.remaining, count.used), (995, 5));
        assert_eq!(count.reset, Duration::from_millis(303_500));
        assert_eq!(told.date.unwrap().to_string(), "1994-11-06T08:49:37Z");
    }

    #[test]
    fn what_cannot_be_read_is_not_told() {
        assert_eq!(told(&[("x-ratelimit-remaining", "NaN")]), Told::default());
        assert_eq!(told(&[("date", "yesterday")]), Told::default());
        let absurd = told(&[
            ("x-ratelimit-remaining", "-3"),
            ("x-ratelimit-used", "1e300"),
            ("x-ratelimit-reset", "1e300"),
        ]);
        let count = absurd.count.unwrap();
        assert_eq!((count.remaining, count.reset), (0, LONGEST));
    }

    #[test]
    fn to_stay_away_is_told_in_seconds_or_as_a_date() {
        let told_by = |value| {
            told(&[
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("retry-after", value),
            ])
        };
        let four = Some(Duration::from_secs(4));
        assert_eq!(told_by("4").retry_after, four);
        assert_eq!(told_by("Sun, 06 Nov 1994 08:49:41 GMT").retry_after, four);
    }
}
