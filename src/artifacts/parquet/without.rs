//! A table → the same one without some of its rows.

use std::{fs::File, io, path::Path};

use parquet::{
    column::{
        reader::{ColumnReader, ColumnReaderImpl},
        writer::ColumnWriter,
    },
    data_type::{ByteArray, DataType},
    file::{
        reader::{FileReader, RowGroupReader, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnDescriptor,
};

use super::{
    super::atomic::{begin, commit},
    fault, properties,
};

/// Writes a table again without some rows, where there are any. Answers how many there were.
///
/// These are the rows for whose text in one of the columns `named` (nested ones with dots, as
/// `fields.author`) `is_gone` holds; columns that are not there are passed over. A column at a time
/// of a group of rows is in memory.
///
/// # Errors
///
/// Where the disk refuses, or the file is no such table ([`io::ErrorKind::InvalidData`]); then it is
/// untouched.
pub fn drop_parquet_rows(
    path: &Path,
    named: &[&str],
    is_gone: impl Fn(&str, &str) -> bool,
) -> io::Result<u64> {
    let (file, _) = fs_err::File::open(path)?.into_parts();
    let reader = SerializedFileReader::new(file).map_err(fault)?;
    let about = reader.metadata().file_metadata();
    let columns = about.schema_descr().columns().to_vec();
    let names: Vec<String> = columns
        .iter()
        .map(|column| column.path().string())
        .collect();
    let telling: Vec<usize> = (0..names.len())
        .filter(|&column| named.contains(&names[column].as_str()))
        .collect();
    let mut kept: Vec<Vec<bool>> = Vec::new();
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).map_err(fault)?;
        let mut rows = vec![true; rows_of(&*group)?];
        for &column in &telling {
            let is_gone = |text: &str| is_gone(&names[column], text);
            let told = kept_rows(&*group, column, &columns[column], is_gone)?;
            for (kept, told) in rows.iter_mut().zip(told) {
                *kept &= told;
            }
        }
        kept.push(rows);
    }
    let gone = kept.iter().flatten().filter(|kept| !**kept).count() as u64;
    if gone == 0 {
        return Ok(0);
    }
    let file = begin(path)?;
    let schema = about.schema_descr().root_schema_ptr();
    let writer = SerializedFileWriter::new(file.as_file().try_clone()?, schema, properties());
    let mut writer: SerializedFileWriter<File> = writer.map_err(fault)?;
    for (number, kept) in kept.iter().enumerate() {
        if !kept.contains(&true) {
            continue;
        }
        let group = reader.get_row_group(number).map_err(fault)?;
        let mut new = writer.next_row_group().map_err(fault)?;
        for (leaf, about) in columns.iter().enumerate() {
            let old = group.get_column_reader(leaf).map_err(fault)?;
            let column = new.next_column().map_err(fault)?;
            let mut column = column.ok_or_else(odd)?;
            copy(old, about, kept, column.untyped())?;
            column.close().map_err(fault)?;
        }
        new.close().map_err(fault)?;
    }
    writer.close().map_err(fault)?;
    commit(file, path)?;
    Ok(gone)
}

fn odd() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the table is not one that was exported",
    )
}

/// Which rows of a group stay, by their ids.
fn kept_rows(
    group: &dyn RowGroupReader,
    column: usize,
    about: &ColumnDescriptor,
    is_gone: impl Fn(&str) -> bool,
) -> io::Result<Vec<bool>> {
    let rows = rows_of(group)?;
    let ColumnReader::ByteArrayColumnReader(mut ids) =
        group.get_column_reader(column).map_err(fault)?
    else {
        return Ok(vec![true; rows]);
    };
    let Chunk { values, defs, .. } = read(&mut ids, rows)?;
    let mut values: std::vec::IntoIter<ByteArray> = values.into_iter();
    let is_kept = |id: Option<ByteArray>| {
        let id = id.as_ref().and_then(|id| str::from_utf8(id.data()).ok());
        !id.is_some_and(&is_gone)
    };
    if about.max_def_level() == 0 {
        return Ok(values.map(|id| is_kept(Some(id))).collect());
    }
    let whole = about.max_def_level();
    let cells = defs
        .iter()
        .map(|&def| (def == whole).then(|| values.next())?);
    Ok(cells.map(is_kept).collect())
}

fn rows_of(group: &dyn RowGroupReader) -> io::Result<usize> {
    usize::try_from(group.metadata().num_rows()).map_err(|_| odd())
}

/// All values of a column in a group of rows, and their levels.
struct Chunk<T> {
    values: Vec<T>,
    defs: Vec<i16>,
    reps: Vec<i16>,
}

fn read<T: DataType>(column: &mut ColumnReaderImpl<T>, rows: usize) -> io::Result<Chunk<T::T>> {
    let mut chunk = Chunk {
        values: Vec::new(),
        defs: Vec::new(),
        reps: Vec::new(),
    };
    let mut left = rows;
    while left > 0 {
        let (defs, reps) = (Some(&mut chunk.defs), Some(&mut chunk.reps));
        let (read, ..) = column
            .read_records(left, defs, reps, &mut chunk.values)
            .map_err(fault)?;
        if read == 0 {
            return Err(odd());
        }
        left -= read;
    }
    Ok(chunk)
}

/// Copies the rows that are kept of a column of any type.
fn copy(
    old: ColumnReader,
    about: &ColumnDescriptor,
    kept: &[bool],
    new: &mut ColumnWriter<'_>,
) -> io::Result<()> {
    macro_rules! copied {
        ($($reader:ident => $writer:ident),*) => {
            match (old, new) {
                $((ColumnReader::$reader(mut old), ColumnWriter::$writer(new)) => {
                    let chunk = read(&mut old, kept.len())?.only(about, kept);
                    let defs = (about.max_def_level() > 0).then_some(&chunk.defs[..]);
                    let reps = (about.max_rep_level() > 0).then_some(&chunk.reps[..]);
                    new.write_batch(&chunk.values, defs, reps)
                })*
                _ => return Err(odd()),
            }
        };
    }
    let written = copied!(
        BoolColumnReader => BoolColumnWriter,
        Int32ColumnReader => Int32ColumnWriter,
        Int64ColumnReader => Int64ColumnWriter,
        FloatColumnReader => FloatColumnWriter,
        DoubleColumnReader => DoubleColumnWriter,
        ByteArrayColumnReader => ByteArrayColumnWriter
    );
    written.map(drop).map_err(fault)
}

impl<T> Chunk<T> {
    /// The rows that are kept.
    fn only(self, about: &ColumnDescriptor, kept: &[bool]) -> Self {
        let levels = self.defs.len().max(self.values.len());
        let mut values = self.values.into_iter();
        let mut only = Self {
            values: Vec::new(),
            defs: Vec::new(),
            reps: Vec::new(),
        };
        let mut rows = kept.iter();
        let mut is_kept = false;
        for level in 0..levels {
            let rep = self.reps.get(level).copied().unwrap_or(0);
            if rep == 0 {
                is_kept = rows.next().copied().unwrap_or(false);
            }
            let def = self.defs.get(level).copied().unwrap_or(0);
            let value = (def == about.max_def_level())
                .then(|| values.next())
                .flatten();
            if is_kept {
                only.values.extend(value);
                only.defs.push(def);
                only.reps.push(rep);
            }
        }
        only
    }
}
