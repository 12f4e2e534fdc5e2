//! `trendmill runs`: what ran, how it ended, and what it said.

mod show;
mod logs;
mod cancel;
mod again;

use std::{io::Write, path::Path};

use clap::Subcommand;
use serde::Serialize;

use crate::{
    clock::Clock,
    engine::{
        ClearSelection, DiskRoom, Handle, RunRequest, RunSummary, Slots, Submitted, find_run,
    },
    registry::Registry,
    server::RunAsked,
    store::Store,
};

/// Look at runs, stop them, run them again. RUN is an id, its unique beginning, or `latest`.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// List the newest runs.
    List {
        /// Only those of this pipeline.
        pipeline: Option<String>,
        /// How many at most.
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: u32,
    },
    /// Show one run with its tasks.
    Show {
        /// The run.
        run: String,
    },
    /// Print what an attempt of a task said.
    Logs {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// Which attempt; the last one by default.
        #[arg(long)]
        attempt: Option<u32>,
        /// Wait for the attempt, and go on until it has ended.
        #[arg(long, short)]
        follow: bool,
    },
    /// Say why a task waits, was skipped or failed, in one sentence.
    Explain {
        /// The run.
        run: String,
        /// The task.
        task: String,
    },
    /// End a run, or one of its tasks.
    Cancel {
        /// The run.
        run: String,
        /// This task alone; tasks downstream see a failure, and the run goes on.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Run again what did not succeed, with the results that are there.
    Retry {
        /// The run.
        run: String,
        /// The tasks that failed and all downstream of them; this is the default.
        #[arg(long, conflicts_with = "from")]
        failed: bool,
        /// This task and all downstream of it, whether it succeeded or not.
        #[arg(long, value_name = "TASK")]
        from: Option<String>,
    },
    /// Let tasks begin anew within the same run, and go on with it.
    Clear {
        /// The run.
        run: String,
        /// The tasks that failed and all downstream of them; this is the default.
        #[arg(long, conflicts_with_all = ["from", "task"])]
        failed: bool,
        /// This task and all downstream of it.
        #[arg(long, value_name = "TASK", conflicts_with = "task")]
        from: Option<String>,
        /// This task alone.
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
        /// Tell which tasks that are, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What the commands work on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The store of the home; for `cancel` one that can be written.
    pub store: &'a Store,
    /// The model versions of the home.
    pub registry: &'a Registry,
    /// The home's data folder.
    pub data_dir: &'a Path,
    /// Where the time comes from.
    pub clock: &'a dyn Clock,
    /// How many tasks may run at once.
    pub slots: &'a Slots,
    /// The room on the disk.
    pub disk: DiskRoom,
    /// Whether JSON is wanted.
    pub json: bool,
}

/// Why a command could not be done, by whose fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The person named what does not exist; exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The engine refuses.
    #[error(transparent)]
    Engine(#[from] crate::engine::Error),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Does a command. `engine` starts an engine on the home, for `retry` and `clear`. Returns the
/// summary of the run that they ended in.
///
/// # Errors
///
/// Where the run or task does not exist, or the store fails.
pub(super) async fn run(
    command: Command,
    scene: Scene<'_>,
    engine: impl AsyncFnOnce() -> Result<Handle, crate::engine::Error>,
    out: &mut dyn Write,
) -> Result<Option<RunSummary>, Error> {
    match command {
        Command::List { pipeline, limit } => {
            show::list(scene, pipeline.as_deref(), limit, out).await?;
        }
        Command::Show { run } => {
            show::show(scene, &find_run(scene.store, &run).await?, out).await?;
        }
        Command::Logs {
            run,
            task,
            attempt,
            follow,
        } => {
            let run = find_run(scene.store, &run).await?;
            if follow {
                logs::follow(scene, &run, &task, attempt, out).await?;
            } else {
                logs::logs(scene, &run, &task, attempt, out).await?;
            }
        }
        Command::Cancel { run, task } => {
            let row = find_run(scene.store, &run).await?;
            match task {
                None => cancel::cancel(scene, &row, out).await?,
                Some(task) => cancel::cancel_task(scene, &row, &task, out).await?,
            }
        }
        Command::Explain { run, task } => {
            let run = find_run(scene.store, &run).await?;
            super::explain::run(scene, &run, &task, out).await?;
        }
        Command::Retry { run, from, .. } => {
            let row = find_run(scene.store, &run).await?;
            let request = RunRequest::again(scene.store, scene.data_dir, &row, from).await?;
            let handle = engine().await?;
            let Submitted { run_id, .. } = handle.submit(request).await?;
            let summary = handle.wait(&run_id).await?;
            return Ok(Some(summary));
        }
        Command::Clear {
            run,
            from,
            task,
            dry_run,
            ..
        } => {
            let row = find_run(scene.store, &run).await?;
            let selection = match (from, task) {
                (Some(task), _) => ClearSelection::From(task),
                (None, Some(task)) => ClearSelection::Only(task),
                (None, None) => ClearSelection::Failed,
            };
            if dry_run {
                again::clear_dry_run(scene, &row, &selection, out).await?;
                return Ok(None);
            }
            let handle = engine().await?;
            let cleared = handle.clear(&row.id, selection).await?;
            return Ok(Some(handle.wait(&cleared.run_id).await?));
        }
    }
    Ok(None)
}

fn other(error: impl Into<anyhow::Error>) -> Error {
    Error::Other(error.into())
}

fn took(seconds: f64) -> String {
    if seconds >= 60.0 {
        let whole = seconds.round();
        format!("{:.0}m{:02.0}s", (whole / 60.0).floor(), whole % 60.0)
    } else {
        format!("{seconds:.1}s")
    }
}

/// Prints what becomes of a run or task that was asked to end.
///
/// # Errors
///
/// Where the output cannot be written.
pub(super) fn print_asked(asked: &RunAsked, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return print_json(asked, out);
    }
    let RunAsked {
        run_id,
        task,
        state,
    } = asked;
    match task {
        None => writeln!(out, "run {run_id} is {state}")?,
        Some(task) => writeln!(out, "task {task} of run {run_id} is {state}")?,
    }
    Ok(())
}

fn print_json(document: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string(document)?)?;
    Ok(())
}
