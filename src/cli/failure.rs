//! How a command fails: what is said, and with which exit code.

use std::fmt;

pub(crate) use crate::telemetry::chain;
use crate::{app, encoders, pipelines, registry, sources, store};

/// Done.
pub(crate) const OK: u8 = 0;
/// The work failed: a run failed, a check found faults.
pub(crate) const FAILED: u8 = 1;
/// Wrong use: an unknown pipeline, a bad flag, a bad file.
pub(crate) const WRONG_USE: u8 = 2;
/// The environment is not fit: no database, no weights, no device.
pub(crate) const UNFIT: u8 = 3;
/// Interrupted.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What was wrong, in full.
    pub(crate) message: String,
    /// What to do, where there is something to do.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// The work failed.
    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(FAILED, message)
    }

    /// The command was used wrongly.
    pub(crate) fn wrong_use(message: impl fmt::Display) -> Self {
        Self::new(WRONG_USE, message)
    }

    /// The environment is not fit.
    pub(crate) fn unfit(message: impl fmt::Display) -> Self {
        Self::new(UNFIT, message)
    }

    /// Nothing failed: whoever reads our output has read enough.
    fn read_enough() -> Self {
        Self::new(OK, "")
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn new(code: u8, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Whether all that happened is that the reader of our output has gone, as `head` does.
fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Missing(_) | store::Error::Open { .. } | store::Error::Migrate { .. } => {
                Self::unfit(chain(&error))
            }
            _ => Self::failed(chain(&error)),
        }
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        let message = chain(&error);
        match error {
            registry::Error::Name(_)
            | registry::Error::Unknown { .. }
            | registry::Error::Tag(_)
            | registry::Error::Exists(_) => Self::wrong_use(message),
            registry::Error::UnknownMetric { known, .. } => {
                Self::wrong_use(message).hint(format!("the metrics are {}", known.join(", ")))
            }
            registry::Error::Store(error) => error.into(),
            registry::Error::File(_)
            | registry::Error::Damaged { .. }
            | registry::Error::Removed { .. }
            | registry::Error::NoEarlier { .. }
            | registry::Error::InUse(_) => Self::failed(message),
        }
    }
}

impl From<sources::Error> for Failure {
    fn from(error: sources::Error) -> Self {
        match error {
            sources::Error::Wrong(_) => Self::wrong_use(chain(&error)),
            sources::Error::Unfit(_) => Self::unfit(chain(&error)),
            _ => Self::failed(chain(&error)),
        }
    }
}

impl From<encoders::Error> for Failure {
    fn from(error: encoders::Error) -> Self {
        if error.is_environment() {
            Self::unfit(chain(&error))
        } else {
            Self::wrong_use(chain(&error))
        }
    }
}

impl From<pipelines::Error> for Failure {
    fn from(error: pipelines::Error) -> Self {
        if is_closed_pipe(&error) {
            return Self::read_enough();
        }
        let failure = Self::wrong_use(chain(&error));
        match error {
            pipelines::Error::Unknown { hint, .. }
            | pipelines::Error::Argument {
                hint: Some(hint), ..
            } => failure.hint(hint),
            _ => failure,
        }
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        match error {
            app::Error::Store(error) => error.into(),
            app::Error::Registry(error) => error.into(),
            app::Error::Source(error) => error.into(),
            app::Error::Encoder(error) => error.into(),
            app::Error::Engine(error) => error.into(),
            app::Error::Pipeline(error) => error.into(),
            app::Error::Wrong { message, hint } => {
                let failure = Self::wrong_use(message);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            app::Error::Unfit { message, hint } => {
                let failure = Self::unfit(message);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            app::Error::Refused { message, hint } => {
                let failure = Self::failed(message);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            app::Error::Failed(message) => Self::failed(message),
        }
    }
}

impl From<super::runs::Error> for Failure {
    fn from(error: super::runs::Error) -> Self {
        match error {
            super::runs::Error::Usage(message) => Self::wrong_use(message),
            super::runs::Error::Engine(error) => error.into(),
            super::runs::Error::Other(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        if is_closed_pipe(error.as_ref()) {
            return Self::read_enough();
        }
        Self::failed(format!("{error:#}"))
    }
}

impl From<super::encoders::Failure> for Failure {
    fn from(error: super::encoders::Failure) -> Self {
        if is_closed_pipe(&error) {
            return Self::read_enough();
        }
        Self::new(error.exit_code(), chain(&error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if is_closed_pipe(&error) {
            return Self::read_enough();
        }
        Self::failed(error)
    }
}
