//! `answer-predictions`: the process that predicts for callers of the daemon, which starts it.

use std::path::Path;

use clap::Args;

use super::failure::{Failure, OK};
use crate::{app::App, config::Settings};

/// Predict for callers of the daemon, which starts this.
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// By which this process and all that it starts is known.
    mark: String,
}

/// Runs the command until nobody asks any more.
///
/// # Errors
///
/// Where standard input is no socket of a daemon.
pub(crate) async fn run(command: &Command, home: &Path, settings: Settings) -> Result<u8, Failure> {
    let app = App::attach(home, settings)?;
    app.answer_predictions(&command.mark).await?;
    Ok(OK)
}
