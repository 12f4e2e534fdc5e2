//! The files of runs that others log: `data/logged/<run>/…`, each whole or not there.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::artifacts;

/// Where files wait that are on their way in or out; no run has such an id.
const WAITING: &str = ".waiting";

/// The files of all logged runs of a home.
#[derive(Clone, Debug)]
pub struct LoggedFiles {
    folder: PathBuf,
}

impl LoggedFiles {
    /// Those below the home's data folder.
    pub fn of(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join("logged"),
        }
    }

    /// The folder that holds those of the runs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a run; it is there when the run has files.
    pub fn run(&self, run_id: &str) -> PathBuf {
        self.folder.join(run_id)
    }

    /// Writes the file at `path`, which lies in the folder of a run, with what `fill` gives; an older
    /// one is replaced.
    ///
    /// # Errors
    ///
    /// `NotADirectory` or `IsADirectory` where a file is where a folder is needed or the other way
    /// round, else where the disk or `fill` refuses; then an older file is untouched.
    pub fn write(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.check(path)?;
        artifacts::write_apart(&self.folder.join(WAITING), path, fill)
    }

    /// Removes a file, or a folder with all it holds, in one step.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none, else where the disk refuses.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        artifacts::remove_apart(&self.folder.join(WAITING), path)
    }

    /// Removes what a death left on its way in or out. Nobody may write meanwhile.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub fn sweep(&self) -> io::Result<()> {
        artifacts::remove_directory(&self.folder.join(WAITING))
    }

    /// Whether a file can come to lie there; a link leads nowhere.
    ///
    /// # Errors
    ///
    /// `NotADirectory` or `IsADirectory` where it cannot.
    pub fn check(&self, path: &Path) -> io::Result<()> {
        let found = |path: &Path| fs::symlink_metadata(path).ok();
        let is_run = path.parent() == Some(&self.folder);
        if is_run || found(path).is_some_and(|facts| !facts.is_file()) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let above = path.ancestors().skip(1);
        for folder in above.take_while(|folder| folder.starts_with(&self.folder)) {
            if found(folder).is_some_and(|facts| !facts.is_dir()) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_written_through_a_file_a_link_or_over_a_folder() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = LoggedFiles::of(home.path());
        let run = files.run("r");
        let write = |path: &str| {
            let done = files.write(&run.join(path), |file| file.write_all(b"x"));
            done.map_err(|error| error.kind())
        };
        assert_eq!(write(""), Err(io::ErrorKind::IsADirectory));
        write("a/b").unwrap();
        std::os::unix::fs::symlink(other.path(), run.join("link")).unwrap();
        assert_eq!(write("a"), Err(io::ErrorKind::IsADirectory));
        assert_eq!(write("a/b/c"), Err(io::ErrorKind::NotADirectory));
        assert_eq!(write("link/c"), Err(io::ErrorKind::NotADirectory));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
        fs::write(home.path().join("logged").join(WAITING).join("left"), b"h").unwrap();
        files.sweep().unwrap();
        assert_eq!(fs::read(run.join("a/b")).unwrap(), b"x");
        assert_eq!(fs::read_dir(home.path().join("logged")).unwrap().count(), 1);
    }
}
