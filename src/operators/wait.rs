//! Waits for a time, without holding a slot.

use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::settings;
use crate::{
    clock::Timestamp,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
};

/// Waits until a time, or for a length of time from its first attempt.
///
/// Settings: `until`, an RFC 3339 time or a date, often a template such as
/// `{{ run.interval_end }}`; or `for`, as in `"30m"`. While it waits it is `delayed`: it takes no
/// slot, survives restarts, and spends no retry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    until: Option<String>,
    #[serde(rename = "for")]
    length: Option<String>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Until(Timestamp),
    For(Duration),
}

impl Goal {
    fn read(settings: &Map<String, Value>) -> Result<Self, SettingsError> {
        let hint = || "write `until = \"2026-01-31T08:00:00Z\"` or `for = \"30m\"`".to_owned();
        let Settings { until, length } = settings::parse(settings)?;
        match (until, length) {
            (Some(text), None) => match text.parse() {
                Ok(until) => Ok(Self::Until(until)),
                Err(error) => Err(settings::wrong("until", format!("{error}"), hint())),
            },
            (None, Some(text)) => Ok(Self::For(settings::length("for", &text)?)),
            (Some(_), Some(_)) => {
                let message = "`wait` takes `until` or `for`, not both";
                Err(settings::wrong("for", message, hint()))
            }
            (None, None) => Err(SettingsError {
                key: None,
                message: "`wait` needs to know until when, or for how long".to_owned(),
                hint: Some(hint()),
            }),
        }
    }
}

impl Operator for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        Goal::read(settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(async move {
            let until = match Goal::read(&context.settings).map_err(TaskError::fail)? {
                Goal::Until(until) => until,
                Goal::For(length) => context.first_started_at + length,
            };
            if context.clock.now() < until {
                return Err(TaskError::defer(until, format!("it waits until {until}")));
            }
            Ok(TaskOutcome::default())
        })
    }
}
