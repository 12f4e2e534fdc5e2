//! Files on disk that are either whole or not there.

mod atomic;
mod matrix;

pub use atomic::{publish_directory, remove_directory, write_atomic, write_json};
pub use matrix::{MatrixFile, read_matrix, write_matrix};
