//! Errors of the store.

use std::path::PathBuf;

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
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("13"))
    }
}
