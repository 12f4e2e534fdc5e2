//! What was learned of files that the catalogue does not pin: at the first use, and enforced ever
//! after.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Error, catalogue::Hub};
use crate::corpus::ContentHash;

/// The file, in this program's cache.
const NAME: &str = "encoders.lock";

/// The file's content.
#[derive(Debug)]
pub(super) struct Locks {
    path: PathBuf,
    file: File,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    locked: Vec<Locked>,
}

/// What was learned of one repository at one revision of the catalogue.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Locked {
    repository: String,
    /// What the catalogue names.
    revision: String,
    /// The commit, where the catalogue names a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    /// The hash of each file that the catalogue does not pin.
    #[serde(default)]
    files: BTreeMap<String, ContentHash>,
}

impl Locks {
    /// Reads the file of a cache; there is none before the first thing is learned.
    pub(super) fn read(cache: &Path) -> Result<Self, Error> {
        let path = cache.join(NAME);
        let file = match fs_err::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| Error::Lock {
                path: path.clone(),
                reason: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { path, file })
    }

    fn of(&self, hub: &Hub) -> Option<&Locked> {
        let mut locked = self.file.locked.iter();
        locked.find(|locked| locked.repository == hub.repository && locked.revision == hub.revision)
    }

    /// The commit at which the catalogue's branch stood.
    pub(super) fn commit(&self, hub: &Hub) -> Option<&str> {
        self.of(hub)?.commit.as_deref()
    }

    /// The hash that a file had when it was first used.
    pub(super) fn hash(&self, hub: &Hub, path: &str) -> Option<ContentHash> {
        self.of(hub)?.files.get(path).copied()
    }

    /// Remembers where a branch stood.
    pub(super) fn learn_commit(&mut self, hub: &Hub, commit: &str) -> Result<(), Error> {
        self.learn(hub, |locked| locked.commit = Some(commit.to_owned()))
    }

    /// Remembers the hashes of files.
    pub(super) fn learn_files(
        &mut self,
        hub: &Hub,
        files: BTreeMap<String, ContentHash>,
    ) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        self.learn(hub, |locked| locked.files.extend(files))
    }

    fn learn(&mut self, hub: &Hub, change: impl FnOnce(&mut Locked)) -> Result<(), Error> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs_err::create_dir_all(folder)?;
        // Another process may have learned something of another repository.
        let guard = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.with_extension("lock.guard"))?
            .into_file();
        guard.lock()?;
        self.file = Self::read(folder)?.file;
        let place = self.file.locked.iter().position(|locked| {
            locked.repository == hub.repository && locked.revision == hub.revision
        });
        let place = place.unwrap_or_else(|| {
            self.file.locked.push(Locked {
                repository: hub.repository.clone(),
                revision: hub.revision.clone(),
                commit: None,
                files: BTreeMap::new(),
            });
            self.file.locked.len() - 1
        });
        change(&mut self.file.locked[place]);
        let text = toml::to_string_pretty(&self.file).map_err(|error| Error::Lock {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut temporary, text.as_bytes())?;
        temporary.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
