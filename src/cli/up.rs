//! `up`: the daemon.

use std::{net::SocketAddr, path::Path};

use clap::Args;

use super::{
    failure::{Failure, OK},
    output::Output,
};
use crate::{app::Daemon, config::Settings};

/// Run the daemon: schedules, engine and API, until it is told to end.
#[derive(Debug, Args)]
#[command(
    after_help = "The first SIGTERM or Ctrl-C lets running attempts end, the second stops them. \
                  The next start goes on where this one ended."
)]
pub(crate) struct Command {
    /// Where to listen; default: the setting `server.listen`, which is 127.0.0.1:7878.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// Runs the command.
///
/// # Errors
///
/// Where the daemon cannot start, or gives up.
pub(crate) async fn run(
    command: &Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let address = command.listen.unwrap_or(settings.server.listen);
    let daemon = Daemon::start(home, settings, address).await?;
    output.say(format!("listening at http://{}", daemon.address()))?;
    daemon.run().await?;
    Ok(OK)
}
