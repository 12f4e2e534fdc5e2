//! Raw settings: what the file and the environment say, before anyone asks what it means.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    Problem,
    document::{Data, Document, Entry},
};

/// Variables of other programs that are settings here.
const FOREIGN: [(&str, &str); 4] = [
    ("HF_HOME", "encoders.hf_home"),
    ("HF_ENDPOINT", "encoders.hf_endpoint"),
    ("HF_TOKEN", "encoders.hf_token"),
    ("HF_HUB_OFFLINE", "encoders.offline"),
];

/// Where a setting's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Nobody has set it.
    Default,
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "environment {name}"),
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// In a file, with its own type.
    Typed(Value),
    /// In the environment, as text.
    Text(String),
}

impl Raw {
    /// What is the same for the same value.
    pub(super) fn hash(&self) -> [u8; 32] {
        let text = match self {
            Self::Typed(Value::String(text)) | Self::Text(text) => text.clone(),
            Self::Typed(value) => value.to_string(),
        };
        Sha256::digest(text).into()
    }
}

/// What was said, by `section.key`.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) values: BTreeMap<String, (Raw, Origin)>,
    pub(super) problems: Vec<Problem>,
    /// Folders of the user, for defaults.
    pub(super) cache: Option<PathBuf>,
}

/// Reads a file's text and the environment; the environment wins.
pub(super) fn read(
    path: &Path,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Layers {
    let mut layers = Layers::default();
    let (document, faults) = Document::parse(text);
    let origin = |offset: usize| Origin::File {
        path: path.to_owned(),
        line: document.locate(offset).0,
    };
    for fault in faults {
        layers.problems.push(Problem {
            origin: origin(fault.offset),
            message: fault.message,
            hint: None,
        });
    }
    if layers.problems.is_empty() {
        flatten("", &document.root, &origin, &mut layers.values);
    }
    let environment: BTreeMap<String, String> = environment
        .into_iter()
        // `NAME=` is how a compose file says that a variable is not set.
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (name, key) in FOREIGN {
        if let Some(value) = environment.get(name) {
            layers.set(key.to_owned(), name, value);
        }
    }
    for (name, value) in &environment {
        if let Some(rest) = name.strip_prefix("TRENDMILL_")
            && rest.contains("__")
        {
            layers.set(rest.to_lowercase().replace("__", "."), name, value);
        }
    }
    let folder = |name: &str| environment.get(name).map(PathBuf::from);
    layers.cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    layers
}

impl Layers {
    fn set(&mut self, key: String, name: &str, value: &str) {
        let origin = Origin::Environment {
            name: name.to_owned(),
        };
        // A list or a table that the file gave in parts is replaced as a whole.
        let below = format!("{key}.");
        self.values.retain(|known, _| !known.starts_with(&below));
        self.values
            .insert(key, (Raw::Text(value.to_owned()), origin));
    }
}

fn flatten(
    prefix: &str,
    table: &[Entry],
    origin: &impl Fn(usize) -> Origin,
    values: &mut BTreeMap<String, (Raw, Origin)>,
) {
    for entry in table {
        let key = format!("{prefix}{}", entry.key);
        if let Data::Table(inner) = &entry.value.data {
            flatten(&format!("{key}."), inner, origin, values);
        } else {
            let raw = Raw::Typed(entry.value.to_json());
            values.insert(key, (raw, origin(entry.key_span.start)));
        }
    }
}
