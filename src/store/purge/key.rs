//! The key of the home, under which ids of purged records, and people, are hashed.
//!
//! An id can be guessed, so its plain hash would still tell who was purged. The key lies in a file
//! of its own beside the databases: a copy of these tells nothing.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rand::TryRng as _;
use sqlx::SqliteConnection;

use super::{family, people::Fate};
use crate::{corpus::keyed_hash, store::Error};

/// The name of the key's file in the data folder.
const FILE: &str = "purge.key";

/// The key of a home, read when it is first needed.
#[derive(Clone, Debug)]
pub(in crate::store) struct PurgeKey {
    /// None where the store is in memory.
    path: Option<PathBuf>,
    bytes: Arc<OnceLock<[u8; 32]>>,
}

impl PurgeKey {
    /// The key of the home with this data folder.
    pub(in crate::store) fn in_folder(data_dir: &Path) -> Self {
        Self {
            path: Some(data_dir.join(FILE)),
            bytes: Arc::default(),
        }
    }

    /// A key that is gone with the process.
    pub(in crate::store) fn in_memory() -> Self {
        Self {
            path: None,
            bytes: Arc::default(),
        }
    }

    /// The hash that stays of an id.
    ///
    /// # Errors
    ///
    /// Where there is no key, or it cannot be read.
    pub(in crate::store) fn hash(&self, dataset: &str, id: &str) -> Result<[u8; 32], Error> {
        self.hash_text(&format!("record\0{}\0{id}", family(dataset)))
    }

    /// The hash that stays of a person's name, in whatever case it is written, or account.
    ///
    /// # Errors
    ///
    /// As [`PurgeKey::hash`].
    pub(super) fn hash_person(
        &self,
        fate: Fate,
        dataset: &str,
        person: &str,
    ) -> Result<[u8; 32], Error> {
        let kind = match fate {
            Fate::Purged => "author",
            Fate::Forgotten => "forgotten author",
        };
        let person = person.to_lowercase();
        self.hash_text(&format!("{kind}\0{}\0{person}", family(dataset)))
    }

    fn hash_text(&self, message: &str) -> Result<[u8; 32], Error> {
        let key = match self.bytes.get() {
            Some(key) => *key,
            None => self.read()?,
        };
        Ok(keyed_hash(&key, message.as_bytes()))
    }

    fn read(&self) -> Result<[u8; 32], Error> {
        let Some(path) = &self.path else {
            return Ok(self.keep(random()?));
        };
        let missing = |error: io::Error| {
            Error::Conflict(format!(
                "the key of purged records cannot be read ({error}); without it nobody can tell \
                 which records must not come back: copy `{FILE}` back from where this home was \
                 copied from"
            ))
        };
        let bytes = fs_err::read(path).map_err(missing)?;
        let short = || {
            missing(io::Error::other(format!(
                "`{}` is cut short",
                path.display()
            )))
        };
        Ok(self.keep(bytes.try_into().map_err(|_| short())?))
    }

    /// Makes the key where there is none yet; it is durable when this returns. Where records were
    /// purged before (`in_use`) there was one, and another would let them all come back.
    ///
    /// # Errors
    ///
    /// Where the key is lost, or the disk refuses.
    pub(super) fn make(&self, in_use: bool) -> Result<(), Error> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        if path.exists() {
            return Ok(());
        }
        if in_use {
            return self.read().map(drop);
        }
        let failed = |error| Error::Database(sqlx::Error::Io(error));
        let folder = path.parent().unwrap_or(Path::new("."));
        let key = random()?;
        let write = || -> io::Result<()> {
            // For its owner's eyes only, which is how temporary files are made.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&key)?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(path) {
                Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.error);
                }
                _ => {}
            }
            fs_err::File::open(folder)?.sync_all()
        };
        write().map_err(failed)
    }

    fn keep(&self, key: [u8; 32]) -> [u8; 32] {
        *self.bytes.get_or_init(|| key)
    }
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::Conflict(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

/// Whose hashes are among those that stay.
pub(super) async fn known<'a>(
    connection: &mut SqliteConnection,
    hashes: &[(&'a str, [u8; 32])],
) -> Result<HashSet<&'a str>, Error> {
    let asked: Vec<String> = hashes.iter().map(|(_, hash)| hexadecimal(hash)).collect();
    let asked = serde_json::json!(asked).to_string();
    let found: HashSet<Vec<u8>> = sqlx::query_scalar!(
        "SELECT id_hash FROM purged WHERE id_hash IN (SELECT unhex(value) FROM json_each(?))",
        asked,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .collect();
    let known = hashes
        .iter()
        .filter(|(_, hash)| found.contains(hash.as_slice()));
    Ok(known.map(|(of, _)| *of).collect())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A text cannot refuse to grow.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
