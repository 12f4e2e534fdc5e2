//! Some values of a column, with the levels that tell where in a row each of them stands.

use std::io;

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{
        BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
        Int96, Int96Type,
    },
    schema::types::ColumnDescriptor,
};

use super::{super::pieces::wrong, unread};

/// A column, and the rows of it that were read last.
pub(super) struct Column {
    path: String,
    values: Values,
    /// A value that is there has this level of definition.
    max_def: i16,
    max_rep: i16,
    defs: Vec<i16>,
    reps: Vec<i16>,
    /// How many levels and values of the rows are used up.
    level: usize,
    value: usize,
    /// Levels of the rows that were read.
    levels: usize,
    /// Rows to be skipped before anything is read.
    owed: usize,
    /// Whether the rows to come have been read.
    is_read: bool,
}

/// A reader, and what it has read.
enum Values {
    Bool(ColumnReaderImpl<BoolType>, Vec<bool>),
    Int32(ColumnReaderImpl<Int32Type>, Vec<i32>),
    Int64(ColumnReaderImpl<Int64Type>, Vec<i64>),
    Int96(ColumnReaderImpl<Int96Type>, Vec<Int96>),
    Float(ColumnReaderImpl<FloatType>, Vec<f32>),
    Double(ColumnReaderImpl<DoubleType>, Vec<f64>),
    Bytes(ColumnReaderImpl<ByteArrayType>, Vec<ByteArray>),
}

/// A value of a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Bool(bool),
    Whole(i64),
    Moment(Int96),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
}

/// Does the same with whatever reader and values there are.
macro_rules! with {
    ($values:expr, $reader:ident, $read:ident => $work:expr) => {
        match $values {
            Values::Bool($reader, $read) => $work,
            Values::Int32($reader, $read) => $work,
            Values::Int64($reader, $read) => $work,
            Values::Int96($reader, $read) => $work,
            Values::Float($reader, $read) => $work,
            Values::Double($reader, $read) => $work,
            Values::Bytes($reader, $read) => $work,
        }
    };
}

impl Column {
    /// A column before its first row.
    pub(super) fn new(reader: ColumnReader, about: &ColumnDescriptor) -> io::Result<Self> {
        let values = match reader {
            ColumnReader::BoolColumnReader(reader) => Values::Bool(reader, Vec::new()),
            ColumnReader::Int32ColumnReader(reader) => Values::Int32(reader, Vec::new()),
            ColumnReader::Int64ColumnReader(reader) => Values::Int64(reader, Vec::new()),
            ColumnReader::Int96ColumnReader(reader) => Values::Int96(reader, Vec::new()),
            ColumnReader::FloatColumnReader(reader) => Values::Float(reader, Vec::new()),
            ColumnReader::DoubleColumnReader(reader) => Values::Double(reader, Vec::new()),
            ColumnReader::ByteArrayColumnReader(reader) => Values::Bytes(reader, Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => {
                return Err(wrong(format!("its column `{}` has bytes", about.path())));
            }
        };
        Ok(Self {
            path: about.path().string(),
            values,
            max_def: about.max_def_level(),
            max_rep: about.max_rep_level(),
            defs: Vec::new(),
            reps: Vec::new(),
            level: 0,
            value: 0,
            levels: 0,
            owed: 0,
            is_read: false,
        })
    }

    /// Passes over the next `rows` rows, which cost nothing where nothing behind them is read;
    /// or over those that were read.
    pub(super) const fn pass(&mut self, rows: usize) {
        if !self.is_read {
            self.owed += rows;
        }
        self.is_read = false;
    }

    /// Reads the next `rows` rows, or begins anew with them where they were read.
    ///
    /// # Errors
    ///
    /// Where they cannot be decoded, or there are fewer.
    pub(super) fn read(&mut self, rows: usize) -> io::Result<()> {
        (self.level, self.value) = (0, 0);
        if self.is_read {
            return Ok(());
        }
        let owed = std::mem::take(&mut self.owed);
        let (defs, reps) = (&mut self.defs, &mut self.reps);
        let (skipped, read, levels) = with!(&mut self.values, reader, read => {
            let skipped = reader.skip_records(owed).map_err(unread)?;
            let (rows, levels) = fill(reader, rows, defs, reps, read)?;
            (skipped, rows, levels)
        });
        if (skipped, read) != (owed, rows) {
            return Err(self.wrong("has fewer rows than its group"));
        }
        self.levels = levels;
        self.is_read = true;
        Ok(())
    }

    /// The level of definition of what comes next.
    ///
    /// # Errors
    ///
    /// Where nothing does.
    pub(super) fn def(&self) -> io::Result<i16> {
        if self.level >= self.levels {
            return Err(self.wrong("ends before its rows do"));
        }
        Ok(self.defs.get(self.level).copied().unwrap_or(0))
    }

    /// The level of repetition of what comes next; 0 where a row begins or nothing comes.
    pub(super) fn rep(&self) -> i16 {
        self.reps.get(self.level).copied().unwrap_or(0)
    }

    /// The value that comes next.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) fn value(&self) -> io::Result<Value<'_>> {
        let at = self.value;
        let value = match &self.values {
            Values::Bool(_, values) => values.get(at).copied().map(Value::Bool),
            Values::Int32(_, values) => values.get(at).map(|value| Value::Whole((*value).into())),
            Values::Int64(_, values) => values.get(at).copied().map(Value::Whole),
            Values::Int96(_, values) => values.get(at).copied().map(Value::Moment),
            Values::Float(_, values) => values.get(at).copied().map(Value::Float),
            Values::Double(_, values) => values.get(at).copied().map(Value::Double),
            Values::Bytes(_, values) => values.get(at).map(|value| Value::Bytes(value.data())),
        };
        value.ok_or_else(|| self.wrong("has fewer values than its levels say"))
    }

    /// Goes on to what comes behind the next value, or place without one.
    ///
    /// # Errors
    ///
    /// Where nothing comes.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        if self.def()? == self.max_def {
            self.value += 1;
        }
        self.level += 1;
        Ok(())
    }

    /// Goes on to the next row.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) fn next_row(&mut self) -> io::Result<()> {
        self.advance()?;
        while self.rep() > 0 {
            self.advance()?;
        }
        Ok(())
    }

    /// That a row was read to its end.
    ///
    /// # Errors
    ///
    /// Where it was not: other columns of the row have fewer values.
    pub(super) fn check_row(&self) -> io::Result<()> {
        if self.max_rep > 0 && self.rep() > 0 {
            return Err(self.wrong("has more values in a row than the columns beside it"));
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> io::Error {
        wrong(format!("its column `{}` {what}", self.path))
    }
}

/// Reads rows in place of those that were read before; how many rows and levels.
fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    defs: &mut Vec<i16>,
    reps: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> io::Result<(usize, usize)> {
    defs.clear();
    reps.clear();
    values.clear();
    let read = reader.read_records(rows, Some(defs), Some(reps), values);
    let (rows, _, levels) = read.map_err(unread)?;
    Ok((rows, levels))
}
