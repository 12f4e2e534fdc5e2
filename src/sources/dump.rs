//! Dumps of posts: one JSON object a line, compressed with zstd or plain.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fs_err as fs;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::{
    Due, Error, Page, ScrapeRequest, ScrapeSummary, Source, SourceTraits,
    pager::{self, Pager},
    reddit::post::{ParsedPost, parse_post},
};
use crate::{clock::Timestamp, corpus::Observation};

/// The longest line that is read as a post; the longest real ones have some hundred kilobytes.
const LONGEST_LINE: usize = 16 << 20;
/// The public dumps are written with `--long=31`, which other readers refuse.
const WINDOW_LOG_MAX: u32 = 31;
/// How many line numbers a warning names.
const LINES: usize = 5;

const ALLOWED: &str = "`.zst`, `.ndjson` or `.jsonl`";

/// A dump, or a folder of dumps that are read in the order of their names.
///
/// Every line is accounted for: it is sent as a record, or counted with a reason. A post that
/// comes again with a reading that is not earlier is sent again, to replace the first, and is
/// counted under `duplicate` too; so the distinct records and the counts add up to the lines.
/// Empty lines are no lines. Memory holds one line, one page, the window of the decoder (up to
/// 2 GiB, as the file was written) and some 40 bytes for each post that was kept.
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

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let path = self.path.display();
        if !self.path.is_dir() {
            return if is_dump(&self.path) {
                Ok(vec![self.path.clone()])
            } else {
                Err(Error::Wrong(format!(
                    "`{path}` is no dump by its name, which must end in {ALLOWED}"
                )))
            };
        }
        let entries = fs::read_dir(&self.path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|error| Error::Broken {
            message: format!("`{path}` cannot be listed"),
            source: Some(Box::new(error)),
        })?;
        let mut files: Vec<_> = entries
            .iter()
            .map(fs::DirEntry::path)
            .filter(|path| path.is_file() && is_dump(path))
            .collect();
        if files.is_empty() {
            return Err(Error::Wrong(format!(
                "no file in `{path}` is a dump, by a name that ends in {ALLOWED}"
            )));
        }
        files.sort();
        Ok(files)
    }
}

fn is_dump(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ["zst", "ndjson", "jsonl"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(ending))
    })
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
        }
    }

    fn scrape(
        &self,
        request: ScrapeRequest,
        pages: mpsc::Sender<Page>,
    ) -> BoxFuture<'_, Result<ScrapeSummary, Error>> {
        let source = self.clone();
        let work = move || {
            let mut reading = Reading {
                pager: Pager::new(request, pages),
                seen: HashMap::new(),
            };
            source
                .files()?
                .iter()
                .try_for_each(|file| reading.file(file))
        };
        Box::pin(async move {
            pager::on_thread(work).await?;
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

/// A walk through the files.
struct Reading {
    pager: Pager,
    /// When the score of each kept post was read, by [`short`] id.
    seen: HashMap<u64, Option<Timestamp>>,
}

impl Reading {
    /// Reads a file to its end, or to where it breaks; what came before is sent either way.
    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let broken = |error: io::Error| Error::Broken {
            message: format!("`{}` cannot be opened", path.display()),
            source: Some(Box::new(error)),
        };
        let (file, read) = Counted::open(path).map_err(broken)?;
        let mut lines = match path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("zst") => {
                let mut decoder = zstd::Decoder::new(file).map_err(broken)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
                Lines::new(Box::new(decoder))
            }
            _ => Lines::new(Box::new(file)),
        };
        let mut malformed = Vec::new();
        let mut bad_lines = 0_u64;
        let kept_before = self.pager.kept;
        let mut counted = 0;
        let end = loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let parsed = match line {
                Line::Whole(text) => parse_post(text).map_err(|reason| reason.to_string()),
                Line::TooLong => Err("malformed_line".to_owned()),
            };
            match parsed {
                Ok(post) => self.post(post)?,
                Err(reason) => {
                    if reason == "malformed_line" {
                        bad_lines += 1;
                        if malformed.len() < LINES {
                            malformed.push(lines.number);
                        }
                    }
                    self.pager.drop_rows(&reason, 1)?;
                }
            }
            let now = read.load(Ordering::Relaxed);
            self.pager.add_bytes(now - counted);
            counted = now;
        };
        self.pager.add_bytes(read.load(Ordering::Relaxed) - counted);
        if bad_lines > 0 {
            tracing::warn!(
                file = %path.display(),
                lines = bad_lines,
                first = ?malformed,
                "lines that are no JSON objects are dropped"
            );
        }
        self.pager.send()?;
        end.map_err(|error| Error::Broken {
            message: format!(
                "`{}` {} after line {}: the {} posts kept before stand; get the file anew, or \
                 check it with `zstd --long=31 -t`, and run again",
                path.display(),
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    "is cut off"
                } else {
                    "cannot be decoded"
                },
                lines.number,
                self.pager.kept - kept_before,
            ),
            source: Some(Box::new(error)),
        })
    }

    fn post(&mut self, post: ParsedPost) -> Result<(), Error> {
        let ParsedPost {
            record,
            observation,
        } = post;
        if let Some(reason) = self.pager.unwanted(&record) {
            return self.pager.drop_rows(reason, 1);
        }
        let read_at = observation.observed_at;
        let before = self.seen.get(&short(&record.id)).copied();
        if before.is_some() {
            self.pager.drop_rows("duplicate", 1)?;
        }
        if let (Some(Some(before)), Some(now)) = (before, read_at)
            && now < before
        {
            return Ok(());
        }
        self.seen.insert(short(&record.id), read_at);
        self.pager.keep(record, Some(observation))
    }
}

/// A number that stands for an id: the id itself where it is one of Reddit's, else a hash with
/// the highest bit set.
fn short(id: &str) -> u64 {
    let is_number = (1..=12).contains(&id.len())
        && !id.starts_with('0')
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    match u64::from_str_radix(id, 36) {
        Ok(number) if is_number => number,
        _ => {
            let mut hasher = DefaultHasher::new();
            id.hash(&mut hasher);
            hasher.finish() | 1 << 63
        }
    }
}

/// A file that counts what is read of it.
struct Counted {
    file: fs::File,
    read: Arc<AtomicU64>,
}

impl Counted {
    fn open(path: &Path) -> io::Result<(Self, Arc<AtomicU64>)> {
        let read = Arc::new(AtomicU64::new(0));
        let file = Self {
            file: fs::File::open(path)?,
            read: Arc::clone(&read),
        };
        Ok((file, read))
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A line without its end.
enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
}

/// The lines of a text of any length, in bounded memory.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    /// The number of the last line, from 1.
    number: u64,
}

impl Lines {
    fn new(input: Box<dyn Read>) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 20, input),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line that is not empty; `None` at the end. The last line needs no end of its own.
    fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let most = LONGEST_LINE as u64 + 1;
            let length = (&mut self.input)
                .take(most)
                .read_until(b'\n', &mut self.line)?;
            if length == 0 {
                return Ok(None);
            }
            let is_ended = self.line.ends_with(b"\n");
            if !is_ended && length as u64 == most {
                self.input.skip_until(b'\n')?;
                self.number += 1;
                return Ok(Some(Line::TooLong));
            }
            self.number += 1;
            if self.number == 1 && self.line.starts_with("\u{feff}".as_bytes()) {
                self.line.drain(.."\u{feff}".len());
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(Line::Whole(self.line.trim_ascii())));
            }
        }
    }
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
