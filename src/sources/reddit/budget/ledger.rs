//! Where the budget of a client id lies: a file that processes share, or memory.
//!
//! Every change reads the file, changes it and puts a new one in its place, under a lock that ends
//! with its process. A call is booked before it leaves, and the new file is on the disk by then: who
//! dies in between has asked for one call less than is written.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::{account::Budget, breaker::Breaker, sheet::Mishap};
use crate::sources::Error;

/// The form of the file. A newer one is not read.
const VERSION: u32 = 1;

/// How many mishaps are remembered.
const MISHAPS: usize = 10;

/// Everything that is known of a client id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Book {
    version: u32,
    pub(super) budget: Budget,
    /// By host.
    pub(super) breakers: BTreeMap<String, Breaker>,
    /// The latest last.
    pub(super) mishaps: Vec<Mishap>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            version: VERSION,
            budget: Budget::default(),
            breakers: BTreeMap::new(),
            mishaps: Vec::new(),
        }
    }
}

impl Book {
    pub(super) fn breaker(&mut self, host: &str) -> &mut Breaker {
        self.breakers.entry(host.to_owned()).or_default()
    }

    pub(super) fn note(&mut self, mishap: Mishap) {
        let over = (self.mishaps.len() + 1).saturating_sub(MISHAPS);
        self.mishaps.drain(..over);
        self.mishaps.push(mishap);
    }
}

/// The place of a budget.
#[derive(Clone, Debug)]
pub struct Ledger(Place);

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<Mutex<Book>>),
    File(PathBuf),
}

impl Ledger {
    /// A budget of this process alone, which is gone with it: of a simulated server.
    pub fn in_memory() -> Self {
        Self(Place::Memory(Arc::default()))
    }

    /// The budget of `client_id` among those in `folder`. The id itself is not in the name.
    pub fn in_folder(folder: &Path, client_id: &str) -> Self {
        let hash = Sha256::digest(client_id.as_bytes());
        let short = hash
            .iter()
            .take(8)
            .fold(0_u64, |short, byte| short << 8 | u64::from(*byte));
        Self(Place::File(folder.join(format!("{short:016x}.json"))))
    }

    /// Changes the book, as the only one who does at this time.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<T, Error> {
        match &self.0 {
            Place::Memory(book) => Ok(change(
                &mut book.lock().unwrap_or_else(PoisonError::into_inner),
            )),
            Place::File(path) => {
                let path = path.clone();
                spawn_blocking(move || change_file(&path, change))
                    .await
                    .map_err(unusable)?
            }
        }
    }

    /// The book as it is; an empty one where nothing was asked yet.
    pub(super) fn read(&self) -> Result<Book, Error> {
        match &self.0 {
            Place::Memory(book) => Ok(book.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            Place::File(path) => read(path),
        }
    }
}

fn change_file<T>(path: &Path, change: impl FnOnce(&mut Book) -> T) -> Result<T, Error> {
    let failed = |error: io::Error| unusable(error);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder).map_err(failed)?;
    let lock = lock(&path.with_extension("lock")).map_err(failed)?;
    let mut book = read(path)?;
    let old = book.clone();
    let answer = change(&mut book);
    if book != old {
        replace(path, folder, &book).map_err(failed)?;
    }
    drop(lock);
    Ok(answer)
}

fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    // Others hold it for milliseconds.
    file.file().lock()?;
    Ok(file)
}

fn read(path: &Path) -> Result<Book, Error> {
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(unusable(error)),
    };
    let book: Book = serde_json::from_slice(&text).map_err(|error| {
        unusable(format!(
            "`{}` is no budget of this release ({error}); where no other release is at work, wait \
             ten minutes and delete it",
            path.display()
        ))
    })?;
    if book.version > VERSION {
        return Err(unusable(format!(
            "`{}` was written by a newer release; use that one",
            path.display()
        )));
    }
    Ok(book)
}

fn replace(path: &Path, folder: &Path, book: &Book) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".budget")
        .tempfile_in(folder)?;
    serde_json::to_writer(&mut file, book)?;
    file.flush()?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn unusable(why: impl fmt::Display) -> Error {
    Error::Unfit(format!("the budget of calls cannot be kept: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_at_once_lose_no_change() {
        let folder = tempfile::tempdir().unwrap();
        // Each has its own handle, as processes have.
        let changes = (0..40).map(|_| {
            let ledger = Ledger::in_folder(folder.path(), "me");
            async move {
                ledger
                    .change(|book| book.breaker("host").failures += 1)
                    .await
                    .unwrap();
            }
        });
        futures::future::join_all(changes).await;
        let book = Ledger::in_folder(folder.path(), "me").read().unwrap();
        assert_eq!(book.breakers["host"].failures, 40);
        let other = Ledger::in_folder(folder.path(), "you").read().unwrap();
        assert_eq!(other, Book::default(), "another id has another budget");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_folder(folder.path(), "me");
        let Place::File(path) = &ledger.0 else {
            panic!("a file is wanted");
        };
        fs_err::write(path, "{").unwrap();
        let error = ledger.change(|_| ()).await.unwrap_err().to_string();
        assert!(error.contains("delete it"), "{error}");
        assert_eq!(fs_err::read_to_string(path).unwrap(), "{");
        let mut newer = serde_json::to_value(Book::default()).unwrap();
        newer["version"] = 2.into();
        fs_err::write(path, newer.to_string()).unwrap();
        let error = ledger.read().unwrap_err().to_string();
        assert!(error.contains("newer release"), "{error}");
    }
}
