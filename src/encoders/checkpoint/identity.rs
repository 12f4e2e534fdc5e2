//! What a checkpoint is, said by its files alone.

use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

use super::files::{self, ends_in};
use crate::{corpus::ContentHash, encoders::Error};

/// What the files end in that say how contents become numbers: settings, vocabularies, merges.
const ENDINGS: [&str; 3] = ["json", "txt", "model"];
/// What weights of modules end in.
const WEIGHTS: [&str; 2] = ["safetensors", "bin"];

/// The files of a checkpoint that decide its numbers.
#[derive(Debug)]
pub(in crate::encoders) struct Identity {
    /// The hash of the weights, of all pieces where there are several.
    pub weights: ContentHash,
    /// The hash of the names and the contents of all other files that may decide a number.
    pub others: ContentHash,
}

impl Identity {
    /// The identity of the checkpoint in a folder.
    ///
    /// Read are the weights, every `.json`, `.txt` and `.model` file of the folder and of the
    /// folders of its modules (`1_Pooling`), and these modules' weights: which of them matter is
    /// known to each architecture alone, and a file too many costs no more than computing vectors
    /// once more.
    pub(in crate::encoders) fn of(directory: &Path) -> Result<Self, Error> {
        Self::with_network(directory, directory)
    }

    /// The same where the network's own files are in `network`, the folder or one of its modules'.
    pub(in crate::encoders) fn with_network(
        directory: &Path,
        network: &Path,
    ) -> Result<Self, Error> {
        if !network.join("config.json").is_file() {
            return Err(Error::Checkpoint {
                path: network.to_owned(),
                reason: "it is no checkpoint: it has no `config.json`".to_owned(),
            });
        }
        let weights = files::hash(&files::file_in(network)?)?;
        let mut found = Vec::new();
        collect(directory, "", &mut found)?;
        found.sort();
        let mut all = String::new();
        for (name, path) in found {
            all.extend([
                name,
                " ".to_owned(),
                hash_of(&path)?.to_string(),
                "\n".to_owned(),
            ]);
        }
        Ok(Self {
            weights,
            others: ContentHash::of(all),
        })
    }
}

/// The files of a folder and of the modules' folders in it, with their names below the first.
fn collect(
    directory: &Path,
    prefix: &str,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), Error> {
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str() else {
            continue;
        };
        let is_module = prefix.is_empty() && name.starts_with(|first: char| first.is_ascii_digit());
        if path.is_dir() && is_module {
            collect(&path, &format!("{name}/"), found)?;
        } else if path.is_file()
            && !name.starts_with('.')
            && (ENDINGS.into_iter().any(|ending| ends_in(&path, ending))
                || !prefix.is_empty() && WEIGHTS.into_iter().any(|ending| ends_in(&path, ending)))
        {
            found.push((format!("{prefix}{name}"), path));
        }
    }
    Ok(())
}

/// What tells whether a file is the one that was read: its place, size, number and times.
type Seen = (PathBuf, u64, u64, [i64; 4]);

fn seen(path: &Path, about: &Metadata) -> Seen {
    // The second time changes also where a copy was given the first time of another file.
    let times = [
        about.mtime(),
        about.mtime_nsec(),
        about.ctime(),
        about.ctime_nsec(),
    ];
    (path.to_owned(), about.len(), about.ino(), times)
}

/// The hash of a file, read once per process as long as it stays as it is.
pub(super) fn hash_of(path: &Path) -> Result<ContentHash, Error> {
    static HASHES: LazyLock<Mutex<HashMap<Seen, ContentHash>>> = LazyLock::new(Mutex::default);
    let hashes = || HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    let path = fs_err::canonicalize(path)?;
    let before = seen(&path, &fs_err::metadata(&path)?);
    if let Some(hash) = hashes().get(&before) {
        return Ok(*hash);
    }
    let hash = ContentHash::of_file(&path)?;
    hashes().insert(before, hash);
    Ok(hash)
}
