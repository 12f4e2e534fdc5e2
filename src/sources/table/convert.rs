//! Rows of named values → records, their readings and the places of their images.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    time::Duration,
};

use serde_json::{Map, Number, Value};

use super::{
    super::{Error, ImageIndex},
    TableSpec,
    rows::{Row, Sink},
    time::read_time,
};
use crate::corpus::{LabelAge, MediaLocation, Observation, Record};

/// The names by which a column is known where the options name none, in this order.
const TITLE: &[&str] = &["title"];
const CREATED: &[&str] = &["created", "created_utc", "created_at"];
const COMMUNITY: &[&str] = &["community", "subreddit"];
const SCORE: &[&str] = &["score", "upvotes", "likes"];

/// A record's own words. A column of this name that another column stands in for is left out:
/// as a field it would pass for what it is not (a later score for the score, say).
const OWN: [&str; 6] = ["id", "title", "created_at", "community", "author", "score"];

/// How many line numbers a warning names.
const LINES: usize = 5;

/// The rows of a whole table.
#[derive(Debug, Default)]
pub struct Loaded {
    /// One record per id, in the order of the first rows, with the reading of its last.
    pub records: Vec<(Record, Option<Observation>)>,
    /// Rows that are not among them, by reason code.
    pub dropped: BTreeMap<String, u64>,
    /// Bytes read.
    pub bytes: u64,
}

/// Collects the rows of a table's files.
pub(super) struct Converter<'a> {
    spec: &'a TableSpec,
    images: Option<&'a ImageIndex>,
    /// The folder of the present file.
    folder: &'a Path,
    columns: Vec<String>,
    known: HashSet<String>,
    /// Places in `loaded.records`.
    places: HashMap<String, usize>,
    loaded: Loaded,
    malformed: Vec<u64>,
    /// Whether rows without an id or a title and with an id that was there stay.
    every_row: bool,
}

impl<'a> Converter<'a> {
    pub(super) fn new(spec: &'a TableSpec, images: Option<&'a ImageIndex>) -> Self {
        Self {
            spec,
            images,
            folder: Path::new(""),
            columns: Vec::new(),
            known: HashSet::new(),
            places: HashMap::new(),
            loaded: Loaded::default(),
            malformed: Vec::new(),
            every_row: false,
        }
    }

    /// Keeps rows without an id, under their number, rows without a title, and equal ids.
    pub(super) fn keeping_every_row(mut self) -> Self {
        self.every_row = true;
        self
    }

    /// What comes is of a file in `folder`.
    pub(super) fn enter(&mut self, folder: &'a Path) {
        self.folder = folder;
    }

    /// The file called `name` with so many bytes is read.
    pub(super) fn leave(&mut self, name: &Path, bytes: u64) {
        self.loaded.bytes += bytes;
        let malformed = std::mem::take(&mut self.malformed);
        if !malformed.is_empty() {
            tracing::warn!(
                file = %name.display(),
                rows = malformed.len(),
                first = ?&malformed[..malformed.len().min(LINES)],
                "rows that cannot be read are dropped"
            );
            self.count("malformed_line", malformed.len() as u64);
        }
    }

    /// The whole table.
    ///
    /// # Errors
    ///
    /// Where an option names a column that no file has.
    pub(super) fn finish(mut self) -> Result<Loaded, Error> {
        self.check_columns()?;
        // A source without titles exports the column all the same.
        let has_title =
            self.spec.title.is_some() || self.loaded.records.iter().any(|(r, _)| r.title.is_some());
        if has_title && !self.every_row {
            let before = self.loaded.records.len();
            self.loaded.records.retain(|(r, _)| r.title.is_some());
            let dropped = before - self.loaded.records.len();
            self.count("missing:title", dropped as u64);
        }
        Ok(self.loaded)
    }

    fn check_columns(&self) -> Result<(), Error> {
        let spec = self.spec;
        let score = spec.score.as_ref().map(|score| &score.column);
        let named = [
            ("id", spec.id.as_ref()),
            ("title", spec.title.as_ref()),
            ("created", spec.created.as_ref()),
            ("community", spec.community.as_ref()),
            ("author", spec.author.as_ref()),
            ("score", score),
            ("image", spec.image.as_ref()),
        ];
        for (option, column) in named {
            if let Some(column) = column
                && !self.columns.is_empty()
                && !self.known.contains(column)
            {
                return Err(Error::Wrong(format!(
                    "`{option}={column}` names no column of `{}`; there are `{}`",
                    spec.path.display(),
                    self.columns.join("`, `")
                )));
            }
        }
        Ok(())
    }

    fn count(&mut self, reason: &str, rows: u64) {
        if rows > 0 {
            *self.loaded.dropped.entry(reason.to_owned()).or_default() += rows;
        }
    }

    fn learn_columns<'n>(&mut self, names: impl Iterator<Item = &'n String>) {
        for name in names {
            if !self.known.contains(name) {
                self.known.insert(name.clone());
                self.columns.push(name.clone());
            }
        }
    }

    fn convert(&self, row: Row) -> Result<(Record, Option<Observation>), &'static str> {
        let spec = self.spec;
        let is_text = row.is_text;
        let mut cells = Cells(row.values);
        if is_text {
            cells.read_nested();
        }
        let id = match text(&cells.take(spec.id.as_deref(), &["id"])) {
            Some(id) => id,
            None if self.every_row => (self.loaded.records.len() + 1).to_string(),
            None => return Err("missing:id"),
        };
        let title = text(&cells.take(spec.title.as_deref(), TITLE));
        let created = cells.take(spec.created.as_deref(), CREATED);
        let created_at = read_time(&created);
        if created_at.is_none() && text(&created).is_some() {
            return Err("malformed:created");
        }
        let community = text(&cells.take(spec.community.as_deref(), COMMUNITY));
        let author = text(&cells.take(spec.author.as_deref(), &["author"]));
        let score_column = spec.score.as_ref().map(|score| score.column.as_str());
        let score = number(&cells.take(score_column, SCORE));
        let observed_at = read_time(&cells.take(None, &["observed_at"]));
        let age_seconds = number(&cells.take(None, &["age_seconds"]));
        let fixed = spec.score.as_ref().and_then(|score| score.age);
        let age = match (fixed, age_seconds, created_at, observed_at) {
            (Some(age), ..) => LabelAge::Known(age),
            (None, Some(age), ..) if (0.0..1e11).contains(&age) => {
                LabelAge::Known(Duration::from_secs_f64(age))
            }
            (None, None, Some(created), Some(observed)) if observed >= created => {
                LabelAge::Known(observed.since(created))
            }
            _ => LabelAge::Unknown,
        };
        let observed_at = match (created_at, fixed) {
            (Some(created), Some(age)) => Some(created + age),
            (None, Some(_)) => None,
            (_, None) => observed_at,
        };
        let reading = score.map(|score| Observation {
            record_id: id.clone(),
            observed_at,
            age,
            score: Some(score),
            values: Map::new(),
        });
        let media = self.media(&id, &mut cells);
        let record = Record {
            id,
            community,
            author,
            title,
            created_at,
            media,
            fields: cells.into_fields(is_text),
        };
        Ok((record, reading))
    }

    /// The images that the row names, else those that join by the id.
    fn media(&self, id: &str, cells: &mut Cells) -> Vec<MediaLocation> {
        let named = match &self.spec.image {
            Some(column) => cells.take(Some(column), &[]),
            None if cells.0.get("images").is_some_and(Value::is_array) => {
                cells.take(None, &["images"])
            }
            None => Value::Null,
        };
        let named: Vec<_> = match &named {
            Value::Array(several) => several.iter().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        };
        if !named.is_empty() {
            return named.iter().map(|name| self.locate(name)).collect();
        }
        let found = self
            .images
            .map(|images| images.find(id))
            .unwrap_or_default();
        found
            .into_iter()
            .map(|path| MediaLocation::File(path.to_owned()))
            .collect()
    }

    /// A URL, or a path relative to the image folder or to the file.
    fn locate(&self, name: &str) -> MediaLocation {
        if name.starts_with("http://") || name.starts_with("https://") {
            return MediaLocation::Url(name.to_owned());
        }
        let among_images = self.spec.images.as_ref().map(|images| images.join(name));
        MediaLocation::File(match among_images {
            Some(path) if path.exists() => path,
            _ => self.folder.join(name),
        })
    }
}

impl Sink for Converter<'_> {
    fn columns(&mut self, names: &[String]) {
        self.learn_columns(names.iter());
    }

    fn row(&mut self, row: Row) {
        self.learn_columns(row.values.keys());
        match self.convert(row) {
            Ok(record) => {
                if !self.every_row
                    && let Some(&place) = self.places.get(&record.0.id)
                {
                    self.loaded.records[place] = record;
                    self.count("duplicate", 1);
                } else {
                    let place = self.loaded.records.len();
                    self.places.insert(record.0.id.clone(), place);
                    self.loaded.records.push(record);
                }
            }
            Err(reason) => self.count(reason, 1),
        }
    }

    fn malformed(&mut self, line: u64) {
        self.malformed.push(line);
    }
}

/// The cells of a row that have not found their place yet.
struct Cells(Map<String, Value>);

impl Cells {
    /// Takes the cell of the named column, or of the first of `defaults` that the row has.
    fn take(&mut self, named: Option<&str>, defaults: &[&str]) -> Value {
        let column = match named {
            Some(column) => Some(column),
            None => defaults
                .iter()
                .copied()
                .find(|column| self.0.contains_key(*column)),
        };
        column
            .and_then(|column| self.0.shift_remove(column))
            .unwrap_or_default()
    }

    /// An export writes lists and objects as JSON into a text table; here they are read again.
    fn read_nested(&mut self) {
        for (name, opening) in [("images", '['), ("fields", '{')] {
            if let Some(cell) = self.0.get_mut(name)
                && let Some(text) = cell.as_str().filter(|text| text.starts_with(opening))
                && let Ok(nested) = serde_json::from_str(text)
            {
                *cell = nested;
            }
        }
    }

    /// What is left, as a record's fields.
    fn into_fields(mut self, is_text: bool) -> Map<String, Value> {
        for own in OWN {
            self.0.shift_remove(own);
        }
        // An export keeps the fields in an object of their own.
        let nested = match self.0.get("fields") {
            Some(Value::Object(_)) => self.0.shift_remove("fields"),
            _ => None,
        };
        if is_text {
            for value in self.0.values_mut() {
                *value = typed(value);
            }
        }
        if let Some(Value::Object(nested)) = nested {
            self.0.extend(nested);
        }
        self.0
    }
}

/// The text in a cell without blanks around it; `None` where it says nothing.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The number in a cell.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// A cell of a text table as what it looks like. `007` is a name and not a number, and an empty
/// cell is null.
fn typed(cell: &Value) -> Value {
    let Some(text) = cell.as_str() else {
        return cell.clone();
    };
    let trimmed = text.trim();
    match trimmed {
        "" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed).as_bytes();
    let is_number = match digits {
        [b'0', next, ..] => !next.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit() || *first == b'.',
        [] => false,
    };
    if !is_number {
        return cell.clone();
    }
    let whole = trimmed.parse::<i64>().ok().map(Number::from);
    let number = whole.or_else(|| Number::from_f64(trimmed.parse().ok()?));
    number.map_or_else(|| cell.clone(), Value::Number)
}
