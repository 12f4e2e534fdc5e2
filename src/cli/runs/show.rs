//! `runs list` and `runs show`: what ran, and how it ended.

use std::io::Write;

use comfy_table::{Table, presets};

use super::{Scene, print_json, took};
use crate::{
    clock::{Clock, Timestamp},
    engine::{RunOverview, RunSummary},
    store::RunRow,
};

pub(super) async fn list(
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

pub(super) async fn show(
    scene: Scene<'_>,
    row: &RunRow,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut summary = RunSummary::load(scene.store, &row.id).await?;
    summary.model = scene.registry.model_of(&row.id).await?;
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

/// Prints a run's tasks, or the whole run as JSON.
///
/// # Errors
///
/// Where the output cannot be written.
fn print_summary(summary: &RunSummary, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
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
    if let Some(model) = &summary.model {
        let name = model["name"].as_str().unwrap_or_default();
        writeln!(out, "model {name}/{}", model["version"])?;
    }
    Ok(())
}

/// From a run's first start to its end, or until now.
fn seconds(row: &RunRow, clock: &dyn Clock) -> f64 {
    row.started_at.map_or(0.0, |start: Timestamp| {
        let end = row.ended_at.unwrap_or_else(|| clock.now());
        end.since(start).as_secs_f64()
    })
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
