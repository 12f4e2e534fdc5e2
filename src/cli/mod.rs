//! The command line: names, JSON and exit codes are a contract.

#![expect(
    clippy::future_not_send,
    reason = "a command runs on the main thread, which holds the standard streams"
)]

mod failure;
mod output;
mod run;
mod backfill;
mod up;
mod report;
mod progress;
mod pipelines;
mod runs;
mod explain;
mod models;
mod predict;
mod encoders;
mod purge;
mod record;
mod records;
mod scan;
mod reddit;
mod remote;
mod handover;
mod follow;
mod tokens;
mod notices;
mod sandbox;
mod config;
mod answer_predictions;
mod attempt;
#[cfg(feature = "failpoints")]
mod deaths;
mod db;
mod check;
mod doctor;
mod merge;
mod features;
mod export;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};

use self::{
    failure::{Failure, OK, WRONG_USE},
    output::Output,
};
use crate::{
    app::{self, App, Worker},
    config::{LogFormat, Settings},
    store,
    telemetry::{self, TelemetrySettings},
};

/// Learns every day how popular a post will be.
#[derive(Debug, Parser)]
#[command(
    name = "trendmill",
    version,
    about = "Learns every day how popular a post will be",
    after_help = "Examples:\n  trendmill run reddit --source sandbox\n  trendmill models history \
                  reddit --metric spearman\n  trendmill predict reddit@champion --input posts.jsonl",
    max_term_width = 100
)]
struct Arguments {
    /// The home, with `trendmill.toml`, `pipelines/`, `model_registry/` and `data/`.
    #[arg(long, global = true, value_name = "DIR", env = "TRENDMILL_HOME")]
    home: Option<PathBuf>,
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Never ask the network for weights; for `encoders` and `predict`. Runs obey the setting
    /// `encoders.offline`.
    #[arg(long, global = true)]
    offline: bool,
    /// Print nothing but data and errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Tell more; twice: tell everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Whether to use colours.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Command),
    Backfill(backfill::Command),
    Up(up::Command),
    /// See and check pipelines.
    #[command(subcommand)]
    Pipelines(pipelines::Command),
    /// See runs and their logs.
    #[command(subcommand)]
    Runs(runs::Command),
    /// Ask the registry.
    #[command(subcommand)]
    Models(models::Command),
    /// Score new records with a model.
    Predict(predict::Command),
    /// Encoders: list, pull, embed, caption; and what a change of one takes.
    #[command(subcommand)]
    Encoders(encoders::Command),
    /// See, export and purge the records, and count those of a source.
    #[command(subcommand)]
    Records(records::Command),
    /// How much may be asked of Reddit.
    #[command(subcommand)]
    Reddit(reddit::Command),
    /// What people were told: failed runs, missed deadlines, little disk.
    #[command(subcommand)]
    Notices(notices::Command),
    /// Tokens for the daemon's API: make, list, revoke.
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// A simulated Reddit.
    Sandbox(sandbox::SandboxArguments),
    Merge(merge::Command),
    /// What features can be computed of, and since when.
    #[command(subcommand)]
    Features(features::Command),
    /// Write what versions have learned from, predicted and measured, as tables.
    #[command(subcommand)]
    Export(export::Command),
    /// Say what keeps the home from working, and what mends it.
    Doctor,
    /// Look after the databases.
    #[command(subcommand)]
    Db(db::Command),
    /// The settings and where each comes from.
    #[command(subcommand)]
    Config(config::Command),
    /// Run one attempt of a task; the engine starts this.
    #[command(hide = true)]
    Attempt(attempt::Command),
    /// Predict for callers of the daemon, which starts this.
    #[command(hide = true)]
    AnswerPredictions(answer_predictions::Command),
}

impl Command {
    /// Whether another process of this program gives it, rather than people.
    const fn is_started(&self) -> bool {
        matches!(self, Self::Attempt(_) | Self::AnswerPredictions(_))
    }
}

/// Runs the command line of this process; the exit code tells how it went.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    #[cfg(feature = "failpoints")]
    deaths::arm();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { WRONG_USE } else { OK };
            // A closed pipe is the reader's choice, not a fault.
            let _printed = error.print();
            return code.into();
        }
    };
    let output = Output {
        json: arguments.json,
        quiet: arguments.quiet,
        lively: arguments.color != Color::Never && output::stderr_is_terminal() && !arguments.quiet,
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if matches!(arguments.command, Command::Attempt(_)) {
        // One task, whose work has threads of its own.
        runtime.worker_threads(2);
    }
    let runtime = runtime.enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::unfit(error)),
    };
    match runtime.block_on(Box::pin(dispatch(arguments, output))) {
        Ok(code) => code.into(),
        Err(failure) => report(&failure),
    }
}

/// Says why a command failed.
fn report(failure: &Failure) -> ExitCode {
    if failure.code == OK {
        return OK.into();
    }
    let loud = Output {
        json: false,
        quiet: false,
        lively: false,
    };
    // Where even stderr is closed the exit code still tells.
    let _said = loud.say(failure.to_string());
    failure.code.into()
}

async fn dispatch(arguments: Arguments, output: Output) -> Result<u8, Failure> {
    let home = match arguments.home {
        Some(home) => home,
        None => std::env::current_dir()?,
    };
    // Programs that a run starts have folders of their own.
    let home = std::path::absolute(home)?;
    let mut settings = App::settings_of(&home)?;
    if arguments.offline {
        match arguments.command {
            // A run may be another process's affair.
            Command::Encoders(encoders::Command::Change(encoders::Change::Fill { .. })) => {
                return Err(offline_by_setting());
            }
            Command::Encoders(_) | Command::Predict(_) => settings.encoders.offline = true,
            _ => return Err(offline_by_setting()),
        }
    }
    if arguments.command.is_started() {
        return started(arguments.command, &home, settings).await;
    }
    // A daemon tells what it does, and a run where no bars show it.
    let told = match arguments.command {
        Command::Run(_) => i8::from(!output.lively),
        Command::Up(_) => 1,
        _ => 0,
    };
    let asked = i8::try_from(arguments.verbose).unwrap_or(i8::MAX);
    telemetry::init(&TelemetrySettings {
        verbosity: if output.quiet {
            -1
        } else {
            asked.saturating_add(told)
        },
        filter: (settings.log.level != "info").then(|| settings.log.level.clone()),
        color: output.lively,
        json: settings.log.format == LogFormat::Json,
        data_dir: Some(home.join("data")),
    })
    .map_err(Failure::wrong_use)?;
    let mut stdout = std::io::stdout();
    match arguments.command {
        Command::Backfill(command) => {
            return backfill::run(command, &home, settings, output).await;
        }
        Command::Run(command) => return Box::pin(run::run(command, &home, settings, output)).await,
        Command::Up(command) => return up::run(&command, &home, settings, output).await,
        Command::Attempt(_) | Command::AnswerPredictions(_) => {
            unreachable!("see above")
        }
        Command::Pipelines(pipelines::Command::Pause { name }) => {
            handover::pause(&name, true, &home, settings, output).await?;
        }
        Command::Pipelines(pipelines::Command::Unpause { name }) => {
            handover::pause(&name, false, &home, settings, output).await?;
        }
        Command::Pipelines(pipelines::Command::Switch(command)) => {
            return pipelines::switch(command, &home, settings, output).await;
        }
        Command::Pipelines(pipelines::Command::Look(command)) => {
            return look(&command, &home, settings, output).await;
        }
        Command::Runs(command) => return handover::runs(command, &home, settings, output).await,
        Command::Models(command) => models::run(command, &home, settings, output).await?,
        Command::Predict(command) => {
            if let Some(worker) = Worker::for_device(app::device(&settings)?)? {
                return Ok(worker.stand_in().await?);
            }
            predict::run(command, &App::read(&home, settings).await?, output).await?;
        }
        Command::Records(command) => records::run(command, &home, settings, output).await?,
        Command::Reddit(command) => {
            reddit::run(&command, &App::detached(&home, settings).await?, output)?;
        }
        Command::Notices(command) => {
            notices::run(command, &App::read(&home, settings).await?, output).await?;
        }
        Command::Tokens(command) => {
            tokens::run(command, &App::open(&home, settings).await?, output).await?;
        }
        Command::Encoders(encoders::Command::Change(command)) => {
            return Box::pin(encoders::change(command, &home, settings, output)).await;
        }
        Command::Encoders(command) => {
            if let Some(device) = command.device()
                && let Some(worker) = Worker::for_device(device)?
            {
                return Ok(worker.stand_in().await?);
            }
            let (weights, captioner) = (app::weights(&settings), app::captioner(&settings));
            encoders::run(command, weights, &captioner, output.json, &mut stdout).await?;
        }
        Command::Sandbox(arguments) => sandbox::run(arguments).await?,
        Command::Features(command) => features::run(command, &home, settings, output).await?,
        Command::Export(command) => export::run(command, &home, settings, output).await?,
        Command::Merge(command) => return merge::run(command, &home, settings, output).await,
        Command::Doctor => return doctor::run(&home, settings, output).await,
        Command::Db(command) => db::run(command, &home, settings, output).await?,
        Command::Config(command) => config::run(&command, &settings, output.json, &mut stdout)?,
    }
    Ok(OK)
}

/// What another process of this program has started, which hears what it says.
async fn started(command: Command, home: &Path, settings: Settings) -> Result<u8, Failure> {
    telemetry::init_attempt().map_err(Failure::wrong_use)?;
    match command {
        Command::Attempt(command) => attempt::run(command, home, settings).await,
        Command::AnswerPredictions(command) => {
            answer_predictions::run(&command, home, settings).await
        }
        _ => Err(Failure::wrong_use("no other process starts this command")),
    }
}

fn offline_by_setting() -> Failure {
    Failure::wrong_use(
        "`--offline` is for commands that encode here; for runs set `encoders.offline = true` in \
         `trendmill.toml`, or `TRENDMILL_ENCODERS__OFFLINE=true` where they are started",
    )
}

/// `pipelines`, as far as it only looks.
async fn look(
    command: &pipelines::Look,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let app = looking(command, home, settings).await?;
    let catalogue = app.catalogue();
    let moment = pipelines::Moment {
        now: app.clock().now(),
        decided: &app.decided().await?,
    };
    let mut stdout = std::io::stdout();
    Ok(pipelines::run(
        command,
        home,
        &catalogue,
        moment,
        output.json,
        &mut stdout,
    )?)
}

/// The home as `pipelines` looks at it: what people decided is in the databases, which there need
/// not be.
async fn looking(
    command: &pipelines::Look,
    home: &Path,
    settings: Settings,
) -> Result<App, Failure> {
    if matches!(
        command,
        pipelines::Look::List | pipelines::Look::Show { .. }
    ) {
        match App::read(home, settings.clone()).await {
            Err(app::Error::Store(store::Error::Missing(_))) => {}
            app => return Ok(app?),
        }
    }
    Ok(App::detached(home, settings).await?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_and_commands_fit_together() {
        Arguments::command().debug_assert();
    }
}
