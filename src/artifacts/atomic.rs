//! Writing so that a crash leaves the old state or the new one: temp, fsync, rename, fsync.

use std::{
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use fs_err as fs;
use serde::Serialize;
use tempfile::NamedTempFile;

/// Writes `bytes` to `path` durably; a crash leaves the old file or the new one.
///
/// Missing folders are made.
///
/// # Errors
///
/// Where the disk refuses; then an older file is untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomic_with(path, |file| file.as_file_mut().write_all(bytes))
}

/// Like [`write_atomic`], with the contents that `fill` writes into a temporary file.
///
/// # Errors
///
/// Where the disk or `fill` refuses; then an older file is untouched.
pub(super) fn write_atomic_with<T>(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> io::Result<T>,
) -> io::Result<T> {
    let mut file = begin(path)?;
    let filled = fill(&mut file)?;
    commit(file, path)?;
    Ok(filled)
}

/// Like [`write_atomic`], with the contents that `fill` writes into a temporary file in `waiting`, a
/// folder on the same disk: who lists the file's own folder never sees it half written.
///
/// # Errors
///
/// Where the disk or `fill` refuses; then an older file is untouched.
pub fn write_apart(
    waiting: &Path,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = begin_in(waiting)?;
    fill(file.as_file_mut())?;
    make_folder(parent_of(path))?;
    commit(file, path)
}

/// Removes the file or the folder at `path` in one step, through `waiting`, a folder on the same disk.
///
/// # Errors
///
/// Where there is nothing, or the disk refuses.
pub fn remove_apart(waiting: &Path, path: &Path) -> io::Result<()> {
    make_folder(waiting)?;
    let gone = tempfile::tempdir_in(waiting)?;
    fs::rename(path, gone.path().join("gone"))?;
    sync_directory(parent_of(path))?;
    gone.close()
}

/// A temporary file that is to become the one at `path`.
pub(super) fn begin(path: &Path) -> io::Result<NamedTempFile> {
    begin_in(parent_of(path))
}

/// A temporary file in a folder, which is made where it is missing.
fn begin_in(folder: &Path) -> io::Result<NamedTempFile> {
    make_folder(folder)?;
    tempfile::Builder::new()
        // A temporary file is its owner's alone; this one becomes what its folder's others are.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
}

/// Makes a file that was begun the one at `path`, durably.
pub(super) fn commit(file: NamedTempFile, path: &Path) -> io::Result<()> {
    fail::fail_point!("file.written");
    file.as_file().sync_all()?;
    fail::fail_point!("file.synced");
    file.persist(path).map_err(|error| error.error)?;
    fail::fail_point!("file.renamed");
    sync_directory(parent_of(path))
}

/// Writes `value` as indented JSON, like [`write_atomic`].
///
/// # Errors
///
/// Where the disk refuses or the value has no JSON form.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Makes a folder with these files appear at `path` as a whole: the files are written and synced
/// under a temporary name beside it, then the folder is renamed.
///
/// # Errors
///
/// Where the disk refuses, or `path` is there already; then nothing is left behind.
pub fn publish_directory(path: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    let parent = parent_of(path);
    make_folder(parent)?;
    if path.exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("`{}` is there already", path.display()),
        ));
    }
    let folder = tempfile::Builder::new()
        .prefix(".publishing-")
        .tempdir_in(parent)?;
    for (name, bytes) in files {
        let mut file = fs::File::create(folder.path().join(name))?;
        file.write_all(bytes)?;
        fail::fail_point!("folder.written");
        file.sync_all()?;
    }
    sync_directory(folder.path())?;
    fail::fail_point!("folder.synced");
    fs::rename(folder.path(), path)?;
    fail::fail_point!("folder.renamed");
    // The folder has another name now; there is nothing left to clean up.
    let _renamed = folder.keep();
    readable_by_all(path)?;
    sync_directory(parent)
}

/// The folder in which `path` lies; the working directory for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Removes a folder that is there, with all it holds; one that is not there is fine.
///
/// # Errors
///
/// Where the disk refuses.
pub fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Temporary folders are private; a published one is like any other.
fn readable_by_all(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}

/// Makes a folder, with those above it, so that its name is durable too.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent_of(folder);
    make_folder(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(above)
}

/// Makes the names in a folder durable.
fn sync_directory(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_file_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b.json");
        write_atomic(&path, b"old").unwrap();
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1,\n  2\n]\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_written_and_removed_apart_is_whole_or_not_there() {
        let home = tempfile::tempdir().unwrap();
        let (waiting, path) = (home.path().join("waiting"), home.path().join("run/a/b"));
        write_apart(&waiting, &path, |file| file.write_all(b"old")).unwrap();
        let broken = write_apart(&waiting, &path, |file| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::UnexpectedEof.into())
        });
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        remove_apart(&waiting, &home.path().join("run")).unwrap();
        assert!(!home.path().join("run").exists());
        let again = remove_apart(&waiting, &path).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(&waiting).unwrap().count(), 0);
    }

    #[test]
    fn publishes_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("model/1");
        publish_directory(&path, &[("weights", b"w"), ("manifest", b"{}")]).unwrap();
        assert_eq!(fs::read(path.join("weights")).unwrap(), b"w");
        let error = publish_directory(&path, &[("weights", b"other")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(path.join("weights")).unwrap(), b"w");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        remove_directory(&path).unwrap();
        remove_directory(&path).unwrap();
    }
}
