//! An event in words.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) level: &'static str,
    pub(super) message: String,
    /// Its other fields, each as ` name=value`.
    pub(super) fields: String,
    /// Those that do not tell which run, task or attempt it is about.
    pub(super) details: String,
}

impl Words {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut words = Self {
            level: match *event.metadata().level() {
                Level::ERROR => "error",
                Level::WARN => "warn",
                Level::INFO => "info",
                Level::DEBUG => "debug",
                Level::TRACE => "trace",
            },
            ..Self::default()
        };
        event.record(&mut words);
        words
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A text cannot refuse to grow.
        let name = field.name();
        if name == "message" {
            let _ = write!(self.message, "{value:?}");
            return;
        }
        let _ = write!(self.fields, " {name}={value:?}");
        if !(name == "attempt" || name.starts_with("task.") || name.starts_with("run.")) {
            let _ = write!(self.details, " {name}={value:?}");
        }
    }
}
