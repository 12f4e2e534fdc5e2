//! A part of the rows, as a share or as a length of time.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::Error;

/// How much of the rows a part of the split gets: `20%` of them, or those of the last `3d`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Span {
    /// A share of the rows, between 0 and 1.
    Share(f64),
    /// The rows of this length of time at the end.
    Time(Duration),
}

/// Reads `90s`, `5m`, `36h`, `3d` or `2w`; `0` is zero in any unit.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: u64 = text[..text.len() - unit.len_utf8()]
        .trim_end()
        .parse()
        .ok()?;
    count.checked_mul(seconds).map(Duration::from_secs)
}

/// Writes what [`parse_duration`] reads, in the greatest unit that is exact.
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (size, unit) = [(604_800, 'w'), (86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .into_iter()
        .find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size))
        .unwrap_or((1, 's'));
    format!("{}{unit}", seconds / size)
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::Setting {
            name: "a part of the split",
            value: format!("`{text}`"),
            allowed: "write a share such as `20%` (more than 0, less than 90) or a time such as `3d`",
        };
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            let share = percent.trim().parse::<f64>().map_err(|_| refuse())? / 100.0;
            return if share > 0.0 && share < 0.9 {
                Ok(Self::Share(share))
            } else {
                Err(refuse())
            };
        }
        match parse_duration(text) {
            Some(time) if !time.is_zero() => Ok(Self::Time(time)),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Rounding hides that 0.07 × 100 is 7.000000000000001.
            Self::Share(share) => write!(f, "{}%", (share * 1e8).round() / 1e6),
            Self::Time(time) => f.write_str(&show_duration(*time)),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// Durations as texts, for `#[serde(with = "…")]`.
pub(crate) mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::show_duration(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_duration(text.trim()).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is not a time; write `0`, `36h` or `3d`"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["20%", "7%", "12.5%", "3d", "36h", "2w", "90s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("7d".parse::<Span>().unwrap().to_string(), "1w");
    }

    #[test]
    fn refuses_what_leaves_nothing() {
        for text in ["0%", "95%", "0d", "0", "3", "d", "-1d", "20 percent", ""] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains("20%"), "{error}");
        }
    }
}
