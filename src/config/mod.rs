//! Settings: read once, from `trendmill.toml` in the home and from the environment.
//!
//! A setting `key` of `[section]` is given by the file, or by `TRENDMILL_SECTION__KEY`, which
//! wins; names with single underscores only, such as `TRENDMILL_HOME`, are no settings. The
//! variables of the Hugging Face hub (`HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`) are read here too.
//! Unknown keys are refused. Nothing else in the crate reads the environment.

pub mod document;
pub mod duration;
pub mod size;
pub mod suggest;

mod captioner;
mod encoders;
mod engine;
mod layers;
mod log;
mod media;
mod net;
mod notify;
mod predict;
mod reader;
mod arctic;
mod reddit;
mod server;
mod retention;
mod setting;

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

pub use self::arctic::Arctic;
pub use self::captioner::{Captioner, OpenAi, ServerAddress};
pub use self::encoders::Encoders;
pub use self::engine::{DISK_RESERVE, Engine, ExecutorMode};
pub use self::layers::Origin;
pub use self::log::{Log, LogFormat};
pub use self::media::{Media, MediaSize};
pub use self::net::Net;
pub use self::notify::{NoticeKind, Notify};
pub use self::predict::Predict;
pub use self::reddit::{Reddit, Transport};
pub use self::retention::{RawKept, Retention};
pub use self::server::Server;
pub use self::setting::Secret;
pub use self::size::Size;

use self::reader::Reader;

/// The file in the home that holds settings.
pub const FILE: &str = "trendmill.toml";

/// Every setting.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[engine]`: how much runs at once.
    pub engine: Engine,
    /// `[encoders]`: where models run and where their weights come from.
    pub encoders: Encoders,
    /// `[captioner]`: what describes images.
    pub captioner: Captioner,
    /// `[net]`: how other machines are asked.
    pub net: Net,
    /// `[media]`: what images are taken.
    pub media: Media,
    /// `[reddit]`: who asks Reddit.
    pub reddit: Reddit,
    /// `[arctic]`: the archive that is searched without an account.
    pub arctic: Arctic,
    /// `[server]`: where the daemon listens and whom it answers.
    pub server: Server,
    /// `[predict]`: the process that predicts for callers of the daemon.
    pub predict: Predict,
    /// `[notify]`: what people are told, and how.
    pub notify: Notify,
    /// `[retention]`: what is kept, and for how long.
    pub retention: Retention,
    /// `[log]`: what is told while things run.
    pub log: Log,
    entries: Vec<Entry>,
}

/// A setting as `config show` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its name: `section.key`.
    pub key: String,
    /// Its value; `null` where it is not set, asterisks where it is a secret.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
    /// A hash of a secret that was given, by which a change of it is seen.
    #[serde(skip)]
    seal: Option<[u8; 32]>,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and cannot be read; the error names it.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// Settings that are wrong; everything that was found.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Problem>),
}

/// A setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}{}", Hint(.hint.as_deref()))]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What is allowed.
    pub hint: Option<String>,
}

/// A hint on a line of its own, where there is one.
struct Hint<'a>(Option<&'a str>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

impl Settings {
    /// Reads the settings of a home: its `trendmill.toml`, where there is one, and `environment`
    /// (the process's own variables).
    ///
    /// # Errors
    ///
    /// Every unknown key and wrong value, with its place and what is allowed.
    pub fn load(
        home: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let path = home.join(FILE);
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        Self::from_layers(&text, environment).map_err(Error::Wrong)
    }

    /// Reads settings from a file's text and from an environment.
    ///
    /// # Errors
    ///
    /// As [`Settings::load`].
    pub fn from_layers(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(layers::read(Path::new(FILE), text, environment));
        let mut settings = Self {
            engine: Engine::read(&mut reader),
            encoders: Encoders::read(&mut reader),
            captioner: Captioner::read(&mut reader),
            net: Net::read(&mut reader),
            media: Media::read(&mut reader),
            reddit: Reddit::read(&mut reader),
            arctic: Arctic::read(&mut reader),
            server: Server::read(&mut reader),
            predict: Predict::read(&mut reader),
            notify: Notify::read(&mut reader),
            retention: Retention::read(&mut reader),
            log: Log::read(&mut reader),
            entries: Vec::new(),
        };
        settings.entries = reader.finish()?;
        Ok(settings)
    }

    /// The keys that one of both alone has, or that have another value; secrets included.
    pub fn changed_since(&self, old: &Self) -> BTreeSet<String> {
        let entries = |settings: &Self| -> BTreeSet<(String, String, Option<[u8; 32]>)> {
            let entries = settings.entries.iter();
            entries
                .map(|entry| (entry.key.clone(), entry.value.to_string(), entry.seal))
                .collect()
        };
        entries(old)
            .symmetric_difference(&entries(self))
            .map(|(key, ..)| key.clone())
            .collect()
    }

    /// Every setting with its value and where it comes from, by section; secrets are masked.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Default for Settings {
    /// The settings of a home without a file, in an empty environment.
    fn default() -> Self {
        Self::from_layers("", []).expect("every default is allowed")
    }
}

/// A folder as a default: one of the user's own, else one below the working directory.
fn folder_or(found: Option<PathBuf>, otherwise: &str) -> PathBuf {
    found.unwrap_or_else(|| PathBuf::from(otherwise))
}

#[cfg(test)]
mod tests;
