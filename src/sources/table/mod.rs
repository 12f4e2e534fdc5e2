//! Tables as a source: GeoJSON, JSON lines or CSV, with a folder of images.
//!
//! A table is read as a whole: a folder's files are one table with one row per id, in which the
//! last row of the files in the order of their names wins.

mod convert;
mod options;
mod rows;
mod time;

use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

use fs_err as fs;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use self::convert::Converter;
pub use self::{
    convert::Loaded,
    options::{ScoreColumn, TableSpec},
    rows::Format,
};
use super::{
    Due, Error, ImageIndex, Page, ScrapeRequest, ScrapeSummary, Source, SourceTraits, pager::Pager,
};
use crate::{clock::Timestamp, corpus::Observation};

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
        let mut dataset = format!("table:{}", path.display());
        if let Some(id) = &spec.id {
            // Other ids are another data set.
            dataset.push_str(",id=");
            dataset.push_str(id);
        }
        let spec = TableSpec {
            path,
            images,
            ..spec
        };
        Ok(Self { spec, dataset })
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
        let mut converter = Converter::new(&self.spec, images.as_ref());
        for (path, format) in &files {
            converter.enter(path.parent().unwrap_or(Path::new("")));
            let bytes = rows::read_file(path, *format, &mut converter)?;
            converter.leave(path, bytes);
        }
        converter.finish()
    }
}

/// Reads a table from `input`, whose relative paths start in the folder of `spec.path`.
///
/// # Errors
///
/// As [`TableSource::load`].
pub fn load_from(input: impl BufRead, format: Format, spec: &TableSpec) -> Result<Loaded, Error> {
    let mut converter = Converter::new(spec, None);
    converter.enter(spec.path.parent().unwrap_or(Path::new("")));
    rows::read(&spec.path, input, format, &mut converter)?;
    converter.leave(&spec.path, 0);
    converter.finish()
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
            pager.add_bytes(loaded.bytes);
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
    ) -> BoxFuture<'a, Result<Vec<Observation>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
