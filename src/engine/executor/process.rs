//! Attempts as processes of their own.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use rustix::process::Signal;
use tokio::{io::AsyncRead, process::Command};
use tracing::Instrument as _;

use super::{
    Assignment, AttemptResult, Cgroups, ChildGroup, ChildLines, CrashCode, Executor, LONGEST_LINE,
    cgroup, cut,
    watch::{memory, memory_kills, overdue, stalled},
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
            Err(error) => return self.not_started(&error),
        };
        let kills = memory_kills();
        let output = group.child().stdout.take();
        let errors = group.child().stderr.take();
        // Kept until the child has ended: its other end tells the child that we live.
        let lifeline = group.child().stdin.take();
        let progress = assignment.context.progress.clone();
        let logging = tokio::spawn(
            async move {
                tokio::join!(relay_of(output, &progress), relay_of(errors, &progress));
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
            (Ended::Alone(_) | Ended::KilledForMemory, _) => group.stop(Duration::ZERO).await,
            (Ended::Stalled | Ended::OutOfMemory(_), _) => {
                group.stop(Duration::ZERO).await;
                // It may have been done just before.
                reported = self.reported(&assignment.attempt_id).await;
            }
            (Ended::Stopped | Ended::Overdue, _) => {
                group.stop(assignment.grace).await;
                reported = self.reported(&assignment.attempt_id).await;
            }
        }
        let out_of_memory = match group.take_cgroup() {
            Some(cgroup) => {
                let out = cgroup.ran_out_of_memory();
                let held = || cgroup.peak_bytes().or(assignment.memory);
                let bytes = out.then(|| held().unwrap_or_default());
                cgroup.end().await;
                bytes
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
        let ended = ended.or_killed_for_memory(kills, memory_kills());
        drop(lifeline);
        // With all of its processes dead their pipes are closed; one that could not be killed
        // must not hold up the run.
        let _ = tokio::time::timeout(assignment.grace, logging).await;
        ended.result(reported, &assignment)
    }

    /// What an attempt is whose process could not be started.
    fn not_started(&self, error: &io::Error) -> AttemptResult {
        let message = format!("cannot start `{}`: {error}", self.executable.display());
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => AttemptResult::Failed {
                message,
                class: None,
            },
            // The machine has no room for one more process now; that passes.
            _ => AttemptResult::Crashed {
                message,
                code: CrashCode::ProcessLost,
            },
        }
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
    Alone(io::Result<ExitStatus>),
    Stopped,
    Overdue,
    Stalled,
    /// With so many bytes.
    OutOfMemory(u64),
    /// By the kernel, when the machine had no memory left.
    KilledForMemory,
}

impl Ended {
    /// What it was, seen that the kernel has killed so many processes for their memory before and
    /// after.
    fn or_killed_for_memory(self, before: u64, after: u64) -> Self {
        match self {
            Self::Alone(Ok(status))
                if after > before && status.signal() == Some(Signal::KILL.as_raw()) =>
            {
                Self::KilledForMemory
            }
            other => other,
        }
    }

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
            // Somebody else has told it to; who stops it on our side has cancelled the token.
            (Self::Alone(_), Some(AttemptResult::Stopped)) if !assignment.stop.is_cancelled() => {
                AttemptResult::Crashed {
                    message: "its process was told to stop from outside".to_owned(),
                    code: CrashCode::ProcessLost,
                }
            }
            (Self::Stalled, None | Some(AttemptResult::Stopped)) => {
                AttemptResult::stalled(assignment.stall_timeout)
            }
            (Self::OutOfMemory(bytes), None | Some(AttemptResult::Stopped)) => {
                AttemptResult::OutOfMemory {
                    message: out_of_memory(bytes, assignment.memory),
                }
            }
            (_, Some(result)) => result,
            (Self::KilledForMemory, None) => AttemptResult::OutOfMemory {
                message: KILLED_BY_KERNEL.to_owned(),
            },
            (Self::Stopped, None) => AttemptResult::Stopped,
            (Self::Alone(status), None) => AttemptResult::Crashed {
                message: format!("its process ended without a result: {}", describe(status)),
                code: CrashCode::ProcessLost,
            },
        }
    }
}

/// So near to its limit a control group may be killed: that is rounded to pages, and what was asked
/// for last was not had.
const NEARLY: u64 = 1 << 20;
const KILLED_BY_KERNEL: &str = "was killed by the kernel: the machine had no memory left";

/// Why an attempt that held so much memory was killed.
fn out_of_memory(bytes: u64, limit: Option<u64>) -> String {
    match limit {
        Some(limit) if bytes + NEARLY >= limit => format!(
            "held {} of memory where its limit is {}",
            mebibytes(bytes),
            mebibytes(limit)
        ),
        // The limit was that of a group above, or the machine's.
        _ => KILLED_BY_KERNEL.to_owned(),
    }
}

/// An amount of memory for people.
fn mebibytes(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    size::show(Size(bytes / MEBIBYTE * MEBIBYTE))
}

fn describe(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Says what a child says that is no attempt, until it says nothing more.
pub async fn relay(pipe: Option<impl AsyncRead + Unpin>) {
    relay_of(pipe, &Progress::default()).await;
}

/// Puts what the child says into the log of the attempt, and its progress into the attempt's.
async fn relay_of(pipe: Option<impl AsyncRead + Unpin>, progress: &Progress) {
    let Some(pipe) = pipe else { return };
    let mut lines = ChildLines::new(pipe);
    while let Ok(Some(line)) = lines.next().await {
        match Message::read(&line) {
            Some(Message::Progress { done, total }) => progress.set(done, total),
            Some(Message::Peak { bytes }) => progress.note_peak(bytes),
            Some(Message::Event { level, text }) => {
                let text = cut(text, LONGEST_LINE);
                match level.as_str() {
                    "error" => tracing::error!("{text}"),
                    "warn" => tracing::warn!("{text}"),
                    "info" => tracing::info!("{text}"),
                    _ => tracing::debug!("{text}"),
                }
            }
            None => {
                let text = String::from_utf8_lossy(&line).into_owned();
                tracing::info!("{}", cut(text, LONGEST_LINE));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_for_memory_where_the_kernel_has_done_such_since() {
        let killed = || Ended::Alone(Ok(ExitStatus::from_raw(9)));
        for (ended, after, expected) in [
            (killed(), 5, true),
            (killed(), 4, false),
            (Ended::Alone(Ok(ExitStatus::from_raw(15))), 5, false),
            (Ended::Stalled, 5, false),
        ] {
            let ended = ended.or_killed_for_memory(4, after);
            assert_eq!(matches!(ended, Ended::KilledForMemory), expected);
        }
    }

    #[test]
    fn a_limit_that_was_met_is_told_from_one_that_was_not() {
        // 100 MB are not whole pages.
        let held = out_of_memory(99_999_744, Some(100_000_000));
        assert!(held.contains("where its limit is"), "{held}");
        for limit in [Some(100_000_000), None] {
            assert_eq!(out_of_memory(50_000_000, limit), KILLED_BY_KERNEL);
        }
    }

    #[tokio::test]
    async fn a_machine_without_room_loses_an_attempt_and_fails_none() {
        let folder = tempfile::tempdir().unwrap();
        let process = Process {
            executable: PathBuf::from("worker"),
            home: folder.path().to_owned(),
            store: Store::open(folder.path()).await.unwrap(),
            cgroups: None,
        };
        for (number, expected) in [
            (libc::EAGAIN, "process_lost"),
            (libc::EMFILE, "process_lost"),
            (libc::ENOMEM, "process_lost"),
            (libc::ENOENT, "failed"),
            (libc::EACCES, "failed"),
        ] {
            let error = io::Error::from_raw_os_error(number);
            let result = process.not_started(&error);
            let (message, code) = result.error().unwrap();
            assert!(message.starts_with("cannot start `worker`: "), "{message}");
            assert_eq!(code, expected, "{error}");
        }
    }
}
