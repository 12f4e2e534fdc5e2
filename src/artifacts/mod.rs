//! Files on disk that are either whole or not there.

mod atomic;
mod copies;
mod incoming;
mod matrix;
mod parquet;
mod space;

pub use atomic::{publish_directory, remove_directory, write_atomic, write_json};
pub use copies::{Copy, CopyKind, copies, note_copy};
pub use incoming::Incoming;
pub use matrix::{MatrixFile, read_matrix, read_matrix_of, read_matrix_rows, write_matrix};
pub use parquet::{Cell, Column, Kind, ParquetTable, drop_parquet_rows};
pub use space::{Space, space};
