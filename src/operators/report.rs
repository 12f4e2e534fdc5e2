//! What operators find in the outputs of the tasks upstream, and how their errors decide.

use serde_json::Value;

use crate::{
    encoders,
    engine::{TaskContext, TaskError},
    registry, sources,
    store::{self, Writer},
};

/// The value that a task upstream left under `key`, the nearest one where there are several.
pub(super) fn upstream<'a>(context: &'a TaskContext, key: &str) -> Option<&'a Value> {
    context.upstream.values().find_map(|output| output.get(key))
}

/// The text that a task upstream left under `key`.
///
/// # Errors
///
/// Fails the task, naming the operator that should have been upstream.
pub(super) fn upstream_text(
    context: &TaskContext,
    key: &str,
    operator: &str,
) -> Result<String, TaskError> {
    upstream(context, key)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| {
            TaskError::fail(anyhow::anyhow!(
                "no task upstream of `{}` left a `{key}`; put a `{operator}` task before it",
                context.task_id
            ))
        })
}

/// Who stores, for the store.
pub(super) fn writer(context: &TaskContext) -> Writer<'_> {
    Writer {
        run_id: &context.run_id,
        task_id: &context.task_id,
        stored_at: context.clock.now(),
    }
}

/// A batch as it is, or smaller where an earlier attempt ran out of memory.
pub(super) fn divided(batch: usize, context: &TaskContext) -> usize {
    (batch / context.batch_divisor.max(1)).max(1)
}

/// Ends the attempt where it was told to stop.
pub(super) fn checkpoint(context: &TaskContext) -> Result<(), TaskError> {
    if context.cancelled.is_cancelled() {
        Err(TaskError::Cancelled)
    } else {
        Ok(())
    }
}

/// Runs `work` on a thread of its own, so that the runtime stays free; a panic goes on here.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskError> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(value) => Ok(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(TaskError::Cancelled),
        },
    }
}

impl From<store::Error> for TaskError {
    fn from(error: store::Error) -> Self {
        match error {
            full if full.is_disk_full() => Self::retry(full).classed("disk_full"),
            store::Error::Database(_) => Self::retry(error),
            other => Self::fail(other),
        }
    }
}

impl From<sources::Error> for TaskError {
    fn from(error: sources::Error) -> Self {
        match error {
            sources::Error::Unavailable { .. } => Self::retry(error).classed("unreachable"),
            sources::Error::RateLimited { reset, .. } => {
                Self::retry(error).classed_until("rate_limited", reset)
            }
            sources::Error::Cancelled => Self::Cancelled,
            other => Self::fail(other),
        }
    }
}

impl From<registry::Error> for TaskError {
    fn from(error: registry::Error) -> Self {
        match error {
            registry::Error::File(error) => error.into(),
            registry::Error::Store(error) => error.into(),
            other => Self::fail(other),
        }
    }
}

impl From<encoders::Error> for TaskError {
    fn from(error: encoders::Error) -> Self {
        match error {
            encoders::Error::Io(error) if store::is_disk_full(&error) => error.into(),
            encoders::Error::Replaced(_) => Self::retry(error),
            other => Self::fail(other),
        }
    }
}

impl From<std::io::Error> for TaskError {
    /// A full disk is waited for. What waiting does not mend fails at once: a person has to give a
    /// right.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            _ if store::is_disk_full(&error) => Self::retry(error).classed("disk_full"),
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::FileTooLarge => Self::fail(error),
            _ => Self::retry(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use super::*;

    #[test]
    fn what_passes_by_itself_has_a_class_that_rules_can_name() {
        let full = io::ErrorKind::StorageFull;
        let limited = sources::Error::RateLimited {
            message: "too much".to_owned(),
            reset: Duration::from_mins(7),
        };
        let unreachable = sources::Error::Unavailable {
            message: "no answer".to_owned(),
            source: None,
        };
        for (error, class) in [
            (TaskError::from(io::Error::from(full)), "disk_full"),
            (store::Error::disk_full_for_tests().into(), "disk_full"),
            (registry::Error::File(full.into()).into(), "disk_full"),
            (limited.into(), "rate_limited"),
            (unreachable.into(), "unreachable"),
        ] {
            assert_eq!(error.class(), Some(class));
            assert!(matches!(error, TaskError::Retry(_)), "{class}");
            assert!(crate::dag::is_class(class), "{class}");
        }
        let forbidden = TaskError::from(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(forbidden, TaskError::Fail(_)));
    }
}
