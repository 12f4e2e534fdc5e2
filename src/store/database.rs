//! One SQLite file: a single writer connection and a pool of readers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::Error;

/// How a database file is opened.
#[derive(Debug)]
pub(super) struct Kind {
    migrations: Migrator,
    synchronous: SqliteSynchronous,
    page_size: u32,
    /// What the connection that writes keeps of the file, in KiB.
    cache: u32,
    /// After how many pages the write-ahead log goes into the file.
    checkpoint: u32,
    /// Whether a copy is kept before an older schema is changed.
    keeps_backups: bool,
}

/// The folder beside a database for copies of its older schemas.
pub(super) const BACKUPS: &str = "backups";

impl Kind {
    /// The versions of all migrations.
    pub(super) fn versions(&self) -> impl Iterator<Item = i64> {
        self.migrations.iter().map(|migration| migration.version)
    }

    /// What is set for the connection that writes.
    fn writing(&self, options: SqliteConnectOptions) -> SqliteConnectOptions {
        options
            .synchronous(self.synchronous)
            .pragma("cache_size", format!("-{}", self.cache))
            .pragma("wal_autocheckpoint", self.checkpoint.to_string())
            // What is removed leaves no bytes in its page.
            .pragma("secure_delete", "ON")
    }

    /// Whether a copy is kept before an older schema is changed.
    pub(super) const fn keeps_backups(&self) -> bool {
        self.keeps_backups
    }
}

/// Small rows whose loss would be felt: every commit is synced.
pub(super) static STATE: Kind = Kind {
    migrations: sqlx::migrate!("migrations/state"),
    synchronous: SqliteSynchronous::Full,
    page_size: 4096,
    cache: 2000,
    checkpoint: 1000,
    keeps_backups: true,
};

/// Large rows that can be made again: 16 KiB pages so that vectors pack.
///
/// A batch of 256 vectors changes as many pages of the index, for hashes have no order: 4 MiB that
/// should stay in memory until the commit, and often change again before the next checkpoint.
pub(super) static CONTENT: Kind = Kind {
    migrations: sqlx::migrate!("migrations/content"),
    synchronous: SqliteSynchronous::Normal,
    page_size: 16_384,
    cache: 8000,
    checkpoint: 2000,
    // It can be a thousand times as large, and what is in it can be made again.
    keeps_backups: false,
};

/// One SQLite file: a single writer connection and a pool of readers.
#[derive(Clone, Debug)]
pub struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
    /// The write-ahead log beside the file.
    log: PathBuf,
}

impl Database {
    pub(super) async fn open(path: &Path, kind: &'static Kind) -> Result<Self, Error> {
        let opened = |source| Error::Open {
            path: path.to_owned(),
            source,
        };
        let options = connect_options(path)
            .create_if_missing(true)
            .page_size(kind.page_size)
            .journal_mode(SqliteJournalMode::Wal);
        let options = kind.writing(options);
        // Waiting for the only writer is normal work, so the pool's own limit is long.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            // A file does not go away as a server does; asking first costs a thread hop each time.
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_mins(10))
            .connect_with(options)
            .await
            .map_err(opened)?;
        super::backup::before_migration(&writer, path, kind).await?;
        kind.migrations
            .run(&writer)
            .await
            .map_err(|source| Error::Migrate {
                path: path.to_owned(),
                source,
            })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_with(connect_options(path).read_only(true))
            .await
            .map_err(opened)?;
        Ok(Self {
            writer,
            readers,
            log: log_path(path),
        })
    }

    /// An existing file, each connection to it made when it is first needed.
    pub(super) fn attach(path: &Path, kind: &'static Kind) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing(path.to_owned()));
        }
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .test_before_acquire(false)
        };
        let options = connect_options(path);
        Ok(Self {
            writer: pool(1)
                .acquire_timeout(Duration::from_mins(10))
                .connect_lazy_with(kind.writing(options.clone())),
            readers: pool(4).connect_lazy_with(options.read_only(true)),
            log: log_path(path),
        })
    }

    pub(super) async fn in_memory(kind: &'static Kind) -> Result<Self, Error> {
        let path = Path::new(":memory:");
        // One connection is the database: a second one would see an empty one of its own.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(
                SqliteConnectOptions::new()
                    .in_memory(true)
                    .foreign_keys(true),
            )
            .await
            .map_err(|source| Error::Open {
                path: path.to_owned(),
                source,
            })?;
        kind.migrations
            .run(&writer)
            .await
            .map_err(|source| Error::Migrate {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            readers: writer.clone(),
            writer,
            log: log_path(path),
        })
    }

    pub(super) async fn open_read_only(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing(path.to_owned()));
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(2)
            .connect_with(connect_options(path).read_only(true))
            .await
            .map_err(|source| Error::Open {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            writer: readers.clone(),
            readers,
            log: log_path(path),
        })
    }

    /// Starts a write: `BEGIN IMMEDIATE`, because a deferred read-then-write is refused as busy.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        match self.writer.begin_with(BEGIN).await {
            // On a full disk SQLite rolls back by itself, which the connection does not notice: it
            // believes for good that it is within a transaction. A new one knows better.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let confused = self.writer.acquire().await?;
                if let Err(error) = confused.close().await {
                    tracing::debug!(%error, "a connection did not close well");
                }
                Ok(self.writer.begin_with(BEGIN).await?)
            }
            begun => Ok(begun?),
        }
    }

    /// Ends a write. `what` names its fail points, just before and just after it is decided.
    pub(super) async fn commit(
        &self,
        transaction: Transaction<'static, Sqlite>,
        what: &'static str,
    ) -> Result<(), Error> {
        fail::fail_point!(&format!("{what}.before_commit"));
        transaction.commit().await?;
        fail::fail_point!(&format!("{what}.after_commit"));
        tracing::trace!(what, "committed");
        Ok(())
    }

    /// The one connection that writes.
    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Closes all connections, so that the files are nobody's.
    pub(super) async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The readers, which see committed rows only.
    pub(super) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// Writes everything committed so far to the disk itself.
    ///
    /// Content commits without a sync each; one sync of the write-ahead log before a task's
    /// success is recorded makes all of them durable.
    pub(super) async fn sync(&self) -> Result<(), Error> {
        fail::fail_point!("content.before_sync");
        let sync = match fs_err::tokio::File::open(&self.log).await {
            Ok(log) => log.sync_all().await,
            // Without a log everything lies in the database file, which a checkpoint has synced.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        fail::fail_point!("content.after_sync");
        sync.map_err(|error| Error::Database(sqlx::Error::Io(error)))
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(30))
        .optimize_on_close(true, None)
}

fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn goes_on_after_the_disk_was_full() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("state.db"), &STATE)
            .await
            .unwrap();
        sqlx::raw_sql("CREATE TABLE filler (bytes BLOB) STRICT; PRAGMA max_page_count = 1")
            .execute(&database.writer)
            .await
            .unwrap();
        let fill = async || -> Result<(), Error> {
            let mut transaction = database.write().await?;
            sqlx::raw_sql("INSERT INTO filler VALUES (zeroblob(1000000))")
                .execute(&mut *transaction)
                .await?;
            Ok(transaction.commit().await?)
        };
        assert!(fill().await.unwrap_err().is_disk_full());
        // The limit was that connection's; the next one has room.
        fill().await.unwrap();
    }
}
