//! Attempts as tokio tasks of this process.

use std::{any::Any, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument as _;

use super::{
    Assignment, AttemptResult, CrashCode, Executor,
    watch::{overdue, stalled},
};
use crate::engine::{TaskError, TaskOutcome};

/// Runs attempts in this process.
///
/// A stopped or overdue attempt is first told so, then dropped at its next `await`. One that does
/// not get there cannot be ended: its end is waited for, so that never two run at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Inline;

impl Executor for Inline {
    fn run(&self, assignment: Assignment) -> BoxFuture<'static, AttemptResult> {
        Box::pin(run(assignment))
    }
}

type Answer = Result<TaskOutcome, TaskError>;

async fn run(assignment: Assignment) -> AttemptResult {
    let Assignment {
        operator,
        context,
        timeout,
        stall_timeout,
        stop,
        grace,
        ..
    } = assignment;
    let told = context.cancelled.clone();
    let progress = context.progress.clone();
    let work = {
        let operator = Arc::clone(&operator);
        async move { operator.run(context).await }
    };
    // A task of its own, because only there a panic can be caught.
    let mut task = tokio::spawn(work.in_current_span());
    tokio::select! {
        answer = &mut task => finished(answer, told.is_cancelled()),
        () = stop.cancelled() => match leave(&mut task, grace).await {
            Some(answer) => finished(answer, true),
            None => AttemptResult::Stopped,
        },
        () = stalled(stall_timeout, &progress) => {
            told.cancel();
            match leave(&mut task, grace).await {
                Some(answer @ (Ok(Ok(_)) | Err(_))) => finished(answer, true),
                Some(Ok(Err(_))) | None => AttemptResult::stalled(stall_timeout),
            }
        }
        () = overdue(timeout) => {
            told.cancel();
            let limit = timeout.unwrap_or_default();
            match leave(&mut task, grace).await {
                // It came in just behind the line: the work is done.
                Some(answer @ (Ok(Ok(_)) | Err(_))) => finished(answer, true),
                Some(Ok(Err(_))) | None => AttemptResult::TimedOut {
                    message: format!("took longer than its timeout of {limit:?}"),
                },
            }
        }
    }
}

/// Waits for a task that was told to stop, and drops it after `grace`; `None` if it was dropped.
async fn leave(
    task: &mut JoinHandle<Answer>,
    grace: Duration,
) -> Option<Result<Answer, JoinError>> {
    if let Ok(answer) = tokio::time::timeout(grace, &mut *task).await {
        return Some(answer);
    }
    task.abort();
    match task.await {
        Err(error) if error.is_cancelled() => None,
        answer => Some(answer),
    }
}

fn finished(answer: Result<Answer, JoinError>, told: bool) -> AttemptResult {
    match answer {
        Ok(answer) => AttemptResult::of(answer, told),
        Err(error) => AttemptResult::Crashed {
            message: match error.try_into_panic() {
                Ok(panic) => format!("panicked: {}", panic_message(panic.as_ref())),
                Err(error) => error.to_string(),
            },
            code: CrashCode::Panicked,
        },
    }
}

/// The text of a panic, as `panic!` and `expect` leave it.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
