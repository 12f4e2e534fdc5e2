//! What the program says while it works: lines on standard error, and a log per attempt.
//!
//! An attempt runs in a span `task` whose field `log.path` names its log below the data folder;
//! every event within that span, however deep, goes there too.

mod attempt_logs;
mod console;
mod relay;
mod words;

use std::{path::PathBuf, sync::OnceLock};

pub use relay::Message;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::Targets, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

use self::{attempt_logs::AttemptLogs, console::Lines, relay::Relay};

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

/// The filter of standard error, once it is set up.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

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

/// An error with all that caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Sets up what the process of an attempt says: all of it goes to the process that watches over
/// it, which writes the log.
///
/// # Errors
///
/// Where something else in this process listens already.
pub fn init_attempt() -> Result<(), Error> {
    let told = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("trendmill", LevelFilter::DEBUG)
        .with_target("trendmill::store", LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(Relay.with_filter(told))
        .try_init()
        .map_err(Error::Twice)
}

/// Sets up both ways of saying things; once per process.
///
/// # Errors
///
/// Where the filter cannot be read, or it was done before.
pub fn init(settings: &TelemetrySettings) -> Result<(), Error> {
    let filter = match &settings.filter {
        Some(filter) => parse(filter)?,
        None => EnvFilter::new(match settings.verbosity {
            ..=-1 => "error",
            0 => "warn",
            1 => "warn,trendmill=info",
            2 => "info,trendmill=debug",
            3.. => "trace",
        }),
    };
    let (filter, change) = reload::Layer::new(filter);
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
            .fmt_fields(console::TaskOnly)
            .event_format(Lines {
                everything: settings.verbosity > 1,
            })
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
        .map_err(Error::Twice)?;
    // Whoever comes second was refused above.
    let _first = FILTER.set(change);
    Ok(())
}

/// Changes what standard error gets, in the words of `log.level`; nothing where telemetry was not
/// set up here.
///
/// # Errors
///
/// Where the filter cannot be read; then the old one stays.
pub fn set_filter(filter: &str) -> Result<(), Error> {
    let filter = match filter {
        // What is told of others is not what happens here.
        "info" => EnvFilter::new("warn,trendmill=info"),
        other => parse(other)?,
    };
    if let Some(change) = FILTER.get()
        && let Err(error) = change.reload(filter)
    {
        tracing::debug!(%error, "nobody listens to the log any more");
    }
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(filter).map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })
}
