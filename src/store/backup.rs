//! Copies of the databases, made while others write, and how their files are kept small.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use sqlx::SqlitePool;

use super::{
    Error, Store,
    database::{self, Database, Kind},
};

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// The copy of `state.db`.
    pub state: PathBuf,
    /// Its size.
    pub state_bytes: u64,
    /// The copy of `content.db`, where one was asked for.
    pub content: Option<PathBuf>,
    /// Its size.
    pub content_bytes: u64,
    /// The schema of the copies.
    pub versions: SchemaVersions,
    /// How many runs they hold.
    pub runs: u64,
    /// How many model versions.
    pub model_versions: u64,
    /// How many records; none without a copy of `content.db`.
    pub records: Option<u64>,
}

/// The newest migration that each database has had; 0 for one that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SchemaVersions {
    /// Of `state.db`.
    pub state: i64,
    /// Of `content.db`.
    pub content: i64,
}

impl SchemaVersions {
    /// Whether a database lacks migrations that `other` has.
    pub const fn is_older_than(self, other: Self) -> bool {
        self.state < other.state || self.content < other.content
    }
}

impl Store {
    /// Copies the databases while others go on writing: each copy is one moment's committed rows.
    ///
    /// The state is copied first. A task's success is recorded after its content is durable, so
    /// the later copy of the content holds all that the state tells of; what it holds beyond that
    /// is found there and not computed again. A copy appears under its name whole and synced, the
    /// state's last: where that is there, the pair is.
    ///
    /// # Errors
    ///
    /// Where the disk refuses; then nothing is left behind.
    #[tracing::instrument(name = "db.backup", skip_all)]
    pub async fn backup(&self, state: &Path, content: Option<&Path>) -> Result<BackedUp, Error> {
        let pending = self.state.copy(state).await?;
        let mut content_bytes = 0;
        let mut records = None;
        if let Some(content) = content {
            let pending = self.content.copy(content).await?;
            let copy = Database::open_read_only(pending.path()).await?;
            records = Some(rows_in(copy.read(), "SELECT count(*) FROM records").await?);
            copy.close().await;
            content_bytes = pending.finish()?;
        }
        let copy = Database::open_read_only(pending.path()).await?;
        let runs = rows_in(copy.read(), "SELECT count(*) FROM runs").await?;
        let model_versions = rows_in(copy.read(), "SELECT count(*) FROM model_versions").await?;
        copy.close().await;
        Ok(BackedUp {
            state_bytes: pending.finish()?,
            state: state.to_owned(),
            content: content.map(Path::to_owned),
            content_bytes,
            versions: self.schema_versions().await?,
            runs,
            model_versions,
            records,
        })
    }

    /// The schema that the databases have.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn schema_versions(&self) -> Result<SchemaVersions, Error> {
        let newest = async |pool: &SqlitePool| -> Result<i64, Error> {
            Ok(applied(pool).await?.into_iter().max().unwrap_or(0))
        };
        Ok(SchemaVersions {
            state: newest(self.state.read()).await?,
            content: newest(self.content.read()).await?,
        })
    }

    /// The schema of this release.
    pub fn newest_schema() -> SchemaVersions {
        let newest = |kind: &Kind| kind.versions().max().unwrap_or(0);
        SchemaVersions {
            state: newest(&database::STATE),
            content: newest(&database::CONTENT),
        }
    }

    /// Writes both databases anew without the space of what was deleted.
    ///
    /// Nobody else may work on them meanwhile: it takes the right to write for long.
    ///
    /// # Errors
    ///
    /// Where the disk has no room for a second copy of the larger one.
    #[tracing::instrument(name = "db.vacuum", skip_all)]
    pub async fn vacuum(&self) -> Result<(), Error> {
        for database in [&self.state, &self.content] {
            for statement in [
                "VACUUM",
                "PRAGMA optimize",
                "PRAGMA wal_checkpoint(TRUNCATE)",
            ] {
                sqlx::query(statement).execute(database.writer()).await?;
            }
        }
        Ok(())
    }
}

async fn rows_in(pool: &SqlitePool, query: &'static str) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// A copy that lies beside its place under another name.
#[derive(Debug)]
struct Pending {
    partial: tempfile::TempPath,
    path: PathBuf,
}

impl Pending {
    fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the copy its name; returns its size.
    fn finish(self) -> Result<u64, Error> {
        let done = || -> io::Result<u64> {
            let file = fs_err::File::open(&self.partial)?;
            fail::fail_point!("backup.written");
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            fail::fail_point!("backup.synced");
            fs_err::rename(&self.partial, &self.path)?;
            fail::fail_point!("backup.renamed");
            fs_err::File::open(folder_of(&self.path))?.sync_all()?;
            Ok(bytes)
        };
        done().map_err(|error| Error::Database(sqlx::Error::Io(error)))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

impl Database {
    /// Copies everything committed to a file beside `path`.
    async fn copy(&self, path: &Path) -> Result<Pending, Error> {
        copy(self.read(), path).await
    }
}

async fn copy(pool: &SqlitePool, path: &Path) -> Result<Pending, Error> {
    let failed = |error| Error::Database(sqlx::Error::Io(error));
    let folder = folder_of(path);
    fs_err::create_dir_all(folder).map_err(failed)?;
    // SQLite fills an empty file; the name is taken so that nobody else has it.
    let partial = tempfile::Builder::new()
        .prefix(".backup-")
        .suffix(".partial")
        .tempfile_in(folder)
        .map_err(failed)?
        .into_temp_path();
    let name = partial.to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(pool)
        .await?;
    Ok(Pending {
        partial,
        path: path.to_owned(),
    })
}

/// The migrations that a database has had; none for an empty one.
async fn applied(pool: &SqlitePool) -> Result<Vec<i64>, Error> {
    let known: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(pool)
            .await?;
    if known == 0 {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
        .fetch_all(pool)
        .await?)
}

/// Keeps a copy of a database that is about to get a newer schema, as
/// `backups/<name>-<schema>.db` beside it. One that lies there from an earlier change takes its
/// place: a home that went back to an older release has had runs since.
///
/// # Errors
///
/// Where the copy cannot be made: then the schema stays as it is.
pub(super) async fn before_migration(
    writer: &SqlitePool,
    path: &Path,
    kind: &'static Kind,
) -> Result<(), Error> {
    let applied = applied(writer).await?;
    let Some(&newest) = applied.iter().max() else {
        return Ok(());
    };
    if !kind.keeps_backups() || kind.versions().all(|version| applied.contains(&version)) {
        return Ok(());
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let backup = folder_of(path)
        .join(database::BACKUPS)
        .join(format!("{stem}-{newest}.db"));
    copy(writer, &backup).await?.finish()?;
    tracing::info!("kept a copy of the old schema at {}", backup.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_is_whole_and_can_be_opened_as_a_home() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let place = folder.path().join("copy");
        let (state, content) = (place.join("state.db"), place.join("content.db"));
        let copy = store.backup(&state, Some(&content)).await.unwrap();
        assert_eq!((copy.runs, copy.records), (0, Some(0)));
        assert!(copy.state_bytes > 0 && copy.content_bytes > 0);
        assert_eq!(copy.versions, store.schema_versions().await.unwrap());
        let restored = Store::open(&place).await.unwrap();
        assert_eq!(restored.runs(None, 1).await.unwrap(), []);
        assert_eq!(
            restored.schema_versions().await.unwrap(),
            store.schema_versions().await.unwrap()
        );
        restored.vacuum().await.unwrap();
        // Nothing lies around that has no name of its own.
        let names = fs_err::read_dir(&place).unwrap();
        assert!(
            names
                .flatten()
                .all(|file| !file.file_name().to_string_lossy().contains("partial"))
        );
    }

    #[tokio::test]
    async fn an_older_schema_is_kept_before_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let backups = folder.path().join(database::BACKUPS);
        drop(Store::open(folder.path()).await.unwrap());
        assert!(!backups.exists());
        // As a release left it that did not know the last migration.
        let newest = database::STATE.versions().max().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version = ?")
            .bind(newest)
            .execute(store.state.writer())
            .await
            .unwrap();
        let old = store.schema_versions().await.unwrap().state;
        let path = folder.path().join("state.db");
        before_migration(store.state.writer(), &path, &database::STATE)
            .await
            .unwrap();
        let kept = backups.join(format!("state-{old}.db"));
        let copy = Database::open_read_only(&kept).await.unwrap();
        assert_eq!(
            applied(copy.read()).await.unwrap().into_iter().max(),
            Some(old)
        );
    }
}
