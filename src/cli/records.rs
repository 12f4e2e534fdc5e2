//! `records`: what the store holds.

mod growth;
mod tables;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use self::growth::Growth;
use super::{
    failure::Failure,
    output::{Output, counted, table},
    purge::{self, Purge},
    record,
    scan::{self, Scan},
};
use crate::{
    app::App,
    artifacts::{self, CopyKind},
    clock::Timestamp,
    config::Settings,
    corpus::{LabelAge, Observation, Record},
    engine::{Earlier, EarlierResult},
    operators::place,
};

/// See, export and purge the records, and count those of a source.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The data sets and how many records each has.
    List,
    /// All records of a data set, in the form that `predict` and the `table` source read.
    #[command(after_help = "Example:\n  trendmill records export --format jsonl --out posts.jsonl")]
    Export {
        /// The data set; by default that of the newest run.
        #[arg(long)]
        dataset: Option<String>,
        /// The form.
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// The file to write; stdout where it is not given.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    Growth(Growth),
    /// One record: its last reading, what became of its images, and which others have them too.
    Show {
        /// The record's id.
        id: String,
        /// The data set; by default that of the newest run.
        #[arg(long)]
        dataset: Option<String>,
        /// Print the JSON of it alone, as the source sent it when the record was first seen.
        #[arg(long)]
        raw: bool,
    },
    Scan(Scan),
    Purge(Purge),
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values; nested values are JSON.
    Csv,
    /// A table in Parquet with typed columns; it goes to a file.
    Parquet,
}

/// Of how many records a page is read at a time.
const AT_ONCE: u32 = 2_000;

/// Among how many runs the newest one with a data set is looked for.
const NEWEST: u32 = 100;

/// The columns of an export.
const COLUMNS: [&str; 10] = [
    "id",
    "title",
    "community",
    "author",
    "created_at",
    "score",
    "observed_at",
    "age_seconds",
    "images",
    "fields",
];

/// Runs the command.
///
/// # Errors
///
/// Where there is no such data set or the file cannot be written.
pub(crate) async fn run(
    command: Command,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<(), Failure> {
    let command = match command {
        Command::Purge(purge) => return purge::run(purge, home, settings, output).await,
        // It needs no home that has run already.
        Command::Scan(scan) => {
            let app = App::detached(home, settings).await?;
            return scan::run(scan, &app, output).await;
        }
        command => command,
    };
    let app = &App::read(home, settings).await?;
    match command {
        Command::Scan(_) | Command::Purge(_) => Ok(()),
        Command::List => list(app, output).await,
        Command::Growth(growth) => growth::run(growth, app, output).await,
        Command::Show { id, dataset, raw } => {
            let dataset = choose(app, dataset, output).await?;
            if raw {
                return record::show_raw(app, &dataset, &id, output).await;
            }
            record::show(app, &dataset, &id, output).await
        }
        Command::Export {
            dataset,
            format,
            out,
        } => {
            let dataset = choose(app, dataset, output).await?;
            if format == Format::Parquet {
                let out = file_of(out.as_deref())?;
                note_export(app, &folder_of(out, app)?, out, format, &dataset)?;
                let rows = tables::records(app, &dataset, out).await?;
                return told(rows, "record", out, output);
            }
            export(app, &dataset, format, out.as_deref(), output).await
        }
    }
}

async fn list(app: &App, output: Output) -> Result<(), Failure> {
    let datasets = app.store().datasets().await?;
    if output.json {
        let listed: Vec<Value> = datasets
            .iter()
            .map(|(dataset, records)| json!({ "dataset": dataset, "records": records }))
            .collect();
        return Ok(output.json(&listed)?);
    }
    let mut rows = table(&["data set", "records"]);
    for (dataset, records) in datasets {
        rows.add_row([dataset, records.to_string()]);
    }
    Ok(output.data(rows.to_string())?)
}

/// The data set that is meant: without a name that of the newest run, which is then told.
async fn choose(app: &App, wanted: Option<String>, output: Output) -> Result<String, Failure> {
    let names: Vec<String> = app
        .store()
        .datasets()
        .await?
        .into_iter()
        .map(|(dataset, _)| dataset)
        .collect();
    let known = || format!("the data sets are: `{}`", names.join("`, `"));
    match (wanted, names.as_slice()) {
        (Some(wanted), _) if names.contains(&wanted) => Ok(wanted),
        (Some(wanted), _) => {
            Err(Failure::wrong_use(format!("there is no data set `{wanted}`")).hint(known()))
        }
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Failure::failed("the store has no records yet")
            .hint("`trendmill run PIPELINE` reads some")),
        (None, _) => {
            let Some(newest) = newest(app).await?.filter(|newest| names.contains(newest)) else {
                return Err(Failure::wrong_use(
                    "there are several data sets; say which by `--dataset`",
                )
                .hint(known()));
            };
            output.say(format!(
                "`{newest}`, which the newest run read; `--dataset` names another of: `{}`",
                names.join("`, `")
            ))?;
            Ok(newest)
        }
    }
}

/// The data set that the newest run with one has read.
async fn newest(app: &App) -> Result<Option<String>, Failure> {
    for run in app.store().runs(None, NEWEST).await? {
        let results = Earlier::load(app.store(), app.data_dir(), &run.id)
            .await?
            .results;
        let dataset = results.values().find_map(|result| match result {
            EarlierResult::Succeeded(outcome) => outcome.output["dataset"].as_str(),
            EarlierResult::Skipped(_) => None,
        });
        if let Some(dataset) = dataset {
            return Ok(Some(dataset.to_owned()));
        }
    }
    Ok(None)
}

/// The file that a table is written to.
fn file_of(out: Option<&Path>) -> Result<&Path, Failure> {
    out.ok_or_else(|| {
        Failure::wrong_use("a table in Parquet is written to a file")
            .hint("name it, as in `--out posts.parquet`")
    })
}

/// Says what was written.
fn told(rows: u64, what: &str, out: &Path, output: Output) -> Result<(), Failure> {
    let rows = counted(rows, what);
    Ok(output.say(format!("{rows} written to {}", out.display()))?)
}

/// The folder of a file that is to be written, in full.
pub(super) fn folder_of(out: &Path, app: &App) -> Result<PathBuf, Failure> {
    let wrong = |why: String| Failure::wrong_use(why).hint("give a file in a folder that is there");
    if out.is_dir() || out.file_name().is_none() {
        return Err(wrong(format!(
            "`{}` is a folder, not a file",
            out.display()
        )));
    }
    match out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        None => Ok(app.working_dir().to_owned()),
        Some(folder) => fs_err::canonicalize(folder)
            .map_err(|error| wrong(format!("`{}` cannot be written: {error}", out.display()))),
    }
}

/// Notes an export before it is written: a purge takes its rows from there too.
pub(super) fn note_export(
    app: &App,
    folder: &Path,
    out: &Path,
    format: Format,
    dataset: &str,
) -> Result<(), Failure> {
    let copy = artifacts::Copy {
        path: folder.join(out.file_name().unwrap_or_default()),
        kind: match format {
            Format::Jsonl => CopyKind::Jsonl,
            Format::Csv => CopyKind::Csv,
            Format::Parquet => CopyKind::Parquet,
        },
        dataset: Some(dataset.to_owned()),
    };
    Ok(artifacts::note_copy(app.data_dir(), &copy)?)
}

async fn export(
    app: &App,
    dataset: &str,
    format: Format,
    out: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let store = app.store();
    let records = store
        .records(dataset, Timestamp::from_millis(i64::MAX))
        .await?;
    let readings = store.last_readings(dataset).await?;
    let places: Vec<String> = records
        .iter()
        .flat_map(|record| &record.media)
        .map(place)
        .collect();
    let known = store.media_places(&places).await?;
    let folder = match out {
        Some(out) => folder_of(out, app)?,
        None => app.working_dir().to_owned(),
    };
    let image = |location| tables::image(app, &known, location, &folder);
    let rows = records.iter().map(|record| {
        let images: Vec<String> = record.media.iter().map(&image).collect();
        row(record, readings.get(&record.id), &images)
    });
    let text = if format == Format::Csv {
        csv(rows)?
    } else {
        json_lines(rows)?
    };
    match out {
        Some(path) => {
            note_export(app, &folder, path, format, dataset)?;
            artifacts::write_atomic(path, text.as_bytes())?;
            told(records.len() as u64, "record", path, output)?;
        }
        None => output.data(text.trim_end_matches('\n'))?,
    }
    Ok(())
}

fn row(record: &Record, reading: Option<&Observation>, images: &[String]) -> Map<String, Value> {
    let age = reading.and_then(|reading| match reading.age {
        LabelAge::Known(age) => Some(age.as_secs_f64()),
        LabelAge::Unknown => None,
    });
    let values = [
        json!(record.id),
        json!(record.title),
        json!(record.community),
        json!(record.author),
        json!(record.created_at),
        json!(reading.and_then(|reading| reading.score)),
        json!(reading.and_then(|reading| reading.observed_at)),
        json!(age),
        json!(images),
        Value::Object(record.fields.clone()),
    ];
    COLUMNS
        .iter()
        .map(|&column| column.to_owned())
        .zip(values)
        .collect()
}

fn json_lines(rows: impl Iterator<Item = Map<String, Value>>) -> Result<String, Failure> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(&row).map_err(Failure::failed)?);
        text.push('\n');
    }
    Ok(text)
}

fn csv(rows: impl Iterator<Item = Map<String, Value>>) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(Failure::failed)?;
    for row in rows {
        let cells = row.values().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        writer.write_record(cells).map_err(Failure::failed)?;
    }
    let bytes = writer.into_inner().map_err(Failure::failed)?;
    String::from_utf8(bytes).map_err(Failure::failed)
}

/// `path` as seen from `folder`, with `/` between its parts.
fn relative(path: &Path, folder: &Path) -> String {
    let path = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let shared = path
        .components()
        .zip(folder.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = path
        .components()
        .skip(shared)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}
