//! Which files were searched already: what has not changed is not read again for the same records.
//!
//! A purge beside runs is carried out again until these have ended, each time with the same notes.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A file that was changed so shortly before it was searched may change again without a trace.
const SETTLED: Duration = Duration::from_secs(2);

/// The files that were searched, for which texts.
#[derive(Debug, Default)]
pub struct Looked {
    sought: BTreeSet<Vec<u8>>,
    /// When the search began, by the clock of the disk.
    began: Option<SystemTime>,
    files: HashMap<PathBuf, Seen>,
}

#[derive(Debug)]
struct Seen {
    bytes: u64,
    changed: SystemTime,
    is_left: bool,
}

impl Looked {
    /// Begins another search. Where something is looked for that was not before, all files are
    /// searched again.
    pub(super) fn begin(&mut self, sought: BTreeSet<Vec<u8>>, began: SystemTime) {
        if !sought.is_subset(&self.sought) {
            self.files.clear();
            self.sought = sought;
        }
        self.began = Some(began);
    }

    /// Forgets all: nothing is looked for any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether something is left in a file: found out by `search`, unless it is known.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub(super) fn at(
        &mut self,
        path: &Path,
        search: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let metadata = fs_err::metadata(path)?;
        let (bytes, changed) = (metadata.len(), metadata.modified()?);
        if let Some(seen) = self.files.get(path)
            && (seen.bytes, seen.changed) == (bytes, changed)
        {
            return Ok(seen.is_left);
        }
        let is_left = search()?;
        // As it was before the search: one that was written meanwhile is searched again.
        if self.began.is_some_and(|began| changed + SETTLED < began) {
            let seen = Seen {
                bytes,
                changed,
                is_left,
            };
            self.files.insert(path.to_owned(), seen);
        }
        Ok(is_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_changed_is_searched_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs_err::write(&path, "one").unwrap();
        let changed = fs_err::metadata(&path).unwrap().modified().unwrap();
        let sought = |texts: &[&str]| {
            let texts = texts.iter().map(|text| text.as_bytes().to_vec());
            texts.collect::<BTreeSet<_>>()
        };
        let mut looked = Looked::default();
        let mut searches = 0;
        let mut look = |looked: &mut Looked, texts: &[&str], later: u64| {
            looked.begin(sought(texts), changed + Duration::from_secs(later));
            let before = searches;
            let left = looked.at(&path, || {
                searches += 1;
                Ok(true)
            });
            assert!(left.unwrap());
            searches > before
        };
        assert!(look(&mut looked, &["a", "b"], 0));
        assert!(look(&mut looked, &["a", "b"], 3), "it had just changed");
        assert!(!look(&mut looked, &["a", "b"], 4));
        assert!(!look(&mut looked, &["b"], 4), "less is looked for");
        assert!(look(&mut looked, &["b", "c"], 4), "more is");
        assert!(!look(&mut looked, &["b", "c"], 4));
        fs_err::write(&path, "more").unwrap();
        assert!(look(&mut looked, &["b", "c"], 4));
    }
}
