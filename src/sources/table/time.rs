//! Times as tables write them.

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value;

use crate::clock::Timestamp;

/// Unix times from here on are milliseconds: as seconds they would lie after the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;
/// The latest second that is believed, at the end of the year 9999.
const LATEST: f64 = 253_402_300_799.0;

const FORMATS: [&str; 6] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y-%m-%d_%H-%M-%S_UTC",
];

/// The time in a cell: RFC 3339, a date with or without a time of day (in UTC), or a Unix time in
/// seconds or milliseconds, as a number or as text. `None` where it is none of these.
pub(super) fn read_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => unix(number.as_f64()?),
        Value::String(text) => {
            let text = text.trim();
            text.parse()
                .ok()
                .or_else(|| civil(text))
                .or_else(|| unix(text.parse().ok()?))
        }
        _ => None,
    }
}

fn civil(text: &str) -> Option<Timestamp> {
    // `2026-01-31 08:00:00+00:00` is RFC 3339 but for the blank.
    if let Ok(time) = text.replacen(' ', "T", 1).parse() {
        return Some(time);
    }
    let time = FORMATS
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
            date.and_hms_opt(0, 0, 0)
        })?;
    Some(Timestamp::from_millis(time.and_utc().timestamp_millis()))
}

fn unix(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() >= MILLISECONDS_FROM {
        number / 1000.0
    } else {
        number
    };
    (seconds.is_finite() && seconds.abs() <= LATEST).then(|| Timestamp::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_usual_ways_to_write_a_time() {
        let expected = "2019-12-15T12:04:22Z".parse().unwrap();
        for value in [
            json!(1_576_411_462),
            json!(1_576_411_462.0),
            json!("1576411462.0"),
            json!("1576411462000"),
            json!(1_576_411_462_000_i64),
            json!("2019-12-15T12:04:22Z"),
            json!("2019-12-15T13:04:22+01:00"),
            json!("2019-12-15 12:04:22"),
            json!("2019-12-15 12:04:22+00:00"),
            json!(" 2019-12-15T12:04:22.000 "),
            json!("2019-12-15_12-04-22_UTC"),
        ] {
            assert_eq!(read_time(&value), Some(expected), "{value}");
        }
        assert_eq!(
            read_time(&json!("2019-12-15 12:04")),
            Some("2019-12-15T12:04:00Z".parse().unwrap())
        );
        assert_eq!(
            read_time(&json!("2019-12-15")),
            Some("2019-12-15T00:00:00Z".parse().unwrap())
        );
    }

    #[test]
    fn refuses_what_is_no_time() {
        for value in [
            json!("yesterday"),
            json!("2019-13-01"),
            json!("15/12/2019"),
            json!("nan"),
            json!("inf"),
            json!(1e300),
            json!(true),
        ] {
            assert_eq!(read_time(&value), None, "{value}");
        }
    }
}
