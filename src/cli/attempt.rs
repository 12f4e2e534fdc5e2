//! `attempt`: one attempt of a task in a process of its own; the engine starts it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::failure::{Failure, OK};
use crate::{app::App, config::Settings, engine};

/// Run one attempt of a task; the engine starts this.
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// The attempt's id.
    id: String,
    /// The control group that was made for it.
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// Where there is no such attempt. How the attempt itself ended stands in the store.
pub(crate) async fn run(command: Command, home: &Path, settings: Settings) -> Result<u8, Failure> {
    if let Some(cgroup) = &command.cgroup {
        // Before anything is started that could stay outside.
        engine::enter_cgroup(cgroup).map_err(|error| {
            Failure::from(anyhow::anyhow!(
                "cannot enter the attempt's cgroup: {error}"
            ))
        })?;
    }
    let app = App::attach(home, settings)?;
    let data = home.join("data");
    let clock = Arc::clone(app.clock());
    engine::attempt::run(app.store(), &app.catalogue(), clock, &data, &command.id).await?;
    Ok(OK)
}
