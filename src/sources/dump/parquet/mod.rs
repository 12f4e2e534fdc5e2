//! A Parquet file → rows as JSON, so that one parser reads them and lines.
//!
//! Columns bear the names of the JSON's keys. Only those that the parser reads are decoded, some
//! rows at a time; of rows that are passed over only what tells that they are.

mod column;
mod passed;
mod shape;

use std::{
    io::{self, Read, Seek, SeekFrom},
    panic::{self, AssertUnwindSafe},
};

use fs_err as fs;
use parquet::{
    basic::Compression,
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{FileReader, RowGroupReader, SerializedFileReader},
    },
};

use self::{column::Column, passed::Told, shape::Shape};
use super::{
    pieces::{Data, Piece, wrong},
    wanted::Wanted,
};

/// Rows that are decoded at once: their texts lie in memory, beside a page a column.
const ROWS: usize = 1024;
/// What a Parquet file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// Some rows of a file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The text of those that are to be read, one behind the other.
    pub(super) text: Vec<u8>,
    pub(super) rows: Vec<Row>,
}

/// A row of a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Row {
    /// It has to be read; its text reaches to here.
    Line(usize),
    /// It is certainly not wanted.
    Passed(&'static str),
}

/// Hands over the rows behind the first `known` ones until the file ends or `send` wants no more.
///
/// # Errors
///
/// Where the file is none of Parquet, is cut off, or cannot be decoded.
pub(super) fn cut(
    file: fs::File,
    known: u64,
    wanted: &Wanted,
    send: impl FnMut(Piece) -> bool,
) -> io::Result<()> {
    // Of a damaged file the crate asserts what is not so: that is a fault of the file, not ours.
    let cut = AssertUnwindSafe(|| cut_groups(file, known, wanted, send));
    panic::catch_unwind(cut).unwrap_or_else(|_| {
        Err(wrong(
            "what it says of itself contradicts itself".to_owned(),
        ))
    })
}

fn cut_groups(
    mut file: fs::File,
    known: u64,
    wanted: &Wanted,
    mut send: impl FnMut(Piece) -> bool,
) -> io::Result<()> {
    check_edges(&mut file)?;
    let (file, _) = file.into_parts();
    let reader = SerializedFileReader::new(file).map_err(unread)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let (shapes, leaves) = shape::of(schema.root_schema());
    if leaves.is_empty() && reader.metadata().file_metadata().num_rows() > 0 {
        return Err(wrong(
            "none of its columns is named as a key of a post, such as `id` or `title`".to_owned(),
        ));
    }
    let told = Told::new(&shapes, &leaves);
    let mut begin = 0;
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).map_err(unread)?;
        let rows = u64::try_from(group.metadata().num_rows())
            .map_err(|_| wrong(format!("its row group {number} has less than no rows")))?;
        let skip = known.saturating_sub(begin).min(rows);
        begin += rows;
        if skip == rows {
            continue;
        }
        if let Some(reason) = told.passes_over(group.metadata(), wanted.request()) {
            let data = Data::Passed {
                rows: rows - skip,
                reason,
            };
            if !send(piece(data, 0)) {
                return Ok(());
            }
            continue;
        }
        let read = packed_bytes(group.metadata(), &leaves)?;
        let mut group = Group::new(&*group, &shapes, &leaves)?;
        group.skip(usize::try_from(skip).map_err(io::Error::other)?);
        if !group.cut(rows - skip, read, wanted, &mut send)? {
            return Ok(());
        }
    }
    Ok(())
}

/// What is no Parquet file, or only the beginning of one, is told by its edges.
fn check_edges(file: &mut fs::File) -> io::Result<()> {
    let mut edge = [0; 4];
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    file.read_exact(&mut edge)?;
    if edge != *MAGIC {
        return Err(wrong(
            "it does not begin with `PAR1`, as a Parquet file does".to_owned(),
        ));
    }
    file.seek(SeekFrom::Start(length.saturating_sub(4)))?;
    file.read_exact(&mut edge)?;
    if edge != *MAGIC || length < 12 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it does not end with `PAR1`: a part is missing, or it is still being written",
        ));
    }
    Ok(())
}

/// How many bytes the columns that are read have in the file.
fn packed_bytes(group: &RowGroupMetaData, leaves: &[usize]) -> io::Result<u64> {
    let mut bytes = 0;
    for leaf in leaves {
        let column = group.column(*leaf);
        let is_known = matches!(
            column.compression(),
            Compression::UNCOMPRESSED
                | Compression::SNAPPY
                | Compression::GZIP(_)
                | Compression::ZSTD(_)
        );
        if !is_known {
            return Err(wrong(format!(
                "its column `{}` is compressed with {}; write it anew with snappy, gzip or zstd",
                column.column_path(),
                column.compression(),
            )));
        }
        bytes += column.compressed_size().unsigned_abs();
    }
    Ok(bytes)
}

/// Rows can be cut anywhere, and nothing of the cursor's is left to skip.
const fn piece(data: Data, read: u64) -> Piece {
    Piece {
        data,
        raw: None,
        read,
        skip: 0,
    }
}

fn unread(error: ParquetError) -> io::Error {
    let kind = match error {
        ParquetError::EOF(_) => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// A row group that is read from its beginning to its end.
struct Group<'a> {
    shapes: &'a [(String, Shape)],
    columns: Vec<Column>,
}

impl<'a> Group<'a> {
    fn new(
        group: &dyn RowGroupReader,
        shapes: &'a [(String, Shape)],
        leaves: &[usize],
    ) -> io::Result<Self> {
        let columns = leaves.iter().map(|leaf| {
            let about = group.metadata().column(*leaf).column_descr();
            let reader = group.get_column_reader(*leaf).map_err(unread)?;
            Column::new(reader, about)
        });
        Ok(Self {
            shapes,
            columns: columns.collect::<io::Result<_>>()?,
        })
    }

    fn skip(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.pass(rows);
        }
    }

    /// Answers whether more is wanted.
    fn cut(
        &mut self,
        mut rows: u64,
        mut read: u64,
        wanted: &Wanted,
        send: &mut impl FnMut(Piece) -> bool,
    ) -> io::Result<bool> {
        while rows > 0 {
            let some = usize::try_from(rows).map_or(ROWS, |rows| rows.min(ROWS));
            rows -= some as u64;
            let some = self.some(some, wanted)?;
            if !send(piece(Data::Rows(some), std::mem::take(&mut read))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next `rows` rows: first what tells whether they are wanted, then what is left of those
    /// that may be.
    fn some(&mut self, rows: usize, wanted: &Wanted) -> io::Result<Rows> {
        let mut passed = vec![None; rows];
        let telling = || {
            let shapes = self.shapes.iter();
            shapes.filter(|(name, _)| passed::TELLING.contains(&name.as_str()))
        };
        for (_, shape) in telling() {
            for column in &mut self.columns[shape.leaves()] {
                column.read(rows)?;
            }
        }
        let mut text = Vec::new();
        for reason in &mut passed {
            text.clear();
            shape::write_row(telling(), &mut self.columns, &mut text)?;
            *reason = wanted.passes_over(&text);
        }
        let mut some = Rows::default();
        if passed.iter().all(Option::is_some) {
            self.skip(rows);
            some.rows
                .extend(passed.into_iter().flatten().map(Row::Passed));
            return Ok(some);
        }
        for column in &mut self.columns {
            column.read(rows)?;
        }
        for reason in passed {
            some.rows.push(if let Some(reason) = reason {
                self.columns.iter_mut().try_for_each(Column::next_row)?;
                Row::Passed(reason)
            } else {
                shape::write_row(self.shapes.iter(), &mut self.columns, &mut some.text)?;
                Row::Line(some.text.len())
            });
            for column in &self.columns {
                column.check_row()?;
            }
        }
        // They are read: nothing is left to skip.
        self.skip(rows);
        Ok(some)
    }
}
