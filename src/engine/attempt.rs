//! The inside of an attempt that has a process of its own.

use std::{collections::HashMap, io::Read as _, path::Path, sync::Arc, time::Duration};

use rustix::process::{Signal, getpid, set_child_subreaper, set_parent_process_death_signal};
use serde_json::Map;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    Catalogue, Error, Interval, Progress, TaskContext,
    executor::{Assignment, AttemptResult, Executor as _, Inline, Mark, kill_own_group},
    files,
    recovery::ran_out_of_memory,
    request::outcome,
    tuning::until_written,
};
use crate::{
    clock::Clock,
    dag::Lineage,
    store::{self, AttemptRow, RunRow, Store},
    telemetry::Message,
};

/// How often a child tells its watcher how far it is.
const TELL: Duration = Duration::from_millis(100);

/// Runs the attempt of this id to its end and leaves its result in the store, where the process
/// that started this one reads it.
///
/// When standard input closes, the process that watches over this one has died: this one and all
/// that it has started are killed at once, for nobody would ever read the result. When this one is
/// told to terminate, it stops its work and says so. In either case, and when the work is done,
/// nothing that it has started goes on.
///
/// # Errors
///
/// Where there is no such attempt to run or the store fails. How the attempt itself ended is not
/// an error here.
pub async fn run(
    store: &Store,
    catalogue: &Catalogue,
    clock: Arc<dyn Clock>,
    data_dir: &Path,
    attempt_id: &str,
) -> Result<(), Error> {
    let mark = Mark::new(attempt_id, data_dir);
    adopt_all();
    watch_parent(mark.clone());
    let stop = stop_when_told();
    // What is done must not be lost to a full disk; who stops this attempt ends the wait.
    let waits = |progress: &Progress| {
        tracing::warn!("the disk is full: the attempt waits for room");
        // So it does not stand still to who watches over it.
        let (done, total) = progress.get();
        Message::Progress { done, total }.tell();
    };
    let pid = std::process::id();
    let begin = || store.begin_attempt(attempt_id, pid);
    until_written(begin, &stop, || waits(&Progress::default())).await?;
    let gone = || store::Error::Conflict(format!("there is no attempt `{attempt_id}`"));
    let attempt = store.attempt(attempt_id).await?.ok_or_else(gone)?;
    let run = store.run(&attempt.run_id).await?.ok_or_else(gone)?;
    let lineage = store.lineage(&attempt.run_id, attempt.position).await?;
    let context = context(
        store,
        Arc::clone(&clock),
        data_dir,
        &run,
        &attempt,
        &lineage,
        &stop,
    )
    .await?;
    let node = &lineage.node;
    let operator = catalogue
        .get(&node.op)
        .ok_or_else(|| Error::UnknownOperator {
            task: node.id.clone(),
            op: node.op.clone(),
            allowed: catalogue.names().map(str::to_owned).collect(),
        })?;
    let progress = context.progress.clone();
    let work = Inline.run(Assignment {
        attempt_id: attempt_id.to_owned(),
        operator: Arc::clone(operator),
        context,
        // The watching process keeps the time: it can kill, we cannot.
        timeout: None,
        stall_timeout: None,
        memory: None,
        stop: stop.clone(),
        grace: Duration::from_secs(5),
    });
    let telling = async {
        let mut told = (0, 0, 0);
        loop {
            tokio::time::sleep(TELL).await;
            tell(&progress, &mut told);
        }
    };
    let result: AttemptResult = tokio::select! {
        result = work => result,
        () = telling => unreachable!("it tells for ever"),
    };
    tell(&progress, &mut (0, 0, 0));
    if let Some(bytes) = peak_bytes() {
        Message::Peak { bytes }.tell();
    }
    mark.kill_all().await;
    let text = serde_json::to_string(&result).expect("a result is plain data");
    let report = || store.report_attempt(attempt_id, &text);
    until_written(report, &stop, || waits(&progress)).await?;
    Ok(())
}

/// The most memory that this process has held.
fn peak_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Tells the watching process how far the attempt is, where it got further.
fn tell(progress: &Progress, told: &mut (u64, u64, u64)) {
    let (done, total) = progress.get();
    let now = (done, total, progress.signs());
    if *told != now {
        *told = now;
        Message::Progress { done, total }.tell();
    }
}

async fn context(
    store: &Store,
    clock: Arc<dyn Clock>,
    data_dir: &Path,
    run: &RunRow,
    attempt: &AttemptRow,
    lineage: &Lineage,
    stop: &CancellationToken,
) -> Result<TaskContext, Error> {
    let positions: Vec<usize> = lineage.above.iter().map(|&(at, _)| at).collect();
    let left: HashMap<usize, String> = store
        .outcomes(&run.id, &positions)
        .await?
        .into_iter()
        .collect();
    let mut upstream = Map::new();
    for (at, task_id) in &lineage.above {
        let outcome = outcome(&run.id, task_id, left.get(at).map(String::as_str))?;
        if !outcome.output.is_null() {
            upstream.insert(task_id.clone(), outcome.output);
        }
    }
    let first_started = store.first_started(&run.id, attempt.position).await?;
    Ok(TaskContext {
        run_id: run.id.clone(),
        pipeline: run.pipeline.clone(),
        task_id: attempt.task_id.clone(),
        attempt: attempt.number,
        first_started_at: first_started.unwrap_or(attempt.started_at),
        interval: Interval {
            start: run.interval_start,
            end: run.interval_end,
        },
        as_of: run.as_of,
        force: run.force,
        params: run.params.clone(),
        settings: lineage.node.settings.clone(),
        upstream,
        run_dir: files::run_dir(data_dir, &run.id),
        clock,
        cancelled: stop.child_token(),
        progress: Progress::default(),
        batch_divisor: if ran_out_of_memory(store, &run.id, &attempt.task_id).await? {
            2
        } else {
            1
        },
        mark: Mark::new(&attempt.id, data_dir),
    })
}

/// Makes every process that this one has started, and that loses its parent, a child of this one.
fn adopt_all() {
    // Old kernels have neither; then what leaves the group is found by its mark alone.
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        tracing::debug!(%error, "cannot adopt processes that lose their parent");
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::debug!(%error, "cannot ask for a signal when the parent dies");
    }
}

/// A token that is cancelled when this process is told to terminate.
fn stop_when_told() -> CancellationToken {
    let stop = CancellationToken::new();
    match signal(SignalKind::terminate()) {
        Ok(mut told) => {
            let stop = stop.clone();
            tokio::spawn(async move {
                if told.recv().await.is_some() {
                    stop.cancel();
                }
            });
        }
        // The signal then ends this process at once, and its parent kills the rest.
        Err(error) => tracing::warn!(%error, "cannot listen for the signal to stop"),
    }
    stop
}

/// Ends this process with all that it has started once standard input is at its end.
fn watch_parent(mark: Mark) {
    // A plain thread: one of the runtime's would keep the process from ending by itself.
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(1..) = std::io::stdin().read(&mut bytes) {}
        end_self(&mark);
    });
}

/// Ends this process with all that carries its mark.
pub fn end_self(mark: &Mark) {
    mark.kill_all_now();
    kill_own_group();
}
