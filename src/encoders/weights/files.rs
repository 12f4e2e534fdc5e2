//! Pinned files on the disk: found, hashed, put in place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Error, Origin, WeightsSettings,
    catalogue::{Hub, PinnedFile},
    hub,
    lock::Locks,
};
use crate::corpus::ContentHash;

/// An encoder's files on this machine, with the hashes that the catalogue pins.
#[derive(Clone, Debug)]
pub struct Located {
    /// How they were found.
    pub origin: Origin,
    /// Those whose hash was learned just now, since the catalogue pins none.
    pub learned: Vec<String>,
    pub(super) files: BTreeMap<String, PathBuf>,
}

impl Located {
    /// These files and others.
    pub(super) fn with(mut self, others: Self) -> Self {
        self.learned.extend(others.learned);
        self.files.extend(others.files);
        self
    }

    /// Where the file lies that the catalogue calls `path`.
    pub fn file(&self, path: &str) -> &Path {
        self.files
            .get(path)
            .expect("the catalogue lists the files that its architectures read")
    }

    /// The files: the catalogue's path and where it lies.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files
            .iter()
            .map(|(path, place)| (path.as_str(), place.as_path()))
    }
}

/// An error where `path` has another hash than `expected`.
pub(super) fn verify(path: &Path, expected: ContentHash) -> Result<(), Error> {
    let found = ContentHash::of_file(path)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::Mismatch {
        path: path.to_owned(),
        expected,
        found,
    })
}

/// The files under `folder`; `None` where one is not there.
fn places(folder: &Path, files: &[PinnedFile]) -> Option<BTreeMap<String, PathBuf>> {
    let places: BTreeMap<String, PathBuf> = files
        .iter()
        .map(|file| (file.path.clone(), folder.join(&file.path)))
        .collect();
    let are_there = !places.is_empty() && places.values().all(|place| place.is_file());
    are_there.then_some(places)
}

/// The pinned files under `folder`; `None` where one is not there.
pub(super) fn in_folder(
    folder: &Path,
    files: &[PinnedFile],
) -> Result<Option<BTreeMap<String, PathBuf>>, Error> {
    let Some(places) = places(folder, files) else {
        return Ok(None);
    };
    for file in files {
        let Some(expected) = file.sha256 else {
            // Only the hub says what a file is that the catalogue does not pin.
            return Ok(None);
        };
        verify(&places[&file.path], expected)?;
    }
    Ok(Some(places))
}

/// The files in the hub's cache; `None` where one is not there. What nobody pins is learned.
pub(super) fn in_snapshot(
    of: &Hub,
    commit: &str,
    pinned: &[PinnedFile],
    settings: &WeightsSettings,
    locks: &mut Locks,
) -> Result<Option<Located>, Error> {
    let Some(places) = places(&hub::snapshot(of, commit, settings), pinned) else {
        return Ok(None);
    };
    let mut learned = BTreeMap::new();
    for file in pinned {
        let place = &places[&file.path];
        match file.expected(of, locks) {
            Some(expected) => verify(place, expected)?,
            None => {
                learned.insert(file.path.clone(), ContentHash::of_file(place)?);
            }
        }
    }
    let names = learned.keys().cloned().collect();
    locks.learn_files(of, learned)?;
    Ok(Some(Located {
        origin: Origin::HubCache,
        learned: names,
        files: places,
    }))
}

/// Moves a whole verified folder to `target`; where another process was faster, its work stands.
pub(super) fn publish(folder: tempfile::TempDir, target: &Path) -> std::io::Result<()> {
    let folder = folder.keep();
    match fs_err::rename(&folder, target) {
        Ok(()) => Ok(()),
        Err(error) => {
            fs_err::remove_dir_all(&folder)?;
            if target.is_dir() { Ok(()) } else { Err(error) }
        }
    }
}
