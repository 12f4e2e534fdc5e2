//! Where pipeline files are, and which one a name means.

use std::path::{Path, PathBuf};

use super::{Definition, Error, Fault, read::read};
use crate::config::{
    document::{Document, find as entry},
    suggest,
};

/// The pipeline files of a home, in alphabetical order; none where it has no `pipelines/`.
///
/// # Errors
///
/// Where the folder is there and cannot be read.
pub fn files(home: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = home.join("pipelines");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for file in fs_err::read_dir(&folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a pipeline file. `shown` is how faults name it.
///
/// # Errors
///
/// Everything that is wrong with the file by itself; [`check`](super::check()) knows the operators
/// too.
pub fn load(path: &Path, shown: &Path) -> Result<Definition, Error> {
    let (definition, faults) = load_all(path, shown)?;
    if faults.is_empty() {
        Ok(definition)
    } else {
        Err(Error::Faulty(faults))
    }
}

/// Reads a pipeline file as far as it can be read.
pub(super) fn load_all(path: &Path, shown: &Path) -> Result<(Definition, Vec<Fault>), Error> {
    let bytes = fs_err::read(path)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(read(shown, &text)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            let (line, column) = crate::config::document::locate(&text, valid);
            let fault = Fault {
                file: shown.to_owned(),
                line,
                column,
                message: "the file is not UTF-8 text".to_owned(),
                hint: None,
            };
            Ok((read(shown, &text).0, vec![fault]))
        }
    }
}

/// The pipeline of this name: the file whose `name` it is, else the one that is called so, else
/// the file at this path where the name ends in `.toml`.
///
/// # Errors
///
/// An unknown name with the nearest one and all that there are, or the faults of the file.
pub fn find(home: &Path, name: &str) -> Result<Definition, Error> {
    let files = files(home)?;
    let named: Vec<(String, &PathBuf)> = files.iter().map(|file| (name_of(file), file)).collect();
    let by_name = named.iter().find(|(known, _)| known == name);
    let by_stem = || named.iter().find(|(_, file)| stem(file) == name);
    if let Some((_, file)) = by_name.or_else(by_stem) {
        return load(file, shown(home, file));
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|end| end == "toml") && path.is_file() {
        return load(path, path);
    }
    let hint = if named.is_empty() {
        let folder = home.join("pipelines");
        format!("there is no pipeline file in `{}`", folder.display())
    } else {
        suggest::hint(name, named.iter().map(|(known, _)| known.as_str()))
    };
    Err(Error::Unknown {
        name: name.to_owned(),
        hint,
    })
}

/// The pipeline files of a home with the path by which messages name each: as [`check`] takes
/// them.
///
/// [`check`]: super::check()
///
/// # Errors
///
/// As [`files`].
pub fn named(home: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let pair = |file: PathBuf| {
        let shown = shown(home, &file).to_owned();
        (file, shown)
    };
    Ok(files(home)?.into_iter().map(pair).collect())
}

/// The name that a pipeline file gives itself, else the name of the file.
fn name_of(path: &Path) -> String {
    fs_err::read_to_string(path)
        .ok()
        .and_then(|text| {
            let (document, _) = Document::parse(&text);
            let name = entry(&document.root, "name")?.value.as_text()?;
            (!name.is_empty()).then(|| name.to_owned())
        })
        .unwrap_or_else(|| stem(path))
}

/// A file of a home as messages name it: relative to the home.
pub(super) fn shown<'a>(home: &Path, file: &'a Path) -> &'a Path {
    file.strip_prefix(home).unwrap_or(file)
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}
