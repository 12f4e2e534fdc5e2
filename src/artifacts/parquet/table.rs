//! Rows → a table, in memory that does not grow with it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::writer::SerializedFileWriter,
    schema::types::{Type, TypePtr},
};
use tempfile::NamedTempFile;

use super::{
    super::atomic::{begin, commit},
    fault, properties,
};

/// A group of rows is written when it has so many rows, …
const ROWS: usize = 50_000;
/// … or holds so many bytes.
const BYTES: usize = 32 << 20;

/// What the cells of a column are. Each may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers of 64 bits.
    Whole,
    /// Numbers of 64 bits.
    Number,
    /// True or false.
    Flag,
    /// Moments in UTC, in milliseconds.
    Moment,
    /// Lists of texts; one that is missing is an empty one.
    Texts,
    /// Lists of numbers of 32 bits; one that is missing is an empty one.
    Numbers,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    name: String,
    group: Option<&'static str>,
    kind: Kind,
}

impl Column {
    /// A column of the table itself.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            group: None,
            kind,
        }
    }

    /// A column of a group, which is a structure to those who read it. Those of one group stand
    /// together.
    pub fn within(group: &'static str, name: impl Into<String>, kind: Kind) -> Self {
        Self {
            group: Some(group),
            ..Self::new(name, kind)
        }
    }
}

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Missing,
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A moment: milliseconds since 1970-01-01T00:00:00Z.
    Moment(i64),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of numbers.
    Numbers(Vec<f32>),
}

impl Cell {
    /// The cell of something that may be missing.
    pub fn of<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Missing, cell)
    }
}

/// A table that is being written: to a temporary file, which becomes the table when it is finished.
#[derive(Debug)]
pub struct ParquetTable {
    writer: SerializedFileWriter<File>,
    file: NamedTempFile,
    path: PathBuf,
    waiting: Vec<Waiting>,
    rows: usize,
    bytes: usize,
}

impl ParquetTable {
    /// Begins a table that is to lie at `path`.
    ///
    /// # Errors
    ///
    /// Where the disk refuses, or two columns are called the same.
    pub fn create(path: &Path, columns: &[Column]) -> io::Result<Self> {
        let file = begin(path)?;
        let schema = schema(columns)?;
        let writer = SerializedFileWriter::new(file.as_file().try_clone()?, schema, properties());
        Ok(Self {
            writer: writer.map_err(fault)?,
            file,
            path: path.to_owned(),
            waiting: columns.iter().map(Waiting::of).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds a row: a cell for each column, in their order.
    ///
    /// # Errors
    ///
    /// Where the disk refuses, or the cells are not those of the columns.
    pub fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        if cells.len() != self.waiting.len() {
            return Err(unfit());
        }
        for (waiting, cell) in self.waiting.iter_mut().zip(cells) {
            self.bytes += waiting.add(cell)?;
        }
        self.rows += 1;
        if self.rows >= ROWS || self.bytes >= BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Ends the table and puts it where it is to lie.
    ///
    /// # Errors
    ///
    /// Where the disk refuses; then what lay there before is untouched.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_group()?;
        self.writer.close().map_err(fault)?;
        commit(self.file, &self.path)
    }

    fn write_group(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(fault)?;
        for waiting in &mut self.waiting {
            let column = group.next_column().map_err(fault)?;
            let mut column = column.ok_or_else(unfit)?;
            waiting.write(column.untyped())?;
            column.close().map_err(fault)?;
        }
        group.close().map_err(fault)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn unfit() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the cells of a row are not those of the columns",
    )
}

/// The schema of these columns.
fn schema(columns: &[Column]) -> io::Result<TypePtr> {
    let mut fields = Vec::new();
    for part in columns.chunk_by(|one, next| one.group.is_some() && one.group == next.group) {
        let leaves: Vec<TypePtr> = part.iter().map(leaf).collect::<io::Result<_>>()?;
        match part.first().and_then(|column| column.group) {
            Some(name) => fields.push(group(name, Repetition::REQUIRED, None, leaves)?),
            None => fields.extend(leaves),
        }
    }
    let root = Type::group_type_builder("table").with_fields(fields);
    Ok(Arc::new(root.build().map_err(fault)?))
}

fn leaf(column: &Column) -> io::Result<TypePtr> {
    let primitive = |name, physical, repetition, logical| {
        let leaf = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical);
        leaf.build().map(Arc::new).map_err(fault)
    };
    let optional =
        |physical, logical| primitive(&column.name, physical, Repetition::OPTIONAL, logical);
    match column.kind {
        Kind::Text => optional(Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Whole => optional(Physical::INT64, None),
        Kind::Number => optional(Physical::DOUBLE, None),
        Kind::Flag => optional(Physical::BOOLEAN, None),
        Kind::Moment => {
            let moment = LogicalType::timestamp(true, TimeUnit::MILLIS);
            optional(Physical::INT64, Some(moment))
        }
        Kind::Texts | Kind::Numbers => {
            let (physical, logical) = if column.kind == Kind::Texts {
                (Physical::BYTE_ARRAY, Some(LogicalType::String))
            } else {
                (Physical::FLOAT, None)
            };
            let element = primitive("element", physical, Repetition::REQUIRED, logical)?;
            let list = group("list", Repetition::REPEATED, None, vec![element])?;
            let logical = Some(LogicalType::List);
            group(&column.name, Repetition::REQUIRED, logical, vec![list])
        }
    }
}

fn group(
    name: &str,
    repetition: Repetition,
    logical: Option<LogicalType>,
    fields: Vec<TypePtr>,
) -> io::Result<TypePtr> {
    let group = Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_fields(fields);
    group.build().map(Arc::new).map_err(fault)
}

/// The cells of a column that wait to be written, and the levels that tell which are missing and
/// which begin a row.
#[derive(Debug)]
struct Waiting {
    values: Values,
    defs: Vec<i16>,
    /// Of lists alone.
    reps: Option<Vec<i16>>,
}

#[derive(Debug)]
enum Values {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
    Number(Vec<f64>),
    Float(Vec<f32>),
    Flag(Vec<bool>),
}

impl Waiting {
    fn of(column: &Column) -> Self {
        Self {
            values: match column.kind {
                Kind::Text | Kind::Texts => Values::Text(Vec::new()),
                Kind::Whole | Kind::Moment => Values::Whole(Vec::new()),
                Kind::Number => Values::Number(Vec::new()),
                Kind::Numbers => Values::Float(Vec::new()),
                Kind::Flag => Values::Flag(Vec::new()),
            },
            defs: Vec::new(),
            reps: matches!(column.kind, Kind::Texts | Kind::Numbers).then(Vec::new),
        }
    }

    /// Adds a cell; answers how many bytes it takes, more or less.
    fn add(&mut self, cell: Cell) -> io::Result<usize> {
        let mut bytes = size_of::<f64>();
        match (&mut self.values, &mut self.reps, cell) {
            (_, reps, Cell::Missing) => {
                self.defs.push(0);
                if let Some(reps) = reps {
                    reps.push(0);
                }
                return Ok(bytes);
            }
            (Values::Text(values), Some(reps), Cell::Texts(texts)) => {
                if texts.is_empty() {
                    self.defs.push(0);
                    reps.push(0);
                }
                for (number, text) in texts.into_iter().enumerate() {
                    bytes += text.len();
                    values.push(text.into_bytes().into());
                    self.defs.push(1);
                    reps.push(i16::from(number > 0));
                }
                return Ok(bytes);
            }
            (Values::Float(values), Some(reps), Cell::Numbers(numbers)) => {
                if numbers.is_empty() {
                    self.defs.push(0);
                    reps.push(0);
                }
                for (number, value) in numbers.into_iter().enumerate() {
                    bytes += size_of::<f64>();
                    values.push(value);
                    self.defs.push(1);
                    reps.push(i16::from(number > 0));
                }
                return Ok(bytes);
            }
            (Values::Text(values), None, Cell::Text(text)) => {
                bytes += text.len();
                values.push(text.into_bytes().into());
            }
            (Values::Whole(values), None, Cell::Whole(value) | Cell::Moment(value)) => {
                values.push(value);
            }
            (Values::Number(values), None, Cell::Number(value)) => values.push(value),
            (Values::Flag(values), None, Cell::Flag(value)) => values.push(value),
            _ => return Err(unfit()),
        }
        self.defs.push(1);
        Ok(bytes)
    }

    fn write(&mut self, column: &mut ColumnWriter<'_>) -> io::Result<()> {
        let (defs, reps) = (Some(&self.defs[..]), self.reps.as_deref());
        let written = match (column, &self.values) {
            (ColumnWriter::ByteArrayColumnWriter(column), Values::Text(values)) => {
                column.write_batch(values, defs, reps)
            }
            (ColumnWriter::Int64ColumnWriter(column), Values::Whole(values)) => {
                column.write_batch(values, defs, reps)
            }
            (ColumnWriter::DoubleColumnWriter(column), Values::Number(values)) => {
                column.write_batch(values, defs, reps)
            }
            (ColumnWriter::FloatColumnWriter(column), Values::Float(values)) => {
                column.write_batch(values, defs, reps)
            }
            (ColumnWriter::BoolColumnWriter(column), Values::Flag(values)) => {
                column.write_batch(values, defs, reps)
            }
            _ => return Err(unfit()),
        };
        written.map_err(fault)?;
        match &mut self.values {
            Values::Text(values) => values.clear(),
            Values::Whole(values) => values.clear(),
            Values::Number(values) => values.clear(),
            Values::Float(values) => values.clear(),
            Values::Flag(values) => values.clear(),
        }
        self.defs.clear();
        if let Some(reps) = &mut self.reps {
            reps.clear();
        }
        Ok(())
    }
}
