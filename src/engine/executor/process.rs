//! Attempts as processes of their own.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
};
use tracing::Instrument as _;

use super::{
    Assignment, AttemptResult, Cgroups, ChildGroup, CrashCode, Executor, cgroup,
    watch::{memory, overdue, stalled},
};
use crate::{
    config::{Size, size},
    engine::Progress,
    store::Store,
    telemetry::Message,
};

/// Runs each attempt as `<executable> --home HOME attempt ID`.
///
/// The child reads what to do from the store and leaves its result there. It holds the reading
/// end of a pipe whose other end is ours: when this process dies, the pipe closes and the child
/// ends itself with all that it has started. Where control groups can be had it enters one of its
/// own before it does anything, and the kernel limits its memory; else we watch it. A stop and a timeout ask it to end, and kill all of
/// it after the grace.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Process {
    pub(in crate::engine) executable: PathBuf,
    pub(in crate::engine) home: PathBuf,
    pub(in crate::engine) store: Store,
    pub(in crate::engine) cgroups: Option<Arc<Cgroups>>,
}

impl Executor for Process {
    fn run(&self, assignment: Assignment) -> BoxFuture<'static, AttemptResult> {
        Box::pin(self.clone().watch(assignment))
    }
}

impl Process {
    async fn watch(self, assignment: Assignment) -> AttemptResult {
        let mut command = Command::new(&self.executable);
        command
            .arg("--home")
            .arg(&self.home)
            .arg("attempt")
            .arg(&assignment.attempt_id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let cgroup = self.cgroup(&assignment);
        if let Some(cgroup) = &cgroup {
            command.arg("--cgroup").arg(cgroup.path());
        }
        // What the kernel limits is only recorded here.
        let watched = assignment
            .memory
            .filter(|_| !cgroup.as_ref().is_some_and(cgroup::Group::is_limited));
        let mut group = match ChildGroup::spawn(&mut command, assignment.context.mark.clone()) {
            Ok(group) => group.with_cgroup(cgroup),
            Err(error) => {
                return AttemptResult::Failed {
                    message: format!("cannot start `{}`: {error}", self.executable.display()),
                    class: None,
                };
            }
        };
        let output = group.child().stdout.take();
        let errors = group.child().stderr.take();
        // Kept until the child has ended: its other end tells the child that we live.
        let lifeline = group.child().stdin.take();
        let progress = assignment.context.progress.clone();
        let logging = tokio::spawn(
            async move {
                tokio::join!(relay(output, &progress), relay(errors, &progress));
            }
            .in_current_span(),
        );
        let progress = &assignment.context.progress;
        let process = group.child().id();
        let ended = tokio::select! {
            status = group.child().wait() => Ended::Alone(status),
            () = assignment.stop.cancelled() => Ended::Stopped,
            () = overdue(assignment.timeout) => Ended::Overdue,
            () = stalled(assignment.stall_timeout, progress) => Ended::Stalled,
            bytes = memory(process, watched, progress) => Ended::OutOfMemory(bytes),
        };
        let mut reported = None;
        if let Ended::Alone(_) = ended {
            reported = self.reported(&assignment.attempt_id).await;
        }
        match (&ended, &reported) {
            // It reports once nothing of it is left.
            (Ended::Alone(Ok(status)), Some(_)) if status.success() => group.is_gone(),
            (Ended::Alone(_) | Ended::Stalled | Ended::OutOfMemory(_), _) => {
                group.stop(Duration::ZERO).await;
            }
            (Ended::Stopped | Ended::Overdue, _) => {
                group.stop(assignment.grace).await;
                reported = self.reported(&assignment.attempt_id).await;
            }
        }
        let out_of_memory = match group.take_cgroup() {
            Some(cgroup) => {
                let out = cgroup.ran_out_of_memory();
                let peak = cgroup.peak_bytes();
                cgroup.end().await;
                out.then(|| peak.or(assignment.memory).unwrap_or_default())
            }
            None => None,
        };
        let ended = match (out_of_memory, &reported) {
            // One that was done all the same has lost nothing.
            (
                Some(bytes),
                None | Some(AttemptResult::Failed { .. } | AttemptResult::Retry { .. }),
            ) => {
                progress.note_peak(bytes);
                reported = None;
                Ended::OutOfMemory(bytes)
            }
            _ => ended,
        };
        drop(lifeline);
        // With all of its processes dead their pipes are closed; one that could not be killed
        // must not hold up the run.
        let _ = tokio::time::timeout(assignment.grace, logging).await;
        ended.result(reported, &assignment)
    }

    /// A control group for an attempt, where there are any.
    fn cgroup(&self, assignment: &Assignment) -> Option<cgroup::Group> {
        let group = self
            .cgroups
            .as_ref()?
            .group(&assignment.attempt_id, assignment.memory);
        group
            .inspect_err(|error| tracing::warn!(%error, "the attempt goes without a cgroup"))
            .ok()
    }

    async fn reported(&self, attempt_id: &str) -> Option<AttemptResult> {
        let text = match self.store.attempt_result(attempt_id).await {
            Ok(text) => text?,
            Err(error) => {
                tracing::error!(attempt.id = attempt_id, %error, "cannot read a result");
                return None;
            }
        };
        serde_json::from_str(&text)
            .inspect_err(|error| {
                tracing::error!(attempt.id = attempt_id, %error, "cannot read a result");
            })
            .ok()
    }
}

enum Ended {
    Alone(Result<ExitStatus, std::io::Error>),
    Stopped,
    Overdue,
    Stalled,
    /// With so many bytes.
    OutOfMemory(u64),
}

impl Ended {
    /// What became of the attempt that ended so and left this result.
    fn result(self, reported: Option<AttemptResult>, assignment: &Assignment) -> AttemptResult {
        match (self, reported) {
            // It was told to stop because its time was up.
            (Self::Overdue, Some(AttemptResult::Stopped) | None) => AttemptResult::TimedOut {
                message: format!(
                    "took longer than its timeout of {:?}",
                    assignment.timeout.unwrap_or_default()
                ),
            },
            (_, Some(result)) => result,
            (Self::Stalled, None) => AttemptResult::stalled(assignment.stall_timeout),
            (Self::OutOfMemory(bytes), None) => AttemptResult::OutOfMemory {
                message: format!(
                    "held {} of memory where its limit is {}",
                    mebibytes(bytes),
                    mebibytes(assignment.memory.unwrap_or_default())
                ),
            },
            (Self::Stopped, None) => AttemptResult::Stopped,
            (Self::Alone(status), None) => AttemptResult::Crashed {
                message: format!("its process ended without a result: {}", describe(status)),
                code: CrashCode::ProcessLost,
            },
        }
    }
}

/// An amount of memory for people.
fn mebibytes(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    size::show(Size(bytes / MEBIBYTE * MEBIBYTE))
}

fn describe(status: Result<ExitStatus, std::io::Error>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Puts what the child says into the log of the attempt, and its progress into the attempt's.
async fn relay(pipe: Option<impl AsyncRead + Unpin>, progress: &Progress) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        match Message::read(&line) {
            Some(Message::Progress { done, total }) => progress.set(done, total),
            Some(Message::Peak { bytes }) => progress.note_peak(bytes),
            Some(Message::Event { level, text }) => match level.as_str() {
                "error" => tracing::error!("{text}"),
                "warn" => tracing::warn!("{text}"),
                "info" => tracing::info!("{text}"),
                _ => tracing::debug!("{text}"),
            },
            None => tracing::info!("{}", String::from_utf8_lossy(&line)),
        }
    }
}
