//! Files → rows of named values.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use fs_err as fs;
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::super::Error;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Cells between commas, semicolons, tabs or bars, the names in the first line.
    Csv,
    /// One JSON object a line.
    JsonLines,
    /// One JSON document: a GeoJSON `FeatureCollection`, or an array of objects.
    Json,
}

impl Format {
    /// The format of a file by the ending of its name.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" | "tsv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "geojson" | "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The format that a text looks like.
    pub(super) fn sniff(text: &[u8]) -> Self {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let first = text.trim_ascii_start();
        match first.first() {
            Some(b'[') => Self::Json,
            Some(b'{') => {
                let line = first.split(|&byte| byte == b'\n').next().unwrap_or(first);
                match serde_json::from_slice::<Map<String, Value>>(line) {
                    Ok(row) if !row.contains_key("features") => Self::JsonLines,
                    _ => Self::Json,
                }
            }
            _ => Self::Csv,
        }
    }
}

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// The cells by the names of their columns, in the file's order.
    pub(super) values: Map<String, Value>,
    /// Whether all values are text as written, so that numbers are still to be told.
    pub(super) is_text: bool,
}

/// What takes the rows of a file.
pub(super) trait Sink {
    /// Takes the names of the columns, where the file has a line for them.
    fn columns(&mut self, names: &[String]);
    /// Takes a row.
    fn row(&mut self, row: Row);
    /// Takes note of a row that cannot be read, by its number in the file.
    fn malformed(&mut self, line: u64);
}

/// Reads one file.
pub(super) fn read_file(path: &Path, format: Format, sink: &mut impl Sink) -> Result<u64, Error> {
    let file = fs::File::open(path).map_err(|error| broken(path, error))?;
    let bytes = file.metadata().map_err(|error| broken(path, error))?.len();
    read(path, BufReader::new(file), format, sink)?;
    Ok(bytes)
}

/// Reads `input`, which messages call `name`.
pub(super) fn read(
    name: &Path,
    input: impl BufRead,
    format: Format,
    sink: &mut impl Sink,
) -> Result<(), Error> {
    match format {
        Format::Csv => read_csv(name, input, sink),
        Format::JsonLines => read_lines(input, sink).map_err(|error| broken(name, error)),
        Format::Json => read_document(name, input, sink),
    }
}

fn broken(name: &Path, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Broken {
        message: format!("`{}` could not be read: {error}", name.display()),
        source: Some(Box::new(error)),
    }
}

fn read_csv(name: &Path, mut input: impl BufRead, sink: &mut impl Sink) -> Result<(), Error> {
    let start = input.fill_buf().map_err(|error| broken(name, error))?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(start))
        .flexible(true)
        .from_reader(input);
    let names: Vec<String> = reader
        .byte_headers()
        .map_err(|error| broken(name, error))?
        .iter()
        .map(|cell| {
            let cell = cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell);
            String::from_utf8_lossy(cell).trim().to_owned()
        })
        .collect();
    for (index, column) in names.iter().enumerate() {
        if names[..index].contains(column) {
            return Err(Error::Wrong(format!(
                "the column `{column}` appears twice in `{}`; rename one of them",
                name.display()
            )));
        }
    }
    sink.columns(&names);
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return Err(broken(name, error)),
        }
        let cells: Result<Vec<_>, _> = record.iter().map(std::str::from_utf8).collect();
        match cells {
            Ok(cells) if cells.len() == names.len() => sink.row(Row {
                values: names
                    .iter()
                    .cloned()
                    .zip(cells.into_iter().map(Value::from))
                    .collect(),
                is_text: true,
            }),
            _ => sink.malformed(record.position().map_or(0, csv::Position::line)),
        }
    }
}

/// What stands between the cells, by the first line.
fn delimiter(start: &[u8]) -> u8 {
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or(start);
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut in_quotes = false;
    for &byte in line {
        in_quotes ^= byte == b'"';
        if !in_quotes && let Some((_, count)) = counts.iter_mut().find(|(c, _)| *c == byte) {
            *count += 1;
        }
    }
    // The first of those that are equally frequent.
    let (mut best, mut most) = (b',', 0);
    for (byte, count) in counts {
        if count > most {
            (best, most) = (byte, count);
        }
    }
    best
}

/// What some programs write before the first character of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn read_lines(mut input: impl BufRead, sink: &mut impl Sink) -> io::Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        number += 1;
        let text = match number {
            1 => line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line),
            _ => &line,
        };
        let text = text.trim_ascii();
        if !text.is_empty() {
            object(text, number, sink);
        }
    }
}

/// Takes one JSON object as a row.
fn object(text: &[u8], number: u64, sink: &mut impl Sink) {
    match serde_json::from_slice(text) {
        Ok(values) => sink.row(Row {
            values,
            is_text: false,
        }),
        Err(_) => sink.malformed(number),
    }
}

#[derive(Deserialize)]
struct Collection<'a> {
    #[serde(borrow)]
    features: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Feature {
    id: Option<Value>,
    properties: Option<Map<String, Value>>,
    geometry: Option<Value>,
}

fn read_document(name: &Path, mut input: impl Read, sink: &mut impl Sink) -> Result<(), Error> {
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(|error| broken(name, error))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('[') {
        let objects: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| broken(name, error))?;
        for (number, raw) in (1..).zip(objects) {
            object(raw.get().as_bytes(), number, sink);
        }
        return Ok(());
    }
    match serde_json::from_str::<Collection<'_>>(text) {
        Ok(collection) => {
            for (number, raw) in (1..).zip(collection.features) {
                match serde_json::from_str(raw.get()) {
                    Ok(feature) => sink.row(flatten(feature)),
                    Err(_) => sink.malformed(number),
                }
            }
            Ok(())
        }
        // Some call JSON lines `.json`.
        Err(_) if is_object(text.trim().lines().next()) => {
            read_lines(text.as_bytes(), sink).map_err(|error| broken(name, error))
        }
        Err(error) => Err(broken(name, error)),
    }
}

fn is_object(line: Option<&str>) -> bool {
    line.is_some_and(|line| serde_json::from_str::<Map<String, Value>>(line).is_ok())
}

/// A feature's properties, its id and the place of a point.
fn flatten(feature: Feature) -> Row {
    let mut values = feature.properties.unwrap_or_default();
    if let Some(id) = feature.id {
        values.entry("id").or_insert(id);
    }
    let geometry = feature.geometry.unwrap_or_default();
    if geometry["type"] == "Point" {
        for (index, name) in ["longitude", "latitude"].into_iter().enumerate() {
            if let Some(value) = geometry["coordinates"].get(index) {
                values.entry(name).or_insert_with(|| value.clone());
            }
        }
    }
    Row {
        values,
        is_text: false,
    }
}
