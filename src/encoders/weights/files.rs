//! Pinned files on the disk: found, hashed, put in place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Error, catalogue::PinnedFile};
use crate::corpus::ContentHash;

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

/// The pinned files under `folder`; `None` where one is not there.
pub(super) fn in_folder(
    folder: &Path,
    files: &[PinnedFile],
) -> Result<Option<BTreeMap<String, PathBuf>>, Error> {
    let places: BTreeMap<String, PathBuf> = files
        .iter()
        .map(|file| (file.path.clone(), folder.join(&file.path)))
        .collect();
    if places.is_empty() || !places.values().all(|place| place.is_file()) {
        return Ok(None);
    }
    for file in files {
        verify(&places[&file.path], file.sha256)?;
    }
    Ok(Some(places))
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
