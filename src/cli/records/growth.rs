//! `records growth`: how the scores have grown, reading by reading.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};

use super::{AT_ONCE, Format, choose, file_of, folder_of, note_export, tables, told};
use crate::{
    app::App,
    cli::{failure::Failure, output::Output},
    store::CurvePoint,
};

const COLUMNS: [&str; 9] = [
    "id",
    "community",
    "created_at",
    "observed_at",
    "age_seconds",
    "due_age_seconds",
    "late",
    "score",
    "values",
];

/// All readings of the scores of a data set: growth curves, a row a reading.
///
/// `due_age_seconds` is the age for which a reading was made, empty where it was made by the way;
/// `late` says that it came too late to be a label at that age.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trendmill records growth --format csv --out growth.csv")]
pub(crate) struct Growth {
    /// The data set; by default that of the newest run.
    #[arg(long)]
    dataset: Option<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// The file to write; stdout where it is not given.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(growth: Growth, app: &App, output: Output) -> Result<(), Failure> {
    let dataset = choose(app, growth.dataset, output).await?;
    if growth.format == Format::Parquet {
        let out = file_of(growth.out.as_deref())?;
        note_export(app, &folder_of(out, app)?, out, growth.format, &dataset)?;
        let rows = tables::readings(app, &dataset, out).await?;
        return told(rows, "reading", out, output);
    }
    let Some(path) = growth.out else {
        let mut stdout = BufWriter::new(io::stdout().lock());
        write(app, &dataset, growth.format, &mut stdout).await?;
        return Ok(stdout.flush()?);
    };
    let folder = folder_of(&path, app)?;
    note_export(app, &folder, &path, growth.format, &dataset)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    let mut buffered = BufWriter::new(&mut file);
    let rows = write(app, &dataset, growth.format, &mut buffered).await?;
    buffered.flush()?;
    drop(buffered);
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    told(rows, "reading", &path, output)
}

/// Writes all readings as text; how many there were.
async fn write(
    app: &App,
    dataset: &str,
    format: Format,
    to: &mut impl Write,
) -> Result<u64, Failure> {
    if format == Format::Csv {
        to.write_all(&csv_line(COLUMNS.map(str::to_owned))?)?;
    }
    let (mut rows, mut after) = (0, String::new());
    loop {
        let (points, last) = app.store().curves(dataset, &after, AT_ONCE).await?;
        for point in &points {
            if format == Format::Csv {
                to.write_all(&csv_line(cells(point))?)?;
            } else {
                serde_json::to_writer(&mut *to, point).map_err(Failure::failed)?;
                to.write_all(b"\n")?;
            }
            rows += 1;
        }
        match last {
            Some(last) => after = last,
            None => return Ok(rows),
        }
    }
}

fn cells(point: &CurvePoint) -> [String; 9] {
    let row = json!(point);
    COLUMNS.map(|column| match &row[column] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn csv_line(cells: [String; 9]) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).map_err(Failure::failed)?;
    writer.into_inner().map_err(Failure::failed)
}
