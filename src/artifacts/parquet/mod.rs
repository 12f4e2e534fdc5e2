//! Tables in Parquet: typed columns that other tools read, written group of rows by group.

mod table;
mod without;

pub use table::{Cell, Column, Kind, ParquetTable};
pub use without::drop_parquet_rows;

use std::{io, sync::Arc};

use parquet::{
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

/// How all tables are written.
fn properties() -> Arc<WriterProperties> {
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    Arc::new(properties.build())
}

/// A fault of the disk as it is, any other as one of the file.
fn fault(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::new(io::ErrorKind::InvalidData, source),
        },
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests;
