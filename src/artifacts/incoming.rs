//! Files that come in piece by piece, of a size that nobody has told.

use std::{
    io::{self, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

use super::atomic::{begin, commit, make_folder, parent_of};

/// A file that is being received; when this is dropped, nothing is left of it.
#[derive(Debug)]
pub struct Incoming {
    file: NamedTempFile,
}

impl Incoming {
    /// Begins a file that waits in `folder` until it is whole; it has to lie on the disk on which the
    /// file is to end.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        let file = begin(&folder.join("file"))?;
        Ok(Self { file })
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)
    }

    /// Makes it the file at `path`, durably, in place of one that is there; missing folders are made.
    ///
    /// # Errors
    ///
    /// Where the disk refuses, or a file stands where a folder is needed; then an older file is
    /// untouched.
    pub fn finish(self, path: &Path) -> io::Result<()> {
        make_folder(parent_of(path))?;
        commit(self.file, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_when_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let (waiting, path) = (home.path().join("waiting"), home.path().join("a/b/c.txt"));
        let all = || fs_err::read_dir(&waiting).unwrap().count();
        for text in ["first", "and again"] {
            let mut incoming = Incoming::begin(&waiting).unwrap();
            let before = fs_err::read_to_string(&path).ok();
            for piece in text.as_bytes().chunks(3) {
                incoming.add(piece).unwrap();
                assert_eq!(fs_err::read_to_string(&path).ok(), before);
            }
            incoming.finish(&path).unwrap();
            assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
        }
        let mut left = Incoming::begin(&waiting).unwrap();
        left.add(b"half").unwrap();
        assert_eq!(all(), 1);
        drop(left);
        assert_eq!(all(), 0);
        let below_a_file = Incoming::begin(&waiting).unwrap();
        assert!(below_a_file.finish(&path.join("d")).is_err());
        assert_eq!(all(), 0);
    }
}
