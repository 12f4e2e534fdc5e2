//! Lines for people, on standard error.

use std::fmt;

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

use super::words::Words;
use crate::clock::{Clock, SystemClock};

/// One line: the time of the day, what is wrong if anything, the task, the message and its details.
///
/// Which run and which attempt it was is in the logs; on a screen it would push the message out.
#[derive(Debug)]
pub(super) struct Lines {
    /// Whether spans and modules are shown too.
    pub(super) everything: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let words = Words::of(event);
        write!(writer, "{} ", SystemClock.now().date_time().format("%T"))?;
        let color = match words.level {
            "error" => "\x1b[31m",
            "warn" => "\x1b[33m",
            _ => "\x1b[2m",
        };
        match (writer.has_ansi_escapes(), words.level) {
            (_, "info") if !self.everything => {}
            (true, level) => write!(writer, "{color}{level:<5}\x1b[0m ")?,
            (false, level) => write!(writer, "{level:<5} ")?,
        }
        if self.everything {
            write!(writer, "{}: ", event.metadata().target())?;
        }
        for span in context.event_scope().into_iter().flatten() {
            if let Some(task) = span.extensions().get::<FormattedFields<N>>()
                && !task.is_empty()
            {
                write!(writer, "{task}: ")?;
                break;
            }
        }
        let rest = if self.everything {
            &words.fields
        } else {
            &words.details
        };
        writeln!(writer, "{}{rest}", words.message)
    }
}

/// Of a span its task alone.
#[derive(Debug)]
pub(super) struct TaskOnly;

impl<'writer> FormatFields<'writer> for TaskOnly {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut task = Task {
            writer,
            result: Ok(()),
        };
        fields.record(&mut task);
        task.result
    }
}

struct Task<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
}

impl Visit for Task<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "task.id" {
            self.result = self.writer.write_str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "task.id" {
            self.result = write!(self.writer, "{value:?}");
        }
    }
}
