//! The columns of a row → a JSON object.

use std::{
    io::{self, Write as _},
    ops::Range,
};

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::Type,
};
use serde_json::value::RawValue;

use super::column::{Column, Value};
use crate::sources::reddit::nature::{Nature, nature_of};

/// How a field of a row lies in columns.
#[derive(Debug)]
pub(super) struct Shape {
    /// The field is there where its columns have this level of definition at least.
    def: i16,
    kind: Kind,
    leaves: Range<usize>,
}

#[derive(Debug)]
enum Kind {
    Leaf(Meaning),
    Fields(Vec<(String, Shape)>),
    /// Its elements have this level of repetition.
    List(i16, Box<Shape>),
    /// Its keys, which are texts, and its values.
    Map(i16, Box<Shape>, Box<Shape>),
}

/// What a value stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// What its type says.
    Plain,
    /// A number without a sign, of 32 bits or 64.
    Unsigned,
    /// Yes or no, also where it is a number.
    Flag,
    /// A whole number, also where it is stored with a fraction of nothing.
    Count,
    /// JSON, where it is a text that is one.
    Json,
    /// A moment, so many of which make a second; it is written in seconds, as Reddit does.
    Moment(i64),
    /// Days since 1970.
    Days,
    /// A decimal number with so many digits behind its point.
    Decimal(i32),
}

impl Meaning {
    /// What values of a primitive type stand for; `None` where they cannot be read.
    fn of(found: &Type, nature: Nature) -> Option<Self> {
        let about = found.get_basic_info();
        let physical = found.get_physical_type();
        let number = matches!(physical, Physical::INT32 | Physical::INT64);
        if physical == Physical::FIXED_LEN_BYTE_ARRAY {
            return None;
        }
        let told = match (about.logical_type_ref(), about.converted_type()) {
            (Some(LogicalType::Timestamp(at)), _) => Self::Moment(match at.unit {
                TimeUnit::MILLIS => 1_000,
                TimeUnit::MICROS => 1_000_000,
                TimeUnit::NANOS => 1_000_000_000,
            }),
            (_, ConvertedType::TIMESTAMP_MILLIS) => Self::Moment(1_000),
            (_, ConvertedType::TIMESTAMP_MICROS) => Self::Moment(1_000_000),
            (_, ConvertedType::DATE) => Self::Days,
            (_, ConvertedType::UINT_32 | ConvertedType::UINT_64) => Self::Unsigned,
            (_, ConvertedType::DECIMAL) if number => Self::Decimal(found.get_scale()),
            (_, ConvertedType::DECIMAL) => return None,
            _ => Self::Plain,
        };
        Some(match (told, nature) {
            (Self::Plain, Nature::Flag) => Self::Flag,
            (Self::Plain, Nature::Count) => Self::Count,
            (Self::Plain, Nature::Nested) => Self::Json,
            (told, _) => told,
        })
    }
}

/// The fields of a row that are read, and the numbers of their columns in the file.
pub(super) fn of(schema: &Type) -> (Vec<(String, Shape)>, Vec<usize>) {
    let mut builder = Builder::default();
    let mut shapes = Vec::new();
    for field in schema.get_fields() {
        match nature_of(field.name()) {
            Nature::Unread => builder.leaf += leaves(field),
            nature => {
                let shape = builder.field(field, 0, 0, nature);
                shapes.extend(shape.map(|shape| (field.name().to_owned(), shape)));
            }
        }
    }
    (shapes, builder.read)
}

/// How many columns a field has.
fn leaves(field: &Type) -> usize {
    if field.is_primitive() {
        return 1;
    }
    field.get_fields().iter().map(|field| leaves(field)).sum()
}

#[derive(Default)]
struct Builder {
    /// The column that comes next.
    leaf: usize,
    /// Those that are read.
    read: Vec<usize>,
}

impl Builder {
    /// A field within something of these levels; `None` where nothing of it can be read.
    fn field(&mut self, found: &Type, def: i16, rep: i16, nature: Nature) -> Option<Shape> {
        let begin = self.read.len();
        match repetition(found) {
            Repetition::REQUIRED => self.inner(found, def, rep, nature),
            Repetition::OPTIONAL => self.inner(found, def + 1, rep, nature),
            // A list that says nothing of itself, as old writers have it.
            Repetition::REPEATED => {
                let element = self.inner(found, def + 1, rep + 1, nature)?;
                Some(self.shape(def, begin, Kind::List(rep + 1, Box::new(element))))
            }
        }
    }

    const fn shape(&self, def: i16, begin: usize, kind: Kind) -> Shape {
        Shape {
            def,
            kind,
            leaves: begin..self.read.len(),
        }
    }

    /// What is there at these levels.
    fn inner(&mut self, found: &Type, def: i16, rep: i16, nature: Nature) -> Option<Shape> {
        let begin = self.read.len();
        if found.is_primitive() {
            let leaf = self.leaf;
            self.leaf += 1;
            let meaning = Meaning::of(found, nature)?;
            self.read.push(leaf);
            return Some(self.shape(def, begin, Kind::Leaf(meaning)));
        }
        let about = found.get_basic_info();
        let fields = found.get_fields();
        let kind = match (about.converted_type(), fields) {
            (ConvertedType::LIST, [only]) if repetition(only) == Repetition::REPEATED => {
                let element = self.element(only, def + 1, rep + 1)?;
                Kind::List(rep + 1, Box::new(element))
            }
            (ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, [only])
                if repetition(only) == Repetition::REPEATED
                    && only.is_group()
                    && only.get_fields().len() == 2 =>
            {
                let pair = only.get_fields();
                let key = self.field(&pair[0], def + 1, rep + 1, Nature::Plain);
                let value = self.field(&pair[1], def + 1, rep + 1, Nature::Plain);
                let (Some(key), Some(value)) = (key, value) else {
                    self.read.truncate(begin);
                    return None;
                };
                Kind::Map(rep + 1, Box::new(key), Box::new(value))
            }
            _ => {
                let mut read = Vec::new();
                for field in fields {
                    let shape = self.field(field, def, rep, Nature::Plain);
                    read.extend(shape.map(|shape| (field.name().to_owned(), shape)));
                }
                if read.is_empty() {
                    return None;
                }
                Kind::Fields(read)
            }
        };
        Some(self.shape(def, begin, kind))
    }

    /// The element of a list: what is repeated, or the only thing in it. The rules are those of
    /// the format's page on logical types.
    fn element(&mut self, repeated: &Type, def: i16, rep: i16) -> Option<Shape> {
        let is_wrapper = repeated.is_group()
            && repeated.get_fields().len() == 1
            && repeated.name() != "array"
            && !repeated.name().ends_with("_tuple");
        if is_wrapper {
            self.field(&repeated.get_fields()[0], def, rep, Nature::Plain)
        } else {
            self.inner(repeated, def, rep, Nature::Plain)
        }
    }
}

fn repetition(found: &Type) -> Repetition {
    let about = found.get_basic_info();
    if about.has_repetition() {
        about.repetition()
    } else {
        Repetition::REQUIRED
    }
}

impl Shape {
    /// Where its columns are among those that are read.
    pub(super) fn leaves(&self) -> Range<usize> {
        self.leaves.clone()
    }

    /// What it stands for, where it is no structure.
    pub(super) const fn meaning(&self) -> Option<Meaning> {
        match &self.kind {
            Kind::Leaf(meaning) => Some(*meaning),
            _ => None,
        }
    }

    /// Writes what comes next; false where nothing does.
    fn write(&self, columns: &mut [Column], out: &mut Vec<u8>) -> io::Result<bool> {
        let first = self.leaves.start;
        let def = columns[first].def()?;
        if def < self.def {
            self.pass(columns)?;
            return Ok(false);
        }
        match &self.kind {
            Kind::Leaf(meaning) => {
                let is_there = meaning.write(columns[first].value()?, out)?;
                columns[first].advance()?;
                return Ok(is_there);
            }
            Kind::Fields(fields) => {
                let fields = fields.iter().map(|(name, shape)| (name, shape));
                write_fields(fields, columns, out)?;
            }
            Kind::List(..) if def == self.def => {
                self.pass(columns)?;
                out.extend_from_slice(b"[]");
            }
            Kind::List(rep, element) => {
                out.push(b'[');
                loop {
                    if !element.write(columns, out)? {
                        out.extend_from_slice(b"null");
                    }
                    if columns[first].rep() != *rep {
                        break;
                    }
                    out.push(b',');
                }
                out.push(b']');
            }
            Kind::Map(..) if def == self.def => {
                self.pass(columns)?;
                out.extend_from_slice(b"{}");
            }
            Kind::Map(rep, key, value) => {
                out.push(b'{');
                loop {
                    if !key.write(columns, out)? {
                        out.extend_from_slice(b"\"\"");
                    }
                    out.push(b':');
                    if !value.write(columns, out)? {
                        out.extend_from_slice(b"null");
                    }
                    if columns[first].rep() != *rep {
                        break;
                    }
                    out.push(b',');
                }
                out.push(b'}');
            }
        }
        Ok(true)
    }

    /// Goes on behind a place where there is nothing.
    fn pass(&self, columns: &mut [Column]) -> io::Result<()> {
        columns[self.leaves()]
            .iter_mut()
            .try_for_each(Column::advance)
    }
}

/// Writes the row that comes next as an object of these fields.
pub(super) fn write_row<'a>(
    fields: impl Iterator<Item = &'a (String, Shape)>,
    columns: &mut [Column],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    write_fields(fields.map(|(name, shape)| (name, shape)), columns, out)
}

/// What is not there is not named: a key that is absent and one that is null mean the same.
fn write_fields<'a>(
    fields: impl Iterator<Item = (&'a String, &'a Shape)>,
    columns: &mut [Column],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    out.push(b'{');
    let begin = out.len();
    for (name, shape) in fields {
        let mark = out.len();
        if mark > begin {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name)?;
        out.push(b':');
        if !shape.write(columns, out)? {
            out.truncate(mark);
        }
    }
    out.push(b'}');
    Ok(())
}

impl Meaning {
    /// Writes a value; false where it is no number and no text.
    #[expect(
        clippy::float_cmp,
        reason = "a flag is written as 0 or 1, and nothing near them"
    )]
    fn write(self, value: Value<'_>, out: &mut Vec<u8>) -> io::Result<bool> {
        match (self, value) {
            (Self::Flag, Value::Whole(number @ (0 | 1))) => write!(out, "{}", number == 1)?,
            (Self::Flag, Value::Double(number)) if number == 0.0 || number == 1.0 => {
                write!(out, "{}", number == 1.0)?;
            }
            (Self::Moment(unit), Value::Whole(number)) if number % unit == 0 => {
                write!(out, "{}", number / unit)?;
            }
            (Self::Moment(unit), Value::Whole(number)) => {
                return real(number as f64 / unit as f64, out);
            }
            (Self::Days, Value::Whole(days)) => write!(out, "{}", days.saturating_mul(86_400))?,
            (Self::Decimal(scale), Value::Whole(number)) => {
                return real(number as f64 / 10f64.powi(scale), out);
            }
            (Self::Unsigned, Value::Whole(number)) => write!(out, "{}", unsigned(number))?,
            (Self::Count, Value::Double(number)) if number.fract() == 0.0 => {
                write!(out, "{number:.0}")?;
            }
            (_, Value::Bool(is)) => write!(out, "{is}")?,
            (_, Value::Whole(number)) => write!(out, "{number}")?,
            (_, Value::Moment(at)) => return real(at.to_millis() as f64 / 1000.0, out),
            // As short as it can be: what was 0.95 is that again.
            (_, Value::Float(number)) if number.is_finite() => {
                serde_json::to_writer(out, &number)?;
            }
            (_, Value::Double(number)) => return real(number, out),
            (_, Value::Float(_)) => return Ok(false),
            (_, Value::Bytes(bytes)) => return text(self, bytes, out),
        }
        Ok(true)
    }
}

/// Numbers of 32 bits lie in 64 with their sign: what is below zero was beyond the half.
const fn unsigned(number: i64) -> u64 {
    if number < 0 && number >= i32::MIN as i64 {
        (number + (1 << 32)).cast_unsigned()
    } else {
        number.cast_unsigned()
    }
}

fn real(number: f64, out: &mut Vec<u8>) -> io::Result<bool> {
    if number.is_finite() {
        serde_json::to_writer(out, &number)?;
    }
    Ok(number.is_finite())
}

fn text(meaning: Meaning, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    let Ok(text) = str::from_utf8(bytes) else {
        // Makes the row one that cannot be read, as it would a line.
        out.extend_from_slice(b"bytes");
        return Ok(true);
    };
    if meaning == Meaning::Json && serde_json::from_str::<&RawValue>(text).is_ok() {
        out.extend_from_slice(bytes);
    } else {
        serde_json::to_writer(out, text)?;
    }
    Ok(true)
}
