//! What can be wrong with a pipeline.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::config::document::Document;

/// Something wrong in a pipeline file, with its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file, as it was named or relative to the home.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What is allowed, or what was probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "{file}:{}:{}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Why a pipeline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no pipeline of this name.
    #[error("unknown pipeline `{name}`")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The nearest name, and all that there are.
        hint: String,
    },
    /// The file is wrong; everything that was found.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faulty(Vec<Fault>),
    /// An argument of the run is wrong.
    #[error("{message}")]
    Argument {
        /// What is wrong.
        message: String,
        /// What is allowed.
        hint: Option<String>,
    },
    /// A file or folder cannot be read; the error names it.
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl Error {
    /// What is allowed, or what was probably meant. Faults carry theirs in their own text.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unknown { hint, .. } => Some(hint),
            Self::Argument { hint, .. } => hint.as_deref(),
            Self::Faulty(_) | Self::Read(_) => None,
        }
    }
}

/// Collects the faults of one file.
#[derive(Debug)]
pub(super) struct Faults<'a> {
    file: &'a Path,
    document: &'a Document,
    list: Vec<Fault>,
}

impl<'a> Faults<'a> {
    pub(super) const fn new(file: &'a Path, document: &'a Document) -> Self {
        Self {
            file,
            document,
            list: Vec::new(),
        }
    }

    /// Adds a fault at a byte of the file, once.
    pub(super) fn add(&mut self, offset: usize, message: impl Into<String>, hint: Option<String>) {
        let (line, column) = self.document.locate(offset);
        let fault = Fault {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
            hint,
        };
        if !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All faults, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        self.list.sort_by_key(|fault| (fault.line, fault.column));
        self.list
    }
}
