//! `db`: the databases as files.

use std::path::Path;

use clap::Subcommand;

use super::{check, failure::Failure, output::Output};
use crate::{app::App, config::Settings};

/// Look after the databases.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say which rows or files contradict each other; exit code 1 where some do.
    ///
    /// Works beside a live run too, and changes nothing.
    Check,
}

/// Does a command.
///
/// # Errors
///
/// Where the databases cannot be had or are not sound.
pub(super) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Command::Check => check::run(&App::read(home, settings).await?, output).await,
    }
}
