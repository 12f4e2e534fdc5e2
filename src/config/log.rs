//! `[log]`: what is told while things run.

use serde_json::Value;

use super::{reader::Reader, setting::Setting};

/// What is told while things run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or by target as in `info,sqlx=warn`. Default:
    /// `info`.
    pub level: String,
    /// How lines are written. Default: for people.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Setting for LogFormat {
    const FORM: &'static str = "`text` or `json`";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    fn show(&self) -> Value {
        Value::from(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl Log {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            level: reader.checked("log.level", "info".to_owned(), |text: &String| check(text)),
            format: reader.get("log.format", LogFormat::default()),
        }
    }
}

fn check(text: &str) -> Result<(), String> {
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let known = |part: &str| {
        let level = part
            .rsplit('=')
            .next()
            .unwrap_or(part)
            .trim()
            .to_lowercase();
        levels.contains(&level.as_str())
    };
    if text.split(',').all(known) {
        return Ok(());
    }
    Err(format!(
        "write one of {}, or `TARGET=LEVEL` with commas in between",
        super::suggest::list(levels)
    ))
}
