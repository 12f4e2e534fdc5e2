//! Dumps of posts: one JSON object a line or row, compressed with zstd or plain; or Parquet.

#[cfg(test)]
mod fuzzed;
mod identity;
mod judged;
mod parquet;
mod pieces;
mod seen;
mod threads;
mod walk;
mod wanted;

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use self::{pieces::Format, walk::Walk};
use super::{
    Due, Error, Page, Readings, ScrapeRequest, ScrapeSummary, Source, SourceTraits,
    pager::{self, Pager},
};
use crate::clock::Timestamp;

const ALLOWED: &str = "`.zst`, `.zst_blocks`, `.ndjson`, `.jsonl` or `.parquet`";

/// A dump, or a folder of dumps that are read in the order of their names.
///
/// Every line is accounted for: it is sent as a record, or counted with a reason. A post that
/// comes again with a reading that is not earlier is sent again, to replace the first, and is
/// counted under `duplicate` too; so the distinct records and the counts add up to the lines, as
/// far as a post comes again before 900,000 others were kept. Empty lines are no lines. Where
/// only some communities are asked for, the lines of others are counted without being read: what
/// is wrong with them is not seen.
///
/// Each page tells up to where its file was read. A request that says so is answered with what
/// is new: files that were not there, and what was added to those that were. A file that was
/// replaced is read again. Posts that are too young for the request are left for one that is
/// later. A file of a folder that is not whole yet is read as far as it goes, and named; hidden
/// files are not read.
///
/// Memory holds some pages and pieces of the files, the posts kept lately, and the window of the
/// decoder (up to 2 GiB, as the file was written).
#[derive(Clone, Debug)]
pub struct DumpSource {
    path: PathBuf,
    dataset: String,
}

impl DumpSource {
    /// The dump at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Wrong`] where there is none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let found = fs::canonicalize(path).map_err(|_| {
            Error::Wrong(format!("there is no file or folder `{}`", path.display()))
        })?;
        let dataset = format!("dump:{}", found.display());
        let source = Self {
            path: found,
            dataset,
        };
        source.files()?;
        Ok(source)
    }

    fn files(&self) -> Result<Vec<(PathBuf, Format)>, Error> {
        let path = self.path.display();
        if !self.path.is_dir() {
            return match Format::of(&self.path) {
                Some(format) => Ok(vec![(self.path.clone(), format)]),
                None => Err(Error::Wrong(format!(
                    "`{path}` is no dump by its name, which must end in {ALLOWED}"
                ))),
            };
        }
        let entries = fs::read_dir(&self.path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| Error::Broken {
            message: format!("`{path}` cannot be listed"),
            source: Some(Box::new(error)),
        })?;
        let mut files: Vec<_> = entries
            .iter()
            .filter(|entry| !is_hidden(entry))
            .map(fs::DirEntry::path)
            .filter(|path| path.is_file())
            .filter_map(|path| Format::of(&path).map(|format| (path, format)))
            .collect();
        if files.is_empty() {
            return Err(Error::Wrong(format!(
                "no file in `{path}` is a dump, by a name that ends in {ALLOWED}"
            )));
        }
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(files)
    }
}

impl Source for DumpSource {
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
            let files = source.files()?;
            let mut walk = Walk::new(request.clone(), Pager::new(request, pages));
            let is_watched = source.path.is_dir();
            let (mut broken, mut unfinished) = (Vec::new(), Vec::new());
            for (path, format) in files {
                match walk.file(&path, format) {
                    Ok(()) => {}
                    // Somebody may be writing it still.
                    Err(error) if is_watched && is_cut_off(&error) => {
                        tracing::warn!("{error}");
                        unfinished.push(path);
                    }
                    // The files behind a broken one are read all the same.
                    Err(error @ Error::Broken { .. }) => broken.push(error),
                    Err(error) => return Err(error),
                }
            }
            all_of(broken).map_or(Ok(unfinished), Err)
        };
        Box::pin(async move {
            Ok(ScrapeSummary {
                unfinished: pager::on_thread(work).await?,
                ..ScrapeSummary::default()
            })
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

/// Whether a file of a folder is not meant to be seen: what a download or a file manager keeps there.
fn is_hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// Whether a file ends before it is whole, or has gone since the folder was listed.
fn is_cut_off(error: &Error) -> bool {
    let Error::Broken {
        source: Some(source),
        ..
    } = error
    else {
        return false;
    };
    let kind = source.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(
        kind,
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
    )
}

/// One error for all files that are broken; none where none is.
fn all_of(mut broken: Vec<Error>) -> Option<Error> {
    let last = broken.pop()?;
    if broken.is_empty() {
        return Some(last);
    }
    broken.push(last);
    let messages: Vec<String> = broken.iter().map(ToString::to_string).collect();
    Some(Error::Broken {
        message: format!("{} files are broken: {}", broken.len(), messages.join("; ")),
        source: None,
    })
}

#[cfg(test)]
mod dump_tests;
#[cfg(test)]
mod parquet_tests;
#[cfg(test)]
mod resume_tests;
