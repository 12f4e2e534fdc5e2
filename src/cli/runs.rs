//! `trendmill runs`: what ran, how it ended, and what it said.

use std::{
    io::{Read as _, Write},
    path::Path,
};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::{
    clock::{Clock, Timestamp},
    engine::{
        Earlier, Handle, HomeLock, Interval, RunOverview, RunRequest, RunSummary, Selection,
        Submitted, Trigger, find_run,
    },
    store::{AttemptRow, RunRow, Store},
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
    },
    /// End a run.
    Cancel {
        /// The run.
        run: String,
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
}

/// What the commands work on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// The store of the home; for `cancel` one that can be written.
    pub store: &'a Store,
    /// The home's data folder.
    pub data_dir: &'a Path,
    /// Where the time comes from.
    pub clock: &'a dyn Clock,
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

/// Does a command. `engine` starts an engine on the home, for `retry` alone. Returns the summary
/// of the run that `retry` made.
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
        Command::List { pipeline, limit } => list(scene, pipeline.as_deref(), limit, out).await?,
        Command::Show { run } => show(scene, &find_run(scene.store, &run).await?, out).await?,
        Command::Logs { run, task, attempt } => {
            let run = find_run(scene.store, &run).await?;
            logs(scene, &run, &task, attempt, out).await?;
        }
        Command::Cancel { run } => cancel(scene, &find_run(scene.store, &run).await?, out).await?,
        Command::Retry { run, from, .. } => {
            let row = find_run(scene.store, &run).await?;
            let request = retry_request(scene.store, &row, from).await?;
            let handle = engine().await?;
            let Submitted { run_id, .. } = handle.submit(request).await?;
            let summary = handle.wait(&run_id).await?;
            return Ok(Some(summary));
        }
    }
    Ok(None)
}

fn other(error: impl Into<anyhow::Error>) -> Error {
    Error::Other(error.into())
}

async fn list(
    scene: Scene<'_>,
    pipeline: Option<&str>,
    limit: u32,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let rows = scene.store.runs(pipeline, limit).await?;
    if scene.json {
        let now = scene.clock.now();
        let rows: Vec<RunOverview> = rows
            .into_iter()
            .map(|row| RunOverview::new(row, now))
            .collect();
        return print_json(&rows, out);
    }
    let mut table = table(&["run", "pipeline", "for", "state", "began", "took"]);
    for row in &rows {
        table.add_row([
            row.id.clone(),
            row.pipeline.clone(),
            row.scheduled_for.to_string(),
            row.state.to_string(),
            row.started_at.map_or_else(String::new, |at| at.to_string()),
            took(seconds(row, scene.clock)),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

async fn show(scene: Scene<'_>, row: &RunRow, out: &mut dyn Write) -> anyhow::Result<()> {
    let summary = RunSummary::load(scene.store, &row.id).await?;
    if !scene.json {
        writeln!(out, "run       {}", row.id)?;
        writeln!(out, "pipeline  {} ({})", row.pipeline, row.trigger)?;
        writeln!(
            out,
            "interval  {} to {}, as of {}",
            row.interval_start, row.interval_end, row.as_of
        )?;
        if let Some(source) = &row.source {
            writeln!(out, "source    {source}")?;
        }
        writeln!(out, "state     {} ({})", row.state, row.cause)?;
    }
    print_summary(&summary, scene.json, out)
}

async fn logs(
    scene: Scene<'_>,
    run: &RunRow,
    task: &str,
    number: Option<u32>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let attempts = scene
        .store
        .attempts(&run.id, Some(task))
        .await
        .map_err(other)?;
    let attempt = match number {
        None => attempts.last(),
        Some(number) => attempts.iter().find(|attempt| attempt.number == number),
    };
    let Some(attempt) = attempt else {
        return Err(Error::Usage(
            no_attempt(scene.store, run, task, number, attempts.len()).await?,
        ));
    };
    let text = read_log(&scene.data_dir.join(&attempt.log)).map_err(Error::Other)?;
    if scene.json {
        let lines: Vec<&str> = text.lines().collect();
        let mut document = json!(attempt);
        document["lines"] = json!(lines);
        return Ok(print_json(&document, out)?);
    }
    print_log(attempt, &text, out).map_err(other)
}

/// Why there is nothing to print, in words.
async fn no_attempt(
    store: &Store,
    run: &RunRow,
    task: &str,
    number: Option<u32>,
    attempts: usize,
) -> Result<String, Error> {
    let tasks = store.tasks(&run.id).await.map_err(other)?;
    let Some(row) = tasks.iter().find(|row| row.task_id == task) else {
        let names: Vec<&str> = tasks.iter().map(|row| row.task_id.as_str()).collect();
        return Ok(format!(
            "there is no task `{task}` in run `{}`; there are {}",
            run.id,
            names.join(", ")
        ));
    };
    Ok(match number {
        Some(number) => format!("task `{task}` has no attempt {number}; it has {attempts}"),
        None => format!("task `{task}` was never started: it is {}", row.run.state),
    })
}

/// The text of a log; empty where nothing was said.
fn read_log(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    match fs_err::File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn print_log(attempt: &AttemptRow, text: &str, out: &mut dyn Write) -> std::io::Result<()> {
    write!(out, "{text}")?;
    if !text.is_empty() && !text.ends_with('\n') {
        writeln!(out)?;
    }
    write!(
        out,
        "attempt {} of {}: {}",
        attempt.number, attempt.task_id, attempt.state
    )?;
    if let Some(seconds) = attempt.seconds {
        write!(out, " after {}", took(seconds))?;
    }
    match &attempt.error {
        Some(error) => writeln!(out, ": {error}"),
        None => writeln!(out),
    }
}

/// Asks the owner of a run to end it; without an owner, ends it here.
async fn cancel(scene: Scene<'_>, row: &RunRow, out: &mut dyn Write) -> anyhow::Result<()> {
    if row.state.is_final() {
        bail!("run `{}` has ended: it is {}", row.id, row.state);
    }
    scene.store.request_cancel(&row.id).await?;
    let state = match HomeLock::acquire(scene.data_dir, scene.clock.now()) {
        // Nobody is at work on this home, so nobody else will do it.
        Ok(lock) => {
            let state = crate::engine::cancel_idle(scene.store, &row.id, scene.clock.now()).await?;
            drop(lock);
            state.name()
        }
        Err(crate::engine::Error::Locked { .. }) => "cancelling",
        Err(error) => return Err(error.into()),
    };
    if scene.json {
        return print_json(&json!({"run_id": row.id, "state": state}), out);
    }
    writeln!(out, "run {} is {state}", row.id)?;
    Ok(())
}

/// The request that runs again a part of an earlier run, on the definition it had.
///
/// # Errors
///
/// Where the store fails.
pub(super) async fn retry_request(
    store: &Store,
    row: &RunRow,
    from: Option<String>,
) -> anyhow::Result<RunRequest> {
    let earlier = Earlier::load(store, &row.id).await?;
    let definition = store
        .definition(&row.definition_hash)
        .await?
        .context("the run's definition is not in the store any more")?;
    Ok(RunRequest {
        pipeline: row.pipeline.clone(),
        definition,
        graph: store.run_graph(&row.id).await?,
        interval: Interval {
            start: row.interval_start,
            end: row.interval_end,
        },
        scheduled_for: row.scheduled_for,
        as_of: row.as_of,
        source: row.source.clone(),
        profile: row.profile.clone(),
        params: row.params.clone(),
        force: false,
        // The tick has its run; this one is made by hand.
        schedule: None,
        trigger: Trigger::Manual,
        selection: match from {
            Some(task) => Selection::From { task, earlier },
            None => Selection::Failed { earlier },
        },
    })
}

/// Prints a run's tasks, or the whole run as JSON.
///
/// # Errors
///
/// Where the output cannot be written.
pub(super) fn print_summary(
    summary: &RunSummary,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if json {
        return print_json(summary, out);
    }
    let mut table = table(&[
        "task", "op", "state", "tries", "took", "in", "out", "computed", "reused", "message",
    ]);
    for task in &summary.tasks {
        let mut message = task.message.clone().unwrap_or_default();
        if !task.dropped.is_empty() {
            let dropped: Vec<String> = task
                .dropped
                .iter()
                .map(|(reason, rows)| format!("{rows} {reason}"))
                .collect();
            let separator = if message.is_empty() { "" } else { "; " };
            message = format!("{message}{separator}dropped {}", dropped.join(", "));
        }
        table.add_row([
            task.id.clone(),
            task.op.clone(),
            task.state.to_owned(),
            task.attempts.to_string(),
            took(task.seconds),
            task.rows_in.to_string(),
            task.rows_out.to_string(),
            task.rows_computed.to_string(),
            task.rows_reused.to_string(),
            message,
        ]);
    }
    writeln!(out, "{table}")?;
    writeln!(
        out,
        "run {} {} after {}",
        summary.run_id,
        summary.state,
        took(summary.seconds)
    )?;
    Ok(())
}

/// From a run's first start to its end, or until now.
fn seconds(row: &RunRow, clock: &dyn Clock) -> f64 {
    row.started_at.map_or(0.0, |start: Timestamp| {
        let end = row.ended_at.unwrap_or_else(|| clock.now());
        end.since(start).as_secs_f64()
    })
}

fn took(seconds: f64) -> String {
    if seconds >= 60.0 {
        let whole = seconds.round();
        format!("{:.0}m{:02.0}s", (whole / 60.0).floor(), whole % 60.0)
    } else {
        format!("{seconds:.1}s")
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

fn print_json(document: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}", serde_json::to_string(document)?)?;
    Ok(())
}
