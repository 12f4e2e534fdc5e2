//! `runs logs`: what an attempt of a task said.

use std::{
    io::{Read as _, Write},
    path::Path,
    time::Duration,
};

use serde_json::json;

use super::{Error, Scene, other, print_json, took};
use crate::store::{AttemptRow, RunRow, Store};

/// How often a log that grows is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Prints the log of an attempt; of the last one where none is asked for.
pub(super) async fn logs(
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

/// Prints the log of an attempt as it is written, from its start until the attempt has ended. The
/// log is a file of this home, whichever process writes it.
pub(super) async fn follow(
    scene: Scene<'_>,
    run: &RunRow,
    task: &str,
    number: Option<u32>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut printed = 0;
    loop {
        // Asked before the log is read, so that its last lines are read too.
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
            if may_start(scene.store, run, task).await? {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            return Err(Error::Usage(
                no_attempt(scene.store, run, task, number, attempts.len()).await?,
            ));
        };
        let text = read_log(&scene.data_dir.join(&attempt.log)).map_err(Error::Other)?;
        if attempt.ended_at.is_some() {
            return end(scene, attempt, &text, printed, out);
        }
        let new = text.get(printed..).unwrap_or_default();
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        print_lines(scene, &new[..whole], out).map_err(other)?;
        out.flush().map_err(other)?;
        printed += whole;
        tokio::time::sleep(LOOK).await;
    }
}

/// Prints what is left of a log, and how its attempt ended.
fn end(
    scene: Scene<'_>,
    attempt: &AttemptRow,
    text: &str,
    printed: usize,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let rest = text.get(printed..).unwrap_or_default();
    if scene.json {
        print_lines(scene, rest, out).map_err(other)?;
        return Ok(print_json(attempt, out)?);
    }
    print_log(attempt, rest, out).map_err(other)
}

fn print_lines(scene: Scene<'_>, text: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    if scene.json {
        for line in text.lines() {
            print_json(&json!({ "line": line }), out)?;
        }
        return Ok(());
    }
    Ok(out.write_all(text.as_bytes())?)
}

/// Whether an attempt of a task may still come.
async fn may_start(store: &Store, run: &RunRow, task: &str) -> Result<bool, Error> {
    let tasks = store.tasks(&run.id).await.map_err(other)?;
    let found = tasks.iter().find(|row| row.task_id == task);
    Ok(found.is_some_and(|row| !row.run.state.is_final()))
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
