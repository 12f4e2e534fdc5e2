//! `notices`: what people were told and what still holds of it.

use clap::{Subcommand, ValueEnum};

use super::{
    failure::Failure,
    output::{Output, table},
};
use crate::{
    app::App,
    store::{NoticeFilter, NoticeState},
};

/// What people were told: failed runs, missed deadlines, little disk.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the newest notices.
    List {
        /// Only those that still hold, or only those that are over.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// How many at most.
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: u32,
    },
}

/// Whether what a notice tells still holds.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    /// It does.
    Open,
    /// It is over.
    Closed,
}

/// Runs the command.
///
/// # Errors
///
/// Where the store fails.
pub(crate) async fn run(command: Command, app: &App, output: Output) -> Result<(), Failure> {
    let Command::List { state, limit } = command;
    let filter = NoticeFilter {
        state: state.map(|state| match state {
            State::Open => NoticeState::Open,
            State::Closed => NoticeState::Closed,
        }),
        before: None,
        limit,
    };
    let notices = app.store().notices(&filter).await?;
    if output.json {
        return Ok(output.json(&notices)?);
    }
    let mut rows = table(&["since", "state", "kind", "times", "notice"]);
    for notice in notices {
        rows.add_row([
            notice.raised_at.to_string(),
            notice.state.name().to_owned(),
            notice.kind,
            notice.times.to_string(),
            notice.message,
        ]);
    }
    Ok(output.data(rows.to_string())?)
}
