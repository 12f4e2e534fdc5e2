//! Runs a program.

use std::{
    collections::{BTreeMap, VecDeque},
    process::Stdio,
    time::Duration,
};

use anyhow::anyhow;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{io::AsyncRead, process::Command};
use tracing::Instrument as _;

use crate::{
    dag::ExecutorKind,
    engine::{
        ChildGroup, ChildLines, LONGEST_LINE, Operator, Progress, SettingsError, TaskContext,
        TaskError, TaskOutcome, cut,
    },
};

/// How many of the last lines a failure tells.
const LAST_LINES: usize = 10;
/// How many bytes it tells of each.
const LAST_BYTES: usize = 4 << 10;
/// How long a program that was told to stop may take.
const GRACE: Duration = Duration::from_secs(4);

/// Runs a program with arguments and waits for its end.
///
/// Settings: `argv`, the program and its arguments as a list; `env`, names and values added to
/// the environment; `cwd`, the folder it starts in (default: that of this process). There is no
/// shell in between: a value is an argument or a variable, never a piece of a script. The program
/// also gets `TRENDMILL_RUN_ID`, `TRENDMILL_TASK_ID`, `TRENDMILL_ATTEMPT`,
/// `TRENDMILL_INTERVAL_START`, `TRENDMILL_INTERVAL_END` and `TRENDMILL_RUN_DIR`.
///
/// Its lines go to the attempt's log. Any exit status but 0 fails the attempt, which is tried
/// again as the retry policy says; rules know it as `exit:CODE`. When the attempt ends, however it ends, everything that the
/// program has started ends with it, whatever group or session that is in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shell;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    argv: Vec<Value>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    cwd: Option<String>,
}

impl Operator for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        parse(settings).map(|_| ())
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(run(context))
    }
}

/// A program with its words, ready to start.
struct Words {
    program: String,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
    cwd: Option<String>,
}

fn parse(settings: &Map<String, Value>) -> Result<Words, SettingsError> {
    let error = |key: Option<&str>, message: String, hint: &str| SettingsError {
        key: key.map(str::to_owned),
        message,
        hint: Some(hint.to_owned()),
    };
    if let Some(Value::String(_)) = settings.get("argv") {
        return Err(error(
            Some("argv"),
            "`argv` is a text; it must be a list".to_owned(),
            "write `argv = [\"program\", \"argument\"]`; there is no shell that splits a line",
        ));
    }
    let settings: Settings =
        serde_json::from_value(Value::Object(settings.clone())).map_err(|source| {
            error(
                None,
                format!("cannot read the settings of `shell`: {source}"),
                "settings are `argv` (a list), `env` (a table) and `cwd` (a text)",
            )
        })?;
    let word = |key: &str, value: &Value| {
        plain(value).ok_or_else(|| {
            error(
                Some(key),
                format!("`{key}` holds `{value}`, which is neither a text nor a number"),
                "write one value per word",
            )
        })
    };
    let mut words = settings
        .argv
        .iter()
        .map(|value| word("argv", value))
        .collect::<Result<VecDeque<_>, _>>()?;
    let program = words.pop_front().filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| {
        error(
            Some("argv"),
            "`argv` names no program".to_owned(),
            "its first word is the program",
        )
    })?;
    let env = settings
        .env
        .iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(error(
                    Some("env"),
                    format!("`{name}` cannot name a variable"),
                    "use letters, digits and `_`",
                ));
            }
            Ok((name.clone(), word("env", value)?))
        })
        .collect::<Result<_, _>>()?;
    Ok(Words {
        program,
        arguments: words.into(),
        env,
        cwd: settings.cwd,
    })
}

/// A value as one word.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.contains('\0') => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

async fn run(context: TaskContext) -> Result<TaskOutcome, TaskError> {
    let words = parse(&context.settings).map_err(TaskError::fail)?;
    let mut command = Command::new(&words.program);
    command
        .args(&words.arguments)
        .envs(words.env)
        .env("TRENDMILL_RUN_ID", &context.run_id)
        .env("TRENDMILL_TASK_ID", &context.task_id)
        .env("TRENDMILL_ATTEMPT", context.attempt.to_string())
        .env(
            "TRENDMILL_INTERVAL_START",
            context.interval.start.to_string(),
        )
        .env("TRENDMILL_INTERVAL_END", context.interval.end.to_string())
        .env("TRENDMILL_RUN_DIR", &context.run_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(cwd) = words.cwd {
        command.current_dir(cwd);
    }
    let mut group = ChildGroup::spawn(&mut command, context.mark.clone()).map_err(|source| {
        TaskError::fail(anyhow!(source).context(format!("cannot start `{}`", words.program)))
    })?;
    let output = follow(group.child().stdout.take(), &context.progress);
    let errors = follow(group.child().stderr.take(), &context.progress);
    let status = tokio::select! {
        status = group.child().wait() => status,
        () = context.cancelled.cancelled() => {
            group.stop(GRACE).await;
            return Err(TaskError::Cancelled);
        }
    };
    // What the program has left behind goes with it, and with that the other end of its pipes.
    group.stop(Duration::ZERO).await;
    let read = async { tokio::join!(output, errors).1 };
    let last = match tokio::time::timeout(GRACE, read).await {
        Ok(Ok(last)) => last,
        Ok(Err(_)) | Err(_) => VecDeque::new(),
    };
    let status = status.map_err(TaskError::retry)?;
    if status.success() {
        return Ok(TaskOutcome::default());
    }
    let mut message = format!("`{}` ended with {status}", words.program);
    if !last.is_empty() {
        message += ": ";
        message += &Vec::from(last).join("\n");
    }
    let error = TaskError::retry(anyhow!(message));
    Err(match status.code() {
        Some(code) => error.classed(format!("exit:{code}")),
        None => error,
    })
}

/// Reads a pipe beside the program; its lines go to the log of the attempt.
fn follow(
    pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
    progress: &Progress,
) -> tokio::task::JoinHandle<VecDeque<String>> {
    tokio::spawn(log_lines(pipe, progress.clone()).in_current_span())
}

/// Sends each line to the log; returns the last ones.
async fn log_lines(pipe: Option<impl AsyncRead + Unpin>, progress: Progress) -> VecDeque<String> {
    let mut last = VecDeque::with_capacity(LAST_LINES);
    let Some(pipe) = pipe else { return last };
    let mut lines = ChildLines::new(pipe);
    while let Ok(Some(line)) = lines.next().await {
        let line = cut(String::from_utf8_lossy(&line).into_owned(), LONGEST_LINE);
        tracing::info!("{line}");
        progress.touch();
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(cut(line, LAST_BYTES));
    }
    last
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "tests write their settings in place"
    )]
    fn check(settings: Value) -> Result<(), SettingsError> {
        Shell.check(settings.as_object().unwrap())
    }

    #[test]
    fn takes_a_list_and_refuses_a_line() {
        check(json!({"argv": ["echo", 1, true], "env": {"A": "b"}})).unwrap();
        for (settings, part) in [
            (json!({"argv": "echo hello"}), "must be a list"),
            (json!({"argv": []}), "names no program"),
            (json!({"argv": [["echo"]]}), "neither a text nor a number"),
            (
                json!({"argv": ["echo"], "shell": true}),
                "unknown field `shell`",
            ),
            (
                json!({"argv": ["echo"], "env": {"A=B": "c"}}),
                "cannot name a variable",
            ),
            (json!({}), "missing field `argv`"),
        ] {
            let message = check(settings).unwrap_err().message;
            assert!(message.contains(part), "{message}");
        }
    }
}
