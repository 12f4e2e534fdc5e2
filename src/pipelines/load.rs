//! Where pipeline files are, and which one a name means.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Definition, Error, Fault, read::read};
use crate::config::{
    document::{Document, find as entry, locate},
    suggest,
};

/// The pipelines that come with the program, for a home that has no folder `pipelines/`: with them
/// an empty folder is a home that works. A home that has the folder has exactly what lies there.
const BUILT_IN: [(&str, &str); 3] = [
    (
        "built-in/reddit.toml",
        include_str!("../../pipelines/reddit.toml"),
    ),
    (
        "built-in/reddit_collect.toml",
        include_str!("../../pipelines/reddit_collect.toml"),
    ),
    (
        "built-in/reddit_deletions.toml",
        include_str!("../../pipelines/reddit_deletions.toml"),
    ),
];

/// A pipeline file that has not been read.
#[derive(Clone, Debug)]
pub struct PipelineFile {
    /// How messages name it: relative to the home where it lies there.
    pub shown: PathBuf,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Disk(PathBuf),
    BuiltIn(&'static str),
}

impl PipelineFile {
    /// The file at this path, which messages name so too.
    pub fn at(path: &Path) -> Self {
        Self::named(path, path)
    }

    fn named(path: &Path, shown: &Path) -> Self {
        Self {
            shown: shown.to_owned(),
            place: Place::Disk(path.to_owned()),
        }
    }

    /// When the file was last written and how long it is; `None` for one that comes with the program,
    /// or cannot be asked.
    pub fn stamp(&self) -> Option<(SystemTime, u64)> {
        let Place::Disk(path) = &self.place else {
            return None;
        };
        let about = fs_err::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    }

    fn bytes(&self) -> Result<Cow<'static, [u8]>, Error> {
        Ok(match &self.place {
            Place::Disk(path) => Cow::Owned(fs_err::read(path)?),
            Place::BuiltIn(text) => Cow::Borrowed(text.as_bytes()),
        })
    }

    /// The name that the file gives itself, else its own.
    pub fn name(&self) -> String {
        self.bytes()
            .ok()
            .and_then(|bytes| {
                let (document, _) = Document::parse(std::str::from_utf8(&bytes).ok()?);
                let name = entry(&document.root, "name")?.value.as_text()?;
                (!name.is_empty()).then(|| name.to_owned())
            })
            .unwrap_or_else(|| self.stem())
    }

    fn stem(&self) -> String {
        self.shown
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    }
}

/// The pipeline files of a home, in alphabetical order; those that come with the program where it
/// has no `pipelines/`.
///
/// # Errors
///
/// Where the folder is there and cannot be read.
pub fn files(home: &Path) -> Result<Vec<PipelineFile>, Error> {
    let folder = home.join("pipelines");
    if !folder.is_dir() {
        let built_in = |&(shown, text): &(&str, &'static str)| PipelineFile {
            shown: shown.into(),
            place: Place::BuiltIn(text),
        };
        return Ok(BUILT_IN.iter().map(built_in).collect());
    }
    let mut files = Vec::new();
    for file in fs_err::read_dir(&folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end == "toml") && path.is_file() {
            let shown = path.strip_prefix(home).unwrap_or(&path);
            files.push(PipelineFile::named(&path, shown));
        }
    }
    files.sort_by(|a, b| a.shown.cmp(&b.shown));
    Ok(files)
}

/// Reads a pipeline file.
///
/// # Errors
///
/// Everything that is wrong with the file by itself; [`check`](super::check()) knows the operators
/// too.
pub fn load(file: &PipelineFile) -> Result<Definition, Error> {
    let (definition, faults) = load_all(file)?;
    if faults.is_empty() {
        Ok(definition)
    } else {
        Err(Error::Faulty(faults))
    }
}

/// Reads a pipeline file as far as it can be read.
pub(super) fn load_all(file: &PipelineFile) -> Result<(Definition, Vec<Fault>), Error> {
    let bytes = file.bytes()?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(read(&file.shown, text)),
        Err(error) => {
            let valid = error.valid_up_to();
            let text = String::from_utf8_lossy(&bytes[..valid]).into_owned();
            let (line, column) = locate(&text, valid);
            let fault = Fault {
                file: file.shown.clone(),
                line,
                column,
                message: "the file is not UTF-8 text".to_owned(),
                hint: None,
            };
            Ok((read(&file.shown, &text).0, vec![fault]))
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
    let names: Vec<String> = files.iter().map(PipelineFile::name).collect();
    let by_name = names.iter().position(|known| known == name);
    let by_stem = || files.iter().position(|file| file.stem() == name);
    if let Some(at) = by_name.or_else(by_stem) {
        return load(&files[at]);
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|end| end == "toml") && path.is_file() {
        return load(&PipelineFile::at(path));
    }
    let hint = if names.is_empty() {
        let folder = home.join("pipelines");
        format!("there is no pipeline file in `{}`", folder.display())
    } else {
        suggest::hint(name, names.iter().map(String::as_str))
    };
    Err(Error::Unknown {
        name: name.to_owned(),
        hint,
    })
}
