//! `export`: what versions have learned from, predicted and measured, as tables.

mod rows;
mod sheet;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use self::sheet::Sheet;
use super::{
    failure::Failure,
    output::{Output, counted},
    records::{Format, folder_of, note_export},
};
use crate::{app::App, config::Settings};

/// Write what versions have learned from, predicted and measured, as tables.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The features that a version has learned from: a row a record, with its target and its part.
    ///
    /// Numbers and categories are columns of their own (`numbers.hour`), a vector is one column with
    /// a list. What a record lacks is empty.
    #[command(after_help = "Example:\n  trendmill export features reddit@champion --out x.parquet")]
    Features(Wanted),
    /// What a version predicts: of the records that it was measured by, and of those that it was the
    /// first to predict before their label was known (`waiting`).
    #[command(after_help = "Example:\n  trendmill export predictions reddit/3 --out y.parquet")]
    Predictions(Wanted),
    /// What all versions and the baselines beside them have measured, with the ends of the
    /// intervals.
    #[command(after_help = "Example:\n  trendmill export metrics --out metrics.parquet")]
    Metrics {
        /// The model; all models where it is not given.
        model: Option<String>,
        #[command(flatten)]
        to: To,
    },
}

/// A version and where it goes.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// The version: NAME, NAME/VERSION or NAME@ALIAS.
    model: String,
    #[command(flatten)]
    to: To,
}

/// Where an export goes.
#[derive(Debug, Args)]
pub(crate) struct To {
    /// The form; by default that of the file's ending, else JSON lines.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The file to write; stdout where it is not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl To {
    fn format(&self) -> Format {
        let ending = self.out.as_deref().and_then(Path::extension);
        self.format
            .unwrap_or_else(|| match ending.and_then(|ending| ending.to_str()) {
                Some("parquet") => Format::Parquet,
                Some("csv") => Format::Csv,
                _ => Format::Jsonl,
            })
    }

    /// Writes a sheet; one that names records of a data set is noted, so that a purge finds it.
    fn write(
        &self,
        app: &App,
        (sheet, what): (Sheet<'_>, &str),
        dataset: Option<&str>,
        output: Output,
    ) -> Result<(), Failure> {
        let format = self.format();
        let Some(out) = &self.out else {
            if format == Format::Parquet {
                return Err(
                    Failure::wrong_use("a table in Parquet is written to a file")
                        .hint("name it, as in `--out table.parquet`"),
                );
            }
            return Ok(sheet.print(format)?);
        };
        let folder = folder_of(out, app)?;
        if let Some(dataset) = dataset {
            note_export(app, &folder, out, format, dataset)?;
        }
        let rows = sheet.write(format, &folder, out)?;
        if output.json {
            let path = folder.join(out.file_name().unwrap_or_default());
            return Ok(output.json(&json!({ "rows": rows, "path": path }))?);
        }
        let rows = counted(rows, what);
        Ok(output.say(format!("{rows} written to {}", out.display()))?)
    }
}

/// Runs the command.
///
/// # Errors
///
/// Where there is no such model, its files are removed, or the file cannot be written.
pub(crate) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    let app = &App::read(home, settings).await?;
    match command {
        Command::Features(Wanted { model, to }) => {
            let (version, matrix) = app.learned_matrix(&model).await?;
            let sheet = rows::features(&matrix, version.evaluated_rows()?);
            let dataset = Some(version.manifest.dataset.as_str());
            to.write(app, (sheet, "record"), dataset, output)
        }
        Command::Predictions(Wanted { model, to }) => {
            let (version, waiting) = app.predicted(&model).await?;
            let sheet = rows::predictions(version.evaluated_rows()?, waiting);
            let dataset = Some(version.manifest.dataset.as_str());
            to.write(app, (sheet, "prediction"), dataset, output)
        }
        Command::Metrics { model, to } => {
            let versions = app.registry().list(model.as_deref()).await?;
            if let (Some(model), []) = (&model, versions.as_slice()) {
                let told = format!("there is no version of `{model}`");
                return Err(Failure::wrong_use(told)
                    .hint("`trendmill models list` tells which models there are"));
            }
            let sheet = rows::metrics(&versions);
            to.write(app, (sheet, "metric"), None, output)
        }
    }
}
