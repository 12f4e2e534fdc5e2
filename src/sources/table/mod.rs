//! Tables as a source: GeoJSON, JSON lines or CSV, with a folder of images.
//!
//! A table is read as a whole: a folder's files are one table with one row per id, in which the
//! last row of the files in the order of their names wins.

mod convert;
mod options;
mod rows;
mod time;

use std::path::{Path, PathBuf};

use fs_err as fs;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use self::{convert::Converter, rows::Format};
pub use self::{
    convert::Loaded,
    options::{ScoreColumn, TableSpec},
};
use super::{
    Due, Error, ImageIndex, Page, Readings, ScrapeRequest, ScrapeSummary, Source, SourceTraits,
    pager::Pager,
};
use crate::{clock::Timestamp, corpus::Record};

/// A table, or a folder of tables, as a source.
#[derive(Clone, Debug)]
pub struct TableSource {
    spec: TableSpec,
    dataset: String,
}

impl TableSource {
    /// The table of `spec`, whose paths are relative to the working directory.
    ///
    /// # Errors
    ///
    /// [`Error::Wrong`] where the table or its folder of images is not there.
    pub fn open(spec: TableSpec) -> Result<Self, Error> {
        let missing = |what: &str, path: &Path| {
            Error::Wrong(format!("there is no {what} `{}`", path.display()))
        };
        let path =
            fs::canonicalize(&spec.path).map_err(|_| missing("file or folder", &spec.path))?;
        let images = match &spec.images {
            None => None,
            Some(folder) => match fs::canonicalize(folder) {
                Ok(folder) if folder.is_dir() => Some(folder),
                _ => return Err(missing("folder of images", folder)),
            },
        };
        // A file that is no table by its name is found before a run begins.
        files(&path)?;
        let spec = TableSpec {
            path,
            images,
            ..spec
        };
        // The same file with other columns is another data set: a score that was read at another
        // age must not become the label of a row without one.
        let dataset = TableSpec {
            order: None,
            ..spec.clone()
        };
        Ok(Self {
            dataset: format!("table:{dataset}"),
            spec,
        })
    }

    /// The options, with absolute paths.
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// Reads the whole table; it blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Wrong`] where an option names a column that is not there or nothing in the folder
    /// is a table, [`Error::Broken`] where a file cannot be read.
    pub fn load(&self) -> Result<Loaded, Error> {
        let images = match &self.spec.images {
            None => None,
            Some(folder) => Some(ImageIndex::read(folder).map_err(|error| Error::Broken {
                message: format!("the images in `{}` cannot be listed", folder.display()),
                source: Some(Box::new(error)),
            })?),
        };
        let files = files(&self.spec.path)?;
        read_all(Converter::new(&self.spec, images.as_ref()), &files)
    }

    /// Every row that can be read, also those without an id or a title and those whose id comes
    /// twice: somebody wants an answer for each.
    ///
    /// # Errors
    ///
    /// As [`TableSource::load`], and [`Error::Wrong`] where no row can be read.
    pub fn every_row(&self) -> Result<Vec<Record>, Error> {
        let files = files(&self.spec.path)?;
        let converter = Converter::new(&self.spec, None).keeping_every_row();
        let loaded = read_all(converter, &files)?;
        records_of(loaded, &self.spec.path)
    }
}

/// One table of several files.
fn read_all<'a>(
    mut converter: Converter<'a>,
    files: &'a [(PathBuf, Format)],
) -> Result<Loaded, Error> {
    for (path, format) in files {
        converter.enter(path.parent().unwrap_or(Path::new("")));
        let bytes = rows::read_file(path, *format, &mut converter)?;
        converter.leave(path, bytes);
    }
    converter.finish()
}

/// As [`TableSource::every_row`] for a text that is no file, in the format that it looks like.
/// Relative paths in it begin in `folder`.
///
/// # Errors
///
/// As there.
pub fn every_row_of(text: &[u8], folder: &Path) -> Result<Vec<Record>, Error> {
    let spec = TableSpec::new(folder.join("standard input"));
    let mut converter = Converter::new(&spec, None).keeping_every_row();
    converter.enter(folder);
    rows::read(&spec.path, text, Format::sniff(text), &mut converter)?;
    converter.leave(&spec.path, 0);
    records_of(converter.finish()?, &spec.path)
}

/// The records of rows of which each counts; tells of those that cannot be read.
fn records_of(loaded: Loaded, name: &Path) -> Result<Vec<Record>, Error> {
    for (reason, rows) in &loaded.dropped {
        tracing::warn!(reason, rows, "rows of the input cannot be read");
    }
    if loaded.records.is_empty() {
        return Err(Error::Wrong(format!(
            "`{}` has no row that can be read",
            name.display()
        )));
    }
    let records = loaded.records.into_iter().map(|(record, _)| record);
    Ok(records.collect())
}

/// The files of a table, in the order of their names.
fn files(path: &Path) -> Result<Vec<(PathBuf, Format)>, Error> {
    const ALLOWED: &str = "`.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.geojson` or `.json`";
    if !path.is_dir() {
        return match Format::of(path) {
            Some(format) => Ok(vec![(path.to_owned(), format)]),
            None => Err(Error::Wrong(format!(
                "`{}` is no table by its name, which must end in {ALLOWED}",
                path.display()
            ))),
        };
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| Error::Broken {
            message: format!("`{}` cannot be listed", folder.display()),
            source: Some(Box::new(error)),
        })?;
        for entry in entries {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(format) = Format::of(&path) {
                files.push((path, format));
            }
        }
    }
    if files.is_empty() {
        return Err(Error::Wrong(format!(
            "no file in `{}` is a table, by a name that ends in {ALLOWED}",
            path.display()
        )));
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}

impl Source for TableSource {
    fn dataset(&self) -> &str {
        &self.dataset
    }

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            observes: false,
            by_community: false,
            live: false,
            replays: false,
            by_permission: false,
        }
    }

    fn scrape(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'_, Result<ScrapeSummary, Error>> {
        let source = self.clone();
        let work = move || {
            let mut pager = Pager::new(request, pages);
            let loaded = source.load()?;
            pager.add_bytes(loaded.bytes, loaded.bytes);
            for (reason, rows) in &loaded.dropped {
                pager.drop_rows(reason, *rows)?;
            }
            for (record, reading) in loaded.records {
                match pager.unwanted(&record) {
                    Some(reason) => pager.drop_rows(reason, 1)?,
                    None => pager.keep(record, reading)?,
                }
            }
            pager.send()
        };
        Box::pin(async move {
            super::pager::on_thread(work).await?;
            Ok(ScrapeSummary::default())
        })
    }

    fn observe<'a>(
        &'a self,
        _due: &'a [Due],
        _as_of: Timestamp,
    ) -> BoxFuture<'a, Result<Readings, Error>> {
        Box::pin(async { Ok(Readings::default()) })
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
