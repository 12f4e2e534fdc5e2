//! What was copied out of a home: exports, which a purge rewrites, and backups, which it names.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// The journal in the data folder: one JSON object a line.
const FILE: &str = "copies.jsonl";

/// A file outside the databases that holds what they held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Where it was written.
    pub path: PathBuf,
    /// What it is.
    pub kind: CopyKind,
    /// The data set of an export.
    #[serde(default)]
    pub dataset: Option<String>,
}

/// What a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyKind {
    /// Records as JSON lines.
    Jsonl,
    /// Records as comma-separated values.
    Csv,
    /// Records as a table in Parquet.
    Parquet,
    /// A copy of `content.db`.
    Backup,
}

/// Notes a copy; call it before the copy is made.
///
/// # Errors
///
/// Where the disk refuses.
pub fn note_copy(data_dir: &Path, copy: &Copy) -> io::Result<()> {
    if copies(data_dir)?.contains(copy) {
        return Ok(());
    }
    let mut line = serde_json::to_vec(copy)?;
    line.push(b'\n');
    let path = data_dir.join(FILE);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(&line)?;
    file.sync_all()
}

/// The copies that were ever noted. A line that was cut off tells of a copy that was not made.
///
/// # Errors
///
/// Where the journal cannot be read.
pub fn copies(data_dir: &Path) -> io::Result<Vec<Copy>> {
    let text = match fs::read_to_string(data_dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_noted_once() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(copies(home.path()).unwrap(), []);
        let copy = Copy {
            path: "/b/monday.db".into(),
            kind: CopyKind::Backup,
            dataset: None,
        };
        note_copy(home.path(), &copy).unwrap();
        note_copy(home.path(), &copy).unwrap();
        assert_eq!(copies(home.path()).unwrap(), [copy]);
    }
}
