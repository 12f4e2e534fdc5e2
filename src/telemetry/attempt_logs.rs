//! A log per attempt.

use std::{
    collections::HashSet,
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::words::Words;
use crate::clock::{Clock, SystemClock};

/// The most that one process writes into an attempt's log, in bytes: a program that talks without
/// end must not fill the disk.
const MOST: u64 = 64 * 1024 * 1024;

/// The field that names an attempt's log.
const LOG_PATH: &str = "log.path";

/// Writes each event within an attempt's span into the attempt's log.
///
/// A log is made when its first line comes, so an attempt that says nothing costs no file. Lines
/// are written at once and whole: the process of an attempt appends to the same file.
#[derive(Debug)]
pub(super) struct AttemptLogs {
    data_dir: PathBuf,
    /// Logs that cannot be written; said once each.
    broken: Mutex<HashSet<PathBuf>>,
}

/// Where the events of a span go.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    open: Mutex<Open>,
}

/// A log as far as it was written by this process.
#[derive(Debug, Default)]
struct Open {
    file: Option<fs_err::File>,
    bytes: u64,
}

impl Open {
    /// Appends a line; the first one that is too much says so, and all after it are dropped.
    fn append(&mut self, path: &Path, line: &str, most: u64) -> std::io::Result<()> {
        if self.bytes > most {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open(path)?),
        };
        self.bytes += line.len() as u64;
        if self.bytes > most {
            return file.write_all(b"the log is full: what follows is not kept\n");
        }
        file.write_all(line.as_bytes())
    }
}

impl AttemptLogs {
    pub(super) fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            broken: Mutex::default(),
        }
    }

    fn write(&self, log: &Log, line: &str) {
        let mut file = log.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.append(&log.path, line, MOST) {
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
                open: Mutex::default(),
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
    let Words {
        level,
        message,
        fields,
        ..
    } = Words::of(event);
    let time = SystemClock.now();
    format!("{time} {level:<5} {message}{fields}\n")
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

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

    #[test]
    fn a_log_ends_where_it_is_full_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/a.1.log");
        let mut log = Open::default();
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            log.append(&path, line, 10).unwrap();
        }
        assert_eq!(
            fs_err::read_to_string(path).unwrap(),
            "one\ntwo\nthe log is full: what follows is not kept\n"
        );
    }
}
