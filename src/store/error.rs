//! Errors of the store.

use std::{io, path::PathBuf};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no database yet.
    #[error("there is no database at `{0}`; `trendmill run PIPELINE` makes one")]
    Missing(PathBuf),
    /// The database cannot be opened.
    #[error("cannot open the database `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot migrate the database `{path}`; was it made by a newer release?")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row holds what this release cannot read.
    #[error("table `{table}` holds a bad `{column}` in row `{row}`: {message}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong with the value.
        message: String,
    },
    /// The row to change is not there, or not in the state that the change needs.
    #[error("{0}")]
    Conflict(String),
}

impl Error {
    /// What SQLite says on a full disk, or the system where it writes a file.
    #[cfg(test)]
    pub(crate) fn disk_full_for_tests() -> Self {
        Self::Database(sqlx::Error::Io(io::ErrorKind::StorageFull.into()))
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("13"),
            Self::Database(sqlx::Error::Io(error)) => is_disk_full(error),
            _ => false,
        }
    }
}

/// Whether this is what the system says on a full disk.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
