//! How operators read their settings.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{engine::SettingsError, expression::duration};

/// Reads an operator's settings into its own struct, whose unknown keys are refused.
pub(super) fn parse<T: DeserializeOwned>(
    settings: &Map<String, Value>,
) -> Result<T, SettingsError> {
    serde_json::from_value(Value::Object(settings.clone())).map_err(|error| {
        let message = error.to_string();
        let key = settings
            .keys()
            .find(|key| message.contains(&format!("`{key}`")))
            .cloned();
        SettingsError {
            key,
            message,
            hint: None,
        }
    })
}

/// A setting that is wrong.
pub(super) fn wrong(
    key: &str,
    message: impl Into<String>,
    hint: impl Into<Option<String>>,
) -> SettingsError {
    SettingsError {
        key: Some(key.to_owned()),
        message: message.into(),
        hint: hint.into(),
    }
}

/// A length of time: `90s`, `2m`, `36h`, `7d`.
pub(super) fn length(key: &str, text: &str) -> Result<Duration, SettingsError> {
    duration::parse(text).ok_or_else(|| {
        wrong(
            key,
            format!("`{text}` is no length of time"),
            Some(format!("write {}", duration::FORM)),
        )
    })
}
