//! `pipelines`: list, show, check and draw the pipeline files of a home.

mod next;
mod show;
mod switch;
#[cfg(test)]
mod tests;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    engine::Catalogue,
    pipelines::{self, Decided, Definition, Error, PipelineFile},
};

pub(super) use self::switch::{Switch, run as switch};

/// See and check pipelines.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Look(Look),
    /// Let the schedules of a pipeline make no runs until it is unpaused.
    Pause {
        /// The pipeline's name.
        name: String,
    },
    Switch(Switch),
    /// Let the schedules of a paused pipeline go on; `catchup` says what is made up for.
    Unpause {
        /// The pipeline's name.
        name: String,
    },
}

/// What only looks at the files.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Look {
    /// List the pipelines of this home.
    List,
    /// Print a pipeline's schedule, parameters, profiles and tasks.
    Show {
        /// The pipeline's name.
        name: String,
    },
    /// Say what is wrong in pipeline files, and where; exit code 1 where something is.
    Check {
        /// The files; by default all of this home.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Draw a pipeline's tasks.
    Graph {
        /// The pipeline's name.
        name: String,
        /// How it is drawn.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Print when a pipeline will run by itself, and for which intervals.
    Next {
        /// The pipeline's name.
        name: String,
        /// How many runs.
        #[arg(short = 'n', default_value_t = 5, value_name = "N")]
        count: usize,
    },
}

/// What pipelines are looked at with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    /// What time it is.
    pub(super) now: Timestamp,
    /// What was decided about the pipelines.
    pub(super) decided: &'a Decided,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal of 80 columns.
    #[default]
    Text,
    /// A Mermaid flow chart.
    Mermaid,
}

/// Runs a `pipelines` command; data goes to `out`.
///
/// The answer is the exit code: 1 where a check has found something, else 0.
///
/// # Errors
///
/// An unknown or faulty pipeline, a file that cannot be read, or an `out` that cannot be written.
pub(super) fn run(
    command: &Look,
    home: &Path,
    catalogue: &Catalogue,
    moment: Moment<'_>,
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    match command {
        Look::List => list(home, moment, json, out)?,
        Look::Show { name } => {
            let mut definition = pipelines::find(home, name)?;
            definition.apply(moment.decided);
            show::show(&definition, json, out)?;
        }
        Look::Check { files } => return check(home, files, catalogue, json, out),
        Look::Graph { name, format } => {
            graph(&pipelines::find(home, name)?, *format, json, out)?;
        }
        Look::Next { name, count } => {
            next::next(&pipelines::find(home, name)?, moment.now, *count, json, out)?;
        }
    }
    Ok(0)
}

fn list(home: &Path, moment: Moment<'_>, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    let rows = pipelines::listed(home, moment.now, moment.decided)?;
    if json {
        return print_json(&Value::Array(rows), out);
    }
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("–").to_owned();
    let table: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let schedule = row["schedules"]
                .as_array()
                .filter(|schedules| !schedules.is_empty())
                .map_or_else(|| "–".to_owned(), |all| when(all));
            let about = match row["faults"].as_u64() {
                Some(0) | None if row["switched_at"].is_string() => {
                    let profile = text(row, "profile");
                    format!(
                        "{} (switched to profile {profile})",
                        text(row, "description")
                    )
                }
                Some(0) | None => text(row, "description"),
                Some(_) => "has faults: see `pipelines check`".to_owned(),
            };
            let next = match &row["paused_at"] {
                Value::Null => text(row, "scheduled_for"),
                _ => "paused".to_owned(),
            };
            let tasks = row["tasks"].to_string();
            vec![text(row, "name"), schedule, next, tasks, about]
        })
        .collect();
    print_table(
        &["pipeline", "schedule", "next", "tasks", "description"],
        &table,
        out,
    )
}

/// When schedules fire, in a few words.
fn when(schedules: &[Value]) -> String {
    let words: Vec<String> = schedules
        .iter()
        .map(|schedule| match (&schedule["cron"], &schedule["every"]) {
            (Value::String(cron), _) => cron.clone(),
            (_, Value::String(every)) => format!("every {every}"),
            _ => "–".to_owned(),
        })
        .collect();
    words.join("; ")
}

fn check(
    home: &Path,
    files: &[PathBuf],
    catalogue: &Catalogue,
    json: bool,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let files = if files.is_empty() {
        pipelines::files(home)?
    } else {
        files.iter().map(|file| PipelineFile::at(file)).collect()
    };
    let faults = pipelines::check(&files, catalogue)?;
    if json {
        print_json(&json!(faults), out)?;
    } else if faults.is_empty() {
        let count = files.len();
        let files = if count == 1 { "file" } else { "files" };
        writeln!(out, "{count} {files} checked, nothing is wrong")?;
    } else {
        for fault in &faults {
            writeln!(out, "{fault}")?;
        }
    }
    Ok(u8::from(!faults.is_empty()))
}

fn graph(
    definition: &Definition,
    format: Format,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let graph = pipelines::outline(definition)?;
    if json {
        let tasks: Vec<Value> = graph
            .nodes()
            .iter()
            .map(|node| {
                json!({
                    "id": node.id, "op": node.op, "after": node.after, "trigger": node.trigger,
                })
            })
            .collect();
        return print_json(&json!({"pipeline": definition.name, "tasks": tasks}), out);
    }
    let drawing = match format {
        Format::Text => pipelines::text(&graph),
        Format::Mermaid => pipelines::mermaid(&graph),
    };
    write!(out, "{drawing}")?;
    Ok(())
}

fn print_json(value: &Value, out: &mut dyn Write) -> Result<(), Error> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Columns side by side, as wide as they need.
fn print_table(header: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> Result<(), Error> {
    let head: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            let cells = rows
                .iter()
                .chain([&head])
                .map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        })
        .collect();
    for row in [&head].into_iter().chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
