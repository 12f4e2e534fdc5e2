//! What can be wrong with a template or an expression, and where.

use std::fmt;

use crate::config::document;

/// What is wrong with a template or an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What sort of fault it is.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// What is allowed, or what was probably meant.
    pub hint: Option<String>,
    /// Where, within the text of the template or expression.
    pub position: Position,
}

/// What sort of fault an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text cannot be parsed.
    Syntax,
    /// A name that is not known.
    Unknown,
    /// Operands whose types do not go together.
    Type,
    /// A result that is not a number: a division by zero, `log(0)`, an overflow.
    Domain,
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, text: &str, offset: usize, message: String) -> Self {
        let (line, column) = document::locate(text, offset);
        Self {
            kind,
            message,
            hint: None,
            position: Position {
                offset,
                line,
                column,
            },
        }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column, .. } = self.position;
        if line > 1 {
            write!(f, "{} (at line {line}, column {column})", self.message)
        } else {
            write!(f, "{} (at column {column})", self.message)
        }
    }
}

impl std::error::Error for Error {}
