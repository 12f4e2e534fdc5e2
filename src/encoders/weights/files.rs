//! Pinned files on the disk: found, hashed, put in place.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Error, catalogue::PinnedFile};
use crate::corpus::ContentHash;

/// The SHA-256 of a file.
pub fn hash_file(path: &Path) -> std::io::Result<ContentHash> {
    let mut file = fs_err::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
    }
    Ok(ContentHash::from_bytes(&digest.finalize()).expect("a SHA-256 has 32 bytes"))
}

/// An error where `path` has another hash than `expected`.
pub(super) fn verify(path: &Path, expected: ContentHash) -> Result<(), Error> {
    let found = hash_file(path)?;
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
