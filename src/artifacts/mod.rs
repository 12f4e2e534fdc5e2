//! Files on disk that are either whole or not there.

mod atomic;
mod matrix;
mod space;

pub use atomic::{publish_directory, remove_directory, write_atomic, write_json};
pub use matrix::{MatrixFile, read_matrix, read_matrix_of, read_matrix_rows, write_matrix};
pub use space::{Space, space};
