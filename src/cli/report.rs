//! How a finished run is told: a table for people, one JSON document for scripts.

use serde_json::{Value, json};

use super::{
    failure::{FAILED, Failure, OK},
    models::metrics_table,
    output::{Output, number, seconds, table},
};
use crate::{app::App, dag::RunState, engine::RunSummary, registry::headlines};

/// Prints a finished run with its model; the exit code says how it ended: 0 where it succeeded,
/// else 1.
///
/// # Errors
///
/// Where the registry cannot be read or nothing can be printed.
pub(crate) async fn print(app: &App, mut run: RunSummary, output: Output) -> Result<u8, Failure> {
    let code = if run.state == RunState::Succeeded {
        OK
    } else {
        FAILED
    };
    run.model = app.registry().model_of(&run.run_id).await?;
    if output.json {
        output.json(&run)?;
        return Ok(code);
    }
    output.data(tasks_table(&run))?;
    if let Some(model) = &run.model {
        output.data(format!(
            "\nmodel {}/{}{}",
            model["name"].as_str().unwrap_or_default(),
            model["version"],
            if model["reused"] == json!(true) {
                " (nothing has changed since)"
            } else {
                ""
            }
        ))?;
        output.data(metrics_table(model))?;
        if let Some(line) = previous(app, model).await? {
            output.data(line)?;
        }
    }
    output.data(format!(
        "\nrun {} {} in {}",
        run.run_id,
        run.state,
        seconds(run.seconds)
    ))?;
    Ok(code)
}

fn tasks_table(run: &RunSummary) -> String {
    let mut rows = table(&[
        "task", "state", "time", "in", "out", "computed", "reused", "message",
    ]);
    for task in &run.tasks {
        let dropped: Vec<String> = task
            .dropped
            .iter()
            .map(|(reason, rows)| format!("{rows} {reason}"))
            .collect();
        let mut message = task.message.clone().unwrap_or_default();
        if !dropped.is_empty() {
            if !message.is_empty() {
                message.push_str("; ");
            }
            message.push_str("dropped ");
            message.push_str(&dropped.join(", "));
        }
        rows.add_row([
            task.id.clone(),
            task.state.to_owned(),
            seconds(task.seconds),
            task.rows_in.to_string(),
            task.rows_out.to_string(),
            task.rows_computed.to_string(),
            task.rows_reused.to_string(),
            message,
        ]);
    }
    rows.to_string()
}

/// How the version before did, in one line.
async fn previous(app: &App, model: &Value) -> Result<Option<String>, Failure> {
    let (name, version) = (
        model["name"].as_str().unwrap_or_default(),
        model["version"].as_u64(),
    );
    let versions = app.registry().list(Some(name)).await?;
    let before = versions
        .iter()
        .rev()
        .find(|other| Some(u64::from(other.manifest.version)) < version);
    Ok(before.map(|before| {
        let evaluation = &before.manifest.evaluation;
        let shown = headlines(evaluation);
        // The first of order, the first of error.
        let told = [shown[0], shown[3]].map(|(metric, called)| {
            let value = evaluation["metrics"][metric].as_f64();
            format!("{called} {}", number(value))
        });
        let version = before.manifest.version;
        format!("the version before, {name}/{version}: {}", told.join(", "))
    }))
}
