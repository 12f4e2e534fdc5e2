//! What the program says while it works: lines on standard error, and a log per attempt.
//!
//! An attempt runs in a span `task` whose field `log.path` names its log below the data folder;
//! every event within that span, however deep, goes there too.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::Targets,
    fmt::format,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::clock::{Clock, SystemClock};

/// The field that names an attempt's log; not worth showing.
const LOG_PATH: &str = "log.path";

/// How much is said, and where.
#[derive(Clone, Debug, Default)]
pub struct TelemetrySettings {
    /// −1 errors, 0 warnings too, 1 what happens, 2 how, 3 everything.
    pub verbosity: i8,
    /// A filter in the words of `tracing`'s `EnvFilter`, instead of `verbosity`.
    pub filter: Option<String>,
    /// Whether standard error may be coloured.
    pub color: bool,
    /// Whether standard error gets JSON lines.
    pub json: bool,
    /// The data folder, below which attempts have their logs; `None` for no logs.
    pub data_dir: Option<PathBuf>,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("`{filter}` is not a log filter; write `info` or `trendmill=debug,sqlx=warn`")]
    Filter {
        /// The filter.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process listens already.
    #[error("telemetry is set up twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sets up both ways of saying things; once per process.
///
/// # Errors
///
/// Where the filter cannot be read, or it was done before.
pub fn init(settings: &TelemetrySettings) -> Result<(), Error> {
    let filter = match &settings.filter {
        Some(filter) => EnvFilter::try_new(filter).map_err(|source| Error::Filter {
            filter: filter.clone(),
            source,
        })?,
        None => EnvFilter::new(match settings.verbosity {
            ..=-1 => "error",
            0 => "warn",
            1 => "warn,trendmill=info",
            2 => "info,trendmill=debug",
            3.. => "trace",
        }),
    };
    let stderr: Box<dyn Layer<Registry> + Send + Sync> = if settings.json {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .json()
            .with_filter(filter)
            .boxed()
    } else {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(settings.color)
            .with_target(settings.verbosity > 1)
            .fmt_fields(format::debug_fn(|writer, field, value| {
                match field.name() {
                    LOG_PATH => Ok(()),
                    "message" => write!(writer, "{value:?} "),
                    name => write!(writer, "{name}={value:?} "),
                }
            }))
            .with_filter(filter)
            .boxed()
    };
    // A log is read long after; it keeps what would be too much on a screen.
    let logs = settings.data_dir.clone().map(|data_dir| {
        AttemptLogs::new(data_dir).with_filter(
            Targets::new()
                .with_default(LevelFilter::INFO)
                .with_target("trendmill", LevelFilter::DEBUG)
                .with_target("trendmill::store", LevelFilter::INFO),
        )
    });
    tracing_subscriber::registry()
        .with(stderr)
        .with(logs)
        .try_init()
        .map_err(Error::Twice)
}

/// Writes each event within an attempt's span into the attempt's log.
///
/// A log is made when its first line comes, so an attempt that says nothing costs no file. Lines
/// are written at once and whole: the process of an attempt appends to the same file.
#[derive(Debug)]
struct AttemptLogs {
    data_dir: PathBuf,
    /// Logs that cannot be written; said once each.
    broken: Mutex<HashSet<PathBuf>>,
}

/// Where the events of a span go.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Mutex<Option<fs_err::File>>,
}

impl AttemptLogs {
    fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            broken: Mutex::default(),
        }
    }

    fn write(&self, log: &Log, line: &str) {
        let mut file = log.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &mut *file {
            Some(file) => file.write_all(line.as_bytes()),
            None => {
                open(&log.path).and_then(|opened| file.insert(opened).write_all(line.as_bytes()))
            }
        };
        if let Err(error) = written {
            let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
            if broken.insert(log.path.clone()) {
                // Not an event: it would come back here.
                let _ = writeln!(std::io::stderr(), "cannot write a log: {error}");
            }
        }
    }
}

fn open(path: &Path) -> Result<fs_err::File, std::io::Error> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
}

impl<S> Layer<S> for AttemptLogs
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut path = LogPath(None);
        attributes.record(&mut path);
        if let Some(path) = path.0
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(Log {
                path: self.data_dir.join(path),
                file: Mutex::new(None),
            });
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else {
            return;
        };
        for span in scope {
            if let Some(log) = span.extensions().get::<Log>() {
                self.write(log, &line(event));
                return;
            }
        }
    }
}

/// The value of `log.path`, if a span has it.
struct LogPath(Option<String>);

impl Visit for LogPath {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == LOG_PATH {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// One line: time, level, message, other fields.
fn line(event: &Event<'_>) -> String {
    let level = match *event.metadata().level() {
        Level::ERROR => "error",
        Level::WARN => "warn ",
        Level::INFO => "info ",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let mut words = Words::default();
    event.record(&mut words);
    format!(
        "{} {level} {}{}\n",
        SystemClock.now(),
        words.message,
        words.fields
    )
}

#[derive(Default)]
struct Words {
    message: String,
    fields: String,
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
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_happens_within_an_attempt_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let subscriber =
            tracing_subscriber::registry().with(AttemptLogs::new(folder.path().to_owned()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            let task = tracing::info_span!("task", log.path = "logs/r1/embed.1.log");
            let quiet = tracing::info_span!("task", log.path = "logs/r1/noop.1.log");
            task.in_scope(|| {
                tracing::info!(rows = 256, "a batch was stored");
                tracing::info_span!("db.embeddings.insert").in_scope(|| tracing::warn!("slow"));
            });
            quiet.in_scope(|| ());
        });
        let text = fs_err::read_to_string(folder.path().join("logs/r1/embed.1.log")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].ends_with("info  a batch was stored rows=256"),
            "{text}"
        );
        assert!(lines[1].ends_with("warn  slow"), "{text}");
        assert!(!folder.path().join("logs/r1/noop.1.log").exists());
    }
}
