//! Files of runs, logs, exports and backups: what of them is about purged records goes, and what
//! cannot be taken out of a file is named.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
};

use super::{
    documents::{self, Ids},
    needles::Needles,
};
use crate::{
    artifacts::{self, CopyKind},
    store::{NotedPurge, family},
};

/// What became of the files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FilesPurged {
    /// Matrices that were written again without the rows.
    pub matrices: u64,
    /// Other files of runs.
    pub files: u64,
    /// Lines of logs that were dropped.
    pub log_lines: u64,
    /// Exports that were written again.
    pub exports: Vec<PathBuf>,
    /// Files that name a purged record still.
    pub left: Vec<PathBuf>,
}

/// What is looked for in the files of a home.
#[derive(Debug)]
pub(super) struct Search {
    /// The home's folder.
    pub home: PathBuf,
    /// The data set of each run that has read one.
    pub datasets: BTreeMap<String, String>,
    /// Whether nobody else is at work, so that half-written files are nobody's.
    pub alone: bool,
    ids: HashMap<String, Ids>,
    needles: Needles,
}

impl Search {
    pub(super) fn new(
        home: PathBuf,
        datasets: BTreeMap<String, String>,
        alone: bool,
        noted: &[NotedPurge],
    ) -> Self {
        let mut ids: HashMap<String, Ids> = HashMap::new();
        for purge in noted {
            let family = family(&purge.key.dataset).to_owned();
            ids.entry(family).or_default().insert(purge.key.id.clone());
        }
        Self {
            home,
            datasets,
            alone,
            ids,
            needles: Needles::of(noted),
        }
    }

    /// Whether a sentence names a purged record.
    pub(super) fn names(&self, text: &str) -> bool {
        self.needles.are_in(text.as_bytes())
    }

    /// The purged ids of a data set.
    pub(super) fn ids_of(&self, dataset: &str) -> Option<&Ids> {
        self.ids.get(family(dataset))
    }

    /// Takes purged records out of all files of the home. A file that goes meanwhile is no fault.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub(super) fn purge(&self) -> io::Result<FilesPurged> {
        let mut done = FilesPurged::default();
        let data = self.home.join("data");
        if self.alone {
            remove_half_written(&data)?;
        }
        for run in entries(&data.join("runs"))? {
            let name = run.file_name().unwrap_or_default().to_string_lossy();
            // A run that is not known any more may have read any of them.
            let ids: Vec<&Ids> = match self.datasets.get(name.as_ref()) {
                Some(dataset) => self.ids_of(dataset).into_iter().collect(),
                None => self.ids.values().collect(),
            };
            for file in files_below(&run)? {
                for ids in &ids {
                    gone_is_fine(run_file(&file, ids, &mut done))?;
                }
                gone_is_fine(self.look(&file, &mut done))?;
            }
        }
        for log in files_below(&data.join("logs"))? {
            let names = |line: &[u8]| self.needles.are_in(line);
            let lines = if self.alone {
                documents::rewrite_lines(&log, names)
            } else {
                documents::blank_lines(&log, names)
            };
            done.log_lines += gone_is_fine(lines)?.unwrap_or(0);
        }
        for folder in ["data/backups", "data/budgets", "model_registry"] {
            for file in files_below(&self.home.join(folder))? {
                gone_is_fine(self.look(&file, &mut done))?;
            }
        }
        for copy in artifacts::copies(&data)? {
            let ids = copy.dataset.as_deref().and_then(|of| self.ids_of(of));
            if let Some(ids) = ids {
                gone_is_fine(self.export(&copy.path, copy.kind, ids, &mut done))?;
            }
        }
        Ok(done)
    }

    fn export(
        &self,
        path: &Path,
        kind: CopyKind,
        ids: &Ids,
        done: &mut FilesPurged,
    ) -> io::Result<()> {
        let dropped = match kind {
            CopyKind::Jsonl => documents::rewrite_lines(path, documents::is_line_of(ids))?,
            CopyKind::Csv => documents::rewrite_csv(path, ids)?,
            CopyKind::Parquet => {
                let dropped = artifacts::drop_parquet_rows(path, |id| ids.contains(id));
                match dropped {
                    // It is not what was exported, and nobody can tell what is in it.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        done.left.push(path.to_owned());
                        return Ok(());
                    }
                    dropped => dropped?,
                }
            }
            CopyKind::Backup => return Ok(()),
        };
        if dropped > 0 {
            done.exports.push(path.to_owned());
        }
        self.look(path, done)
    }

    /// Names a file that has a purged record in it still.
    fn look(&self, path: &Path, done: &mut FilesPurged) -> io::Result<()> {
        if self.needles.are_in_file(path)? {
            done.left.push(path.to_owned());
        }
        Ok(())
    }
}

/// Takes the rows of purged records from a file of a run.
fn run_file(path: &Path, ids: &Ids, done: &mut FilesPurged) -> io::Result<()> {
    let rewritten = match extension(path) {
        "json" => documents::rewrite_json(path, ids)?,
        "jsonl" => documents::rewrite_lines(path, documents::is_line_of(ids))?,
        "safetensors" => {
            done.matrices += u64::from(rewrite_matrix(path, ids)?);
            0
        }
        _ => 0,
    };
    done.files += u64::from(rewritten > 0);
    Ok(())
}

/// Removes the files that processes have left behind which died while they wrote them.
fn remove_half_written(data: &Path) -> io::Result<()> {
    let scratch = files_below(&data.join("media/tmp"))?;
    let others = files_below(&data.join("runs"))?;
    let others = others.into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".tmp")
    });
    for path in scratch.into_iter().chain(others) {
        gone_is_fine(fs_err::remove_file(&path))?;
    }
    Ok(())
}

/// Writes a matrix again without the rows of purged records; whether it had any.
fn rewrite_matrix(path: &Path, ids: &Ids) -> io::Result<bool> {
    let rows = match artifacts::read_matrix_rows(path) {
        // Weights have the same ending.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
        rows => rows?,
    };
    if !rows.iter().any(|row| ids.contains(&row.id)) {
        return Ok(false);
    }
    let matrix = artifacts::read_matrix_of(path, |row| !ids.contains(&row.id))?;
    artifacts::write_matrix(path, &matrix)?;
    Ok(true)
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("")
}

/// What was done with a file; none where it went meanwhile.
fn gone_is_fine<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let found = match fs_err::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found?,
    };
    let mut entries: Vec<PathBuf> = found
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    Ok(entries)
}

/// All files below a folder.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    Ok(files)
}
