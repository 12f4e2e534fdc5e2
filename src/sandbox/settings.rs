//! What makes one simulated world differ from another.

use std::{fmt, str::FromStr};

use chrono::NaiveDate;

/// The settings of a simulated world; equal settings give the same posts, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSettings {
    /// What all chance in the world grows from.
    pub seed: u64,
    /// The day of the first posts; history never begins anywhere else.
    pub start: NaiveDate,
    /// On how many days posts are made, from `start`; `None` for no end.
    pub days: Option<u32>,
    /// How many posts are made each day, over all communities.
    pub posts_per_day: u32,
    /// How many posts in a hundred are deleted, removed or gone some time after they were made, and
    /// how many accounts in a hundred are deleted.
    pub removed_percent: u32,
}

/// The most posts that a day may have: one in five seconds.
pub const MOST_POSTS_PER_DAY: u32 = 17_280;

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            seed: 7,
            start: NaiveDate::from_ymd_opt(2026, 1, 1).expect("the first of January exists"),
            days: None,
            posts_per_day: 96,
            removed_percent: 0,
        }
    }
}

/// The settings as a source is written: `sandbox:seed=7,start=2026-01-01,posts=96`.
impl fmt::Display for SandboxSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            start,
            days,
            posts_per_day,
            removed_percent,
        } = self;
        write!(f, "sandbox:seed={seed},start={start}")?;
        if let Some(days) = days {
            write!(f, ",days={days}")?;
        }
        write!(f, ",posts={posts_per_day}")?;
        if *removed_percent > 0 {
            write!(f, ",removed={removed_percent}")?;
        }
        Ok(())
    }
}

/// A sandbox source that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSettingsError {
    /// A part that is not one of the settings.
    #[error(
        "the sandbox has no setting `{0}`; it has `seed`, `start`, `days`, `posts` and `removed`"
    )]
    Unknown(String),
    /// A setting that is given twice.
    #[error("the sandbox's `{0}` is given twice")]
    Twice(&'static str),
    /// A value that the setting cannot take.
    #[error("the sandbox's `{setting}` cannot be `{value}`; write {allowed}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What was written.
        value: String,
        /// What may be written.
        allowed: &'static str,
    },
}

/// Reads `sandbox[:seed=S,start=D,days=N,posts=N,removed=PERCENT]`; the word `sandbox` may be left out.
impl FromStr for SandboxSettings {
    type Err = ParseSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let options = text.strip_prefix("sandbox").unwrap_or(text);
        let options = options.strip_prefix(':').unwrap_or(options);
        let mut settings = Self::default();
        let mut seen = Vec::new();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let name = ["seed", "start", "days", "posts", "removed"]
                .into_iter()
                .find(|known| *known == name.trim())
                .ok_or_else(|| ParseSettingsError::Unknown(name.to_owned()))?;
            if seen.contains(&name) {
                return Err(ParseSettingsError::Twice(name));
            }
            seen.push(name);
            settings.set(name, value.trim())?;
        }
        Ok(settings)
    }
}

impl SandboxSettings {
    fn set(&mut self, setting: &'static str, value: &str) -> Result<(), ParseSettingsError> {
        let wrong = |allowed| ParseSettingsError::Value {
            setting,
            value: value.to_owned(),
            allowed,
        };
        match setting {
            "seed" => self.seed = value.parse().map_err(|_| wrong("a whole number"))?,
            "start" => {
                self.start = value
                    .parse()
                    .map_err(|_| wrong("a date such as `2026-01-01`"))?;
            }
            "days" => self.days = Some(value.parse().map_err(|_| wrong("a number of days"))?),
            "removed" => {
                self.removed_percent = value
                    .parse()
                    .ok()
                    .filter(|percent| *percent <= 100)
                    .ok_or_else(|| wrong("how many posts in a hundred, from 0 to 100"))?;
            }
            _ => {
                self.posts_per_day = value
                    .parse()
                    .ok()
                    .filter(|posts| *posts <= MOST_POSTS_PER_DAY)
                    .ok_or_else(|| wrong("a number of posts per day up to 17280"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "sandbox:seed=7,start=2026-01-01,posts=96",
            "sandbox:seed=18446744073709551615,start=2025-12-31,days=3,posts=0",
            "sandbox:seed=7,start=2026-01-01,posts=96,removed=20",
        ] {
            assert_eq!(text.parse::<SandboxSettings>().unwrap().to_string(), text);
        }
        assert_eq!("sandbox".parse(), Ok(SandboxSettings::default()));
        assert_eq!(
            "posts=10".parse::<SandboxSettings>().unwrap().posts_per_day,
            10
        );
    }

    #[test]
    fn says_what_is_allowed() {
        let error = |text: &str| text.parse::<SandboxSettings>().unwrap_err().to_string();
        assert!(error("sandbox:sead=1").contains("`sead`; it has `seed`"));
        assert!(error("sandbox:start=monday").contains("`2026-01-01`"));
        assert!(error("sandbox:removed=101").contains("from 0 to 100"));
        assert!(error("sandbox:posts=20000").contains("17280"));
        assert!(error("sandbox:seed=1,seed=2").contains("twice"));
        assert!(error("sandbox:seed").contains("cannot be ``; write a whole number"));
    }
}
