//! Rows of cells in the three forms of an export.

use std::{
    fmt,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde_json::{Map, Value, json};

use crate::{
    artifacts::{Cell, Column, Kind, ParquetTable},
    cli::records::Format,
    clock::Timestamp,
};

/// Columns, and the rows that come one by one.
pub(super) struct Sheet<'a> {
    columns: Vec<(String, Kind)>,
    rows: Box<dyn Iterator<Item = Vec<Cell>> + 'a>,
}

impl fmt::Debug for Sheet<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sheet")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl<'a> Sheet<'a> {
    /// Rows whose cells are those of the columns, in their order.
    pub(super) fn new(
        columns: Vec<(String, Kind)>,
        rows: impl Iterator<Item = Vec<Cell>> + 'a,
    ) -> Self {
        Self {
            columns,
            rows: Box::new(rows),
        }
    }

    /// Prints the rows as text.
    pub(super) fn print(self, format: Format) -> io::Result<()> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        self.text(format, &mut stdout)?;
        stdout.flush()
    }

    /// Writes the rows to a file in a folder, whole or not at all; how many there are.
    pub(super) fn write(self, format: Format, folder: &Path, out: &Path) -> io::Result<u64> {
        if format == Format::Parquet {
            return self.parquet(out);
        }
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut buffered = BufWriter::new(&mut file);
        let rows = self.text(format, &mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        file.as_file().sync_all()?;
        file.persist(out).map_err(|error| error.error)?;
        Ok(rows)
    }

    fn parquet(self, out: &Path) -> io::Result<u64> {
        let columns = self.columns.into_iter();
        let columns: Vec<_> = columns
            .map(|(name, kind)| Column::new(name, kind))
            .collect();
        let mut table = ParquetTable::create(out, &columns)?;
        let mut count = 0;
        for row in self.rows {
            table.row(row)?;
            count += 1;
        }
        table.finish()?;
        Ok(count)
    }

    fn text(self, format: Format, to: &mut impl Write) -> io::Result<u64> {
        let mut count = 0;
        if format == Format::Csv {
            let mut writer = csv::Writer::from_writer(to);
            writer.write_record(self.columns.iter().map(|(name, _)| name))?;
            for row in self.rows {
                writer.write_record(row.into_iter().map(|cell| match value(cell) {
                    Value::Null => String::new(),
                    Value::String(text) => text,
                    other => other.to_string(),
                }))?;
                count += 1;
            }
            writer.flush()?;
            return Ok(count);
        }
        for row in self.rows {
            let cells = self.columns.iter().zip(row);
            let row: Map<String, Value> = cells
                .map(|((name, _), cell)| (name.clone(), value(cell)))
                .collect();
            serde_json::to_writer(&mut *to, &row)?;
            to.write_all(b"\n")?;
            count += 1;
        }
        Ok(count)
    }
}

/// A cell as JSON, which has no NaN.
fn value(cell: Cell) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Text(text) => text.into(),
        Cell::Whole(number) => number.into(),
        Cell::Number(number) => json!(number),
        Cell::Flag(flag) => flag.into(),
        Cell::Moment(millis) => json!(Timestamp::from_millis(millis)),
        Cell::Texts(texts) => json!(texts),
        Cell::Numbers(numbers) => json!(numbers),
    }
}
