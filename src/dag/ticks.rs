//! Cron patterns in a time zone; the moments at which a schedule fires.

use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};

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

/// Checks a cron pattern of five fields.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_cron(pattern: &str) -> Result<(), TicksError> {
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
    match parser.parse(pattern) {
        Ok(_) => Ok(()),
        Err(error) => Err(wrong(
            error.to_string().trim_end_matches('.').to_lowercase(),
        )),
    }
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
}
