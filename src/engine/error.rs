//! Why the engine refuses or gives up.

use std::path::PathBuf;

use crate::{clock::Timestamp, store};

/// Why the engine refuses or gives up. How a task ended is never an error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process runs on this home.
    #[error("{}", locked(*pid, run_id.as_deref(), *started_at, address.as_deref()))]
    Locked {
        /// That process, where it said.
        pid: Option<u32>,
        /// The run that it is at work on.
        run_id: Option<String>,
        /// When it started.
        started_at: Option<Timestamp>,
        /// Where it listens, where it is a daemon.
        address: Option<String>,
    },
    /// The lock file cannot be made or read.
    #[error("cannot lock the home with `{path}`")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A task names an operator that does not exist.
    #[error("task `{task}` names the operator `{op}`; there are {}", .allowed.join(", "))]
    UnknownOperator {
        /// The task.
        task: String,
        /// What it names.
        op: String,
        /// What there is.
        allowed: Vec<String>,
    },
    /// A selection names a task that does not exist.
    #[error("there is no task `{task}`; there are {}", .allowed.join(", "))]
    UnknownTask {
        /// The name.
        task: String,
        /// What there is.
        allowed: Vec<String>,
    },
    /// A selection leaves out tasks whose results it needs.
    #[error(
        "no earlier run still has the result of {}; start at one of them instead",
        .tasks.iter().map(|task| format!("`{task}`")).collect::<Vec<_>>().join(", ")
    )]
    NoEarlierResult {
        /// The tasks.
        tasks: Vec<String>,
    },
    /// A selection leaves out a task that would do something else now than in the earlier run.
    #[error(
        "task `{task}` had other settings in run `{run_id}`; start at it or above, so that it runs \
         again"
    )]
    OtherSettings {
        /// The task.
        task: String,
        /// The earlier run.
        run_id: String,
    },
    /// The files of an earlier run cannot be taken over.
    #[error("cannot take over the files of run `{run_id}`")]
    Files {
        /// The earlier run.
        run_id: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no such run.
    #[error("there is no run `{0}`; `trendmill runs list` shows all")]
    UnknownRun(String),
    /// More than one run begins so.
    #[error("several runs begin with `{0}`; write more of the id")]
    SeveralRuns(String),
    /// The run has ended.
    #[error("run `{0}` has ended; `trendmill runs retry` makes a new one of it")]
    Ended(String),
    /// The run has not ended, so what failed of it may still be tried again.
    #[error(
        "run `{0}` has not ended; wait for its end or cancel it, or let tasks of it begin anew with \
         `trendmill runs clear`"
    )]
    Unfinished(String),
    /// The run waits for somebody to resume it.
    #[error("no process is at work on run `{0}`; the command that started it resumes it")]
    Idle(String),
    /// The run waits for a word.
    #[error("run `{run_id}` is queued: {cause}")]
    Held {
        /// The run.
        run_id: String,
        /// Why it does not start yet.
        cause: String,
    },
    /// The run does not wait for a word.
    #[error("run `{0}` is not held back: it has started or ended")]
    NotHeld(String),
    /// A task that is to be cleared is running.
    #[error("task `{0}` is running; cancel it first, or wait for its end")]
    StillRunning(String),
    /// A task that is to be cleared reads files that are gone.
    #[error(
        "the files that task `{task}` left are gone, as retention lets them; let it begin anew too: \
         `trendmill runs clear {run_id} --from {task}`"
    )]
    FilesGone {
        /// The run.
        run_id: String,
        /// The task upstream whose files are gone, the first in the order of work.
        task: String,
    },
    /// Nothing fits what is to be cleared.
    #[error("no task of run `{0}` has failed, was cancelled or lacks its upstream")]
    NothingToClear(String),
    /// A schedule has made a run for this tick before.
    #[error("schedule `{schedule}` has made run `{run_id}` for {scheduled_for} before")]
    TickTaken {
        /// The schedule.
        schedule: String,
        /// The tick.
        scheduled_for: Timestamp,
        /// The run.
        run_id: String,
    },
    /// A task that was done once more failed.
    #[error("`{task}` cannot be done again: {message}")]
    Replay {
        /// The task.
        task: String,
        /// Why.
        message: String,
    },
    /// The engine shuts down, or gave up for this reason.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

fn locked(
    pid: Option<u32>,
    run_id: Option<&str>,
    started_at: Option<Timestamp>,
    address: Option<&str>,
) -> String {
    let who = match (pid, address) {
        (Some(pid), None) => format!("process {pid}"),
        (None, None) => "another process".to_owned(),
        (Some(pid), Some(_)) => format!("the daemon (process {pid})"),
        (None, Some(_)) => "the daemon".to_owned(),
    };
    let mut text = format!("{who} is at work on this home");
    if let Some(address) = address {
        text.extend([", at ", address]);
    }
    if let Some(run_id) = run_id {
        text.extend([", on run `", run_id, "`"]);
    }
    if let Some(started_at) = started_at {
        text.extend([", since ", &started_at.to_string()]);
    }
    text + "; wait for it or stop it"
}
