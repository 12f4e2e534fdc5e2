//! The types that a setting can have, each readable from a file and from text.

use std::{fmt, net::SocketAddr, ops::Deref, path::PathBuf, time::Duration};

use serde_json::Value;

use super::duration;

/// A type of settings.
pub(super) trait Setting: Sized {
    /// What a value looks like, for messages.
    const FORM: &'static str;

    /// Whether messages must not repeat a value.
    const SECRET: bool = false;

    /// Reads a value as the environment writes it.
    fn from_text(text: &str) -> Option<Self>;

    /// Reads a value as the file writes it.
    fn from_value(value: &Value) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }

    /// The value as `config show` prints it.
    fn show(&self) -> Value;
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Setting for Secret {
    const FORM: &'static str = "a text";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }

    fn show(&self) -> Value {
        Value::from("********")
    }
}

impl Setting for String {
    const FORM: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn show(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Setting for PathBuf {
    const FORM: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }

    fn show(&self) -> Value {
        Value::from(self.to_string_lossy())
    }
}

impl Setting for Duration {
    const FORM: &'static str = duration::FORM;

    fn from_text(text: &str) -> Option<Self> {
        duration::parse(text)
    }

    fn show(&self) -> Value {
        Value::from(duration::show(*self))
    }
}

impl Setting for bool {
    const FORM: &'static str = "`true` or `false`";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn from_value(value: &Value) -> Option<Self> {
        value.as_bool()
    }

    fn show(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for u64 {
    const FORM: &'static str = "a whole number from 0";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_value(value: &Value) -> Option<Self> {
        value.as_u64()
    }

    fn show(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for usize {
    const FORM: &'static str = "a whole number from 0";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_value(value: &Value) -> Option<Self> {
        value
            .as_u64()
            .and_then(|number| Self::try_from(number).ok())
    }

    fn show(&self) -> Value {
        Value::from(*self)
    }
}

impl Setting for SocketAddr {
    const FORM: &'static str = "an address with a port, as in `127.0.0.1:8080`";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn show(&self) -> Value {
        Value::from(self.to_string())
    }
}

impl<T: Setting> Setting for Option<T> {
    const FORM: &'static str = T::FORM;
    const SECRET: bool = T::SECRET;

    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }

    fn from_value(value: &Value) -> Option<Self> {
        T::from_value(value).map(Some)
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const FORM: &'static str = "a list; in the environment values with commas between them";

    fn from_text(text: &str) -> Option<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(T::from_text)
            .collect()
    }

    fn from_value(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_value).collect()
    }

    fn show(&self) -> Value {
        self.iter().map(T::show).collect()
    }
}
