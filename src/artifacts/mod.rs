//! Files on disk that are either whole or not there.

mod atomic;
mod copies;
mod matrix;
mod parquet;
mod space;

pub use atomic::{
    publish_directory, remove_apart, remove_directory, write_apart, write_atomic, write_json,
};
pub use copies::{Copy, CopyKind, copies, note_copy};
pub use matrix::{MatrixFile, read_matrix, read_matrix_of, read_matrix_rows, write_matrix};
pub use parquet::{Cell, Column, Kind, ParquetTable, drop_parquet_rows};
pub use space::{Space, space};
