//! Files of runs, logs, exports and backups: what of them is about purged records goes, and what
//! cannot be taken out of a file is named.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use super::{
    documents::{self, Ids},
    gone::Gone,
    looked::Looked,
    needles::Needles,
};
use crate::{
    artifacts::{self, CopyKind},
    corpus::Row,
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
    /// The data sets of each run that has read some.
    pub datasets: BTreeMap<String, BTreeSet<String>>,
    /// Whether nobody else is at work, so that half-written files are nobody's.
    pub alone: bool,
    sought: HashMap<String, Sought>,
}

/// What is looked for of a family of data sets.
#[derive(Debug, Default)]
struct Sought {
    gone: Gone,
    /// In what others have said and written.
    needles: Needles,
    /// In lists of other records.
    names: Needles,
}

impl Search {
    /// # Errors
    ///
    /// Where the home's folders cannot be read.
    pub(super) fn new(
        home: PathBuf,
        datasets: BTreeMap<String, BTreeSet<String>>,
        alone: bool,
        noted: &[NotedPurge],
    ) -> io::Result<Self> {
        let used = names_in_use(&home)?;
        let mut by_family: HashMap<&str, Vec<&NotedPurge>> = HashMap::new();
        for purge in noted {
            let family = family(&purge.key.dataset);
            by_family.entry(family).or_default().push(purge);
        }
        let sought = by_family.into_iter().map(|(family, noted)| {
            let all = || noted.iter().copied();
            let sought = Sought {
                gone: Gone::of(all()),
                needles: Needles::of(all(), &used),
                names: Needles::of_names(all(), &used),
            };
            (family.to_owned(), sought)
        });
        Ok(Self {
            sought: sought.collect(),
            home,
            datasets,
            alone,
        })
    }

    /// Whether a sentence names a purged record.
    pub(super) fn names(&self, text: &str) -> bool {
        let mut all = self.sought.values();
        all.any(|sought| sought.needles.are_in(text.as_bytes()))
    }

    /// How many of the texts by which records are found are common words.
    pub(super) fn common(&self) -> u64 {
        let common = self.sought.values().map(|sought| sought.needles.common());
        common.sum()
    }

    /// The purged ids of a data set.
    pub(super) fn ids_of(&self, dataset: &str) -> Option<&Ids> {
        let sought = self.sought.get(family(dataset));
        sought.map(|sought| &sought.gone.ids)
    }

    /// Takes purged records out of all files of the home. A file that goes meanwhile is no fault.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub(super) fn purge(&self, looked: &mut Looked) -> io::Result<FilesPurged> {
        let mut done = FilesPurged::default();
        let data = self.home.join("data");
        if self.alone {
            remove_half_written(&self.home)?;
        }
        for run in entries(&data.join("runs"))? {
            let sought = self.sought_in(&run);
            for file in files_below(&run)? {
                look(looked, &file, &mut done, |done| {
                    for sought in &sought {
                        gone_is_fine(run_file(&file, &sought.gone, done))?;
                    }
                    any_in_file(&sought, &file)
                })?;
            }
        }
        for logs in entries(&data.join("logs"))? {
            let sought = self.sought_in(&logs);
            let names = |line: &[u8]| sought.iter().any(|sought| sought.needles.are_in(line));
            for log in files_below(&logs)? {
                look(looked, &log, &mut done, |done| {
                    let lines = if self.alone {
                        documents::rewrite_lines(&log, documents::drop_where(names))
                    } else {
                        documents::blank_lines(&log, names)
                    };
                    done.log_lines += lines?;
                    Ok(false)
                })?;
            }
        }
        let everything: Vec<&Sought> = self.sought.values().collect();
        for folder in [
            "data/backups",
            "data/budgets",
            "model_registry",
            "pipelines",
        ] {
            for file in files_below(&self.home.join(folder))? {
                look(looked, &file, &mut done, |_| {
                    any_in_file(&everything, &file)
                })?;
            }
        }
        for copy in artifacts::copies(&data)? {
            let of = copy.dataset.as_deref().map(family);
            let Some(sought) = of.and_then(|of| self.sought.get(of)) else {
                continue;
            };
            look(looked, &copy.path, &mut done, |done| {
                export(&copy.path, copy.kind, sought, done)
            })?;
        }
        Ok(done)
    }

    /// What may be in a folder of a run. A run that is not known any more may have read any of it.
    fn sought_in(&self, folder: &Path) -> Vec<&Sought> {
        let run = folder.file_name().unwrap_or_default().to_string_lossy();
        match self.datasets.get(run.as_ref()) {
            Some(datasets) => {
                let families: BTreeSet<&str> = datasets.iter().map(|name| family(name)).collect();
                let sought = families.into_iter().filter_map(|of| self.sought.get(of));
                sought.collect()
            }
            None => self.sought.values().collect(),
        }
    }

    /// What is looked for, each text with the family it belongs to.
    pub(super) fn texts(&self) -> BTreeSet<Vec<u8>> {
        let texts = self.sought.iter().flat_map(|(family, sought)| {
            let of_family = |text: &[u8]| [family.as_bytes(), &[0], text].concat();
            sought.needles.texts().map(of_family).collect::<Vec<_>>()
        });
        texts.collect()
    }
}

/// Searches a file, unless that was done as it is; names it where something is left in it.
fn look(
    looked: &mut Looked,
    path: &Path,
    done: &mut FilesPurged,
    search: impl FnOnce(&mut FilesPurged) -> io::Result<bool>,
) -> io::Result<()> {
    let is_left = gone_is_fine(looked.at(path, || search(done)))?;
    if is_left == Some(true) {
        done.left.push(path.to_owned());
    }
    Ok(())
}

fn any_in_file(sought: &[&Sought], path: &Path) -> io::Result<bool> {
    for sought in sought {
        if sought.needles.are_in_file(path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The columns of a table that name a record or a person.
const PARQUET_NAMES: [&str; 3] = ["id", "author", "fields.author_fullname"];

/// Takes purged records out of an export; whether it names one still.
fn export(
    path: &Path,
    kind: CopyKind,
    sought: &Sought,
    done: &mut FilesPurged,
) -> io::Result<bool> {
    let gone = &sought.gone;
    let changed = match kind {
        CopyKind::Jsonl => documents::rewrite_lines(path, |line| gone.line(line))?,
        CopyKind::Csv => documents::rewrite_csv(path, gone)?,
        CopyKind::Parquet => {
            let is_gone = |column: &str, text: &str| match column {
                "id" => gone.ids.contains(text),
                _ => gone.is_person(text),
            };
            let dropped = artifacts::drop_parquet_rows(path, &PARQUET_NAMES, is_gone);
            match dropped {
                // It is not what was exported, and nobody can tell what is in it.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(true),
                dropped => dropped?,
            }
        }
        CopyKind::Backup => return Ok(false),
    };
    if changed > 0 {
        done.exports.push(path.to_owned());
    }
    sought.names.are_in_file(path)
}

/// Names of tasks, pipelines and models: where one stands, no author of the same name is meant.
fn names_in_use(home: &Path) -> io::Result<HashSet<String>> {
    let mut files = Vec::new();
    for folder in ["data/logs", "data/runs"] {
        files.extend(files_below(&home.join(folder))?);
    }
    files.extend(entries(&home.join("pipelines"))?);
    files.extend(entries(&home.join("model_registry"))?);
    let names = files.iter().filter_map(|path| {
        // `scrape.1.log`
        let name = path.file_name()?.to_str()?.split('.').next()?;
        Some(name.to_owned())
    });
    Ok(names.collect())
}

/// Takes the rows of purged records from a file of a run.
fn run_file(path: &Path, gone: &Gone, done: &mut FilesPurged) -> io::Result<()> {
    let ids = &gone.ids;
    let rewritten = match extension(path) {
        "json" => documents::rewrite_json(path, ids)?,
        "jsonl" => {
            documents::rewrite_lines(path, documents::drop_where(documents::is_line_of(ids)))?
        }
        "safetensors" => {
            done.matrices += u64::from(rewrite_matrix(path, gone)?);
            0
        }
        _ => 0,
    };
    done.files += u64::from(rewritten > 0);
    Ok(())
}

/// Removes the files that processes have left behind which died while they wrote them.
fn remove_half_written(home: &Path) -> io::Result<()> {
    let mut left = files_below(&home.join("data/media/tmp"))?;
    let mut others = entries(&home.join("data"))?;
    for folder in ["data/runs", "data/logs", "data/backups", "model_registry"] {
        others.extend(files_below(&home.join(folder))?);
    }
    left.extend(others.into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".tmp") && path.is_file()
    }));
    for path in left {
        gone_is_fine(fs_err::remove_file(&path))?;
    }
    Ok(())
}

/// Writes a matrix again without the rows of purged records, and without who is forgotten; whether it
/// had any.
fn rewrite_matrix(path: &Path, gone: &Gone) -> io::Result<bool> {
    let rows = match artifacts::read_matrix_rows(path) {
        // Weights have the same ending.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
        rows => rows?,
    };
    let is_by = |row: &Row| {
        row.author
            .as_deref()
            .is_some_and(|name| gone.is_person(name))
    };
    if !rows
        .iter()
        .any(|row| gone.ids.contains(&row.id) || is_by(row))
    {
        return Ok(false);
    }
    let mut matrix = artifacts::read_matrix_of(path, |row| !gone.ids.contains(&row.id))?;
    for row in matrix.rows.iter_mut().filter(|row| is_by(row)) {
        row.author = None;
    }
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
