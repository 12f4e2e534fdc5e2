//! What the columns of a matrix mean.

use serde::{Deserialize, Serialize};

use super::metadata::{Category, Number};
use crate::{corpus::Fingerprint, learning::Error};

/// The name of the block that holds the numbers of the metadata.
pub const METADATA_BLOCK: &str = "numbers";

/// A block of vectors that one encoder makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSchema {
    /// The block's name: `title`, `image`, `caption`, `visual`.
    pub name: String,
    /// The length of its vectors.
    pub width: usize,
    /// The encoder that makes them.
    pub encoder: Fingerprint,
}

/// Which metadata become features, as a pipeline file lists them.
///
/// Names that are not known are refused when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Lists", into = "Lists")]
pub struct MetadataSchema {
    numbers: Vec<Number>,
    categories: Vec<Category>,
}

/// The lists as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default)]
    numbers: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

impl MetadataSchema {
    /// The schema of these names: see [`METADATA_NAMES`](super::METADATA_NAMES) and
    /// [`CATEGORY_NAMES`](super::CATEGORY_NAMES); in both lists `fields.NAME` is a field of the
    /// source.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] for any other name, or one that is listed twice.
    pub fn new<S: AsRef<str>>(numbers: &[S], categories: &[S]) -> Result<Self, Error> {
        let numbers = parse_all(numbers, Number::parse)?;
        let categories = parse_all(categories, Category::parse)?;
        Ok(Self {
            numbers,
            categories,
        })
    }

    /// The numbers that become columns of the block [`METADATA_BLOCK`].
    pub(super) fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    /// The categories.
    pub(super) fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// Whether a number is among them that needs the data set's [`History`](super::History).
    pub fn needs_history(&self) -> bool {
        self.numbers.iter().any(Number::is_history)
    }

    /// Whether a number is among them that is made of labels of earlier records.
    pub fn needs_labels(&self) -> bool {
        self.numbers.iter().any(Number::is_of_labels)
    }

    /// Whether `image_look` is among them.
    pub fn needs_statistics(&self) -> bool {
        self.numbers.contains(&Number::ImageLook)
    }

    /// Whether `repost` is among them.
    pub fn needs_looks(&self) -> bool {
        self.numbers.contains(&Number::Repost)
    }

    /// The pairs of blocks whose similarity is among them.
    pub fn similarities(&self) -> Vec<(&str, &str)> {
        let mut pairs = Vec::new();
        for number in &self.numbers {
            if let Number::Similarity(a, b) = number {
                pairs.push((a.as_str(), b.as_str()));
            }
        }
        pairs
    }

    /// The names of the columns of the block [`METADATA_BLOCK`], in order.
    pub fn columns(&self) -> Vec<String> {
        self.numbers.iter().flat_map(Number::columns).collect()
    }

    /// The names of the categorical columns, in order.
    pub fn category_names(&self) -> Vec<String> {
        self.categories.iter().map(ToString::to_string).collect()
    }
}

impl Default for MetadataSchema {
    /// Everything that any record has, and the community.
    fn default() -> Self {
        Self::new(&super::METADATA_NAMES[..], &["community"]).expect("these names are known")
    }
}

impl TryFrom<Lists> for MetadataSchema {
    type Error = Error;

    fn try_from(lists: Lists) -> Result<Self, Error> {
        Self::new(&lists.numbers, &lists.categories)
    }
}

impl From<MetadataSchema> for Lists {
    fn from(schema: MetadataSchema) -> Self {
        Self {
            numbers: schema.numbers.iter().map(ToString::to_string).collect(),
            categories: schema.category_names(),
        }
    }
}

fn parse_all<T: PartialEq, S: AsRef<str>>(
    names: &[S],
    parse: impl Fn(&str) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        let parsed = parse(name.as_ref())?;
        if all.contains(&parsed) {
            return Err(Error::UnknownName {
                what: "second",
                name: name.as_ref().to_owned(),
                allowed: "each name once".to_owned(),
            });
        }
        all.push(parsed);
    }
    Ok(all)
}

/// When the labels of a [`History`](super::History) count as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistorySchema {
    /// The age at which labels are read, in milliseconds.
    pub horizon: u64,
    /// How much later a label may be read, in milliseconds; then it counts as known.
    pub tolerance: u64,
}

/// Everything that says what the columns of a matrix mean.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSchema {
    /// The blocks of vectors, in order.
    pub blocks: Vec<BlockSchema>,
    /// The numbers and categories that come from the record itself.
    #[serde(default)]
    pub metadata: MetadataSchema,
    /// The labels of the history; `None` where no number needs it, or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistorySchema>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let text = r#"{"numbers":["hour","fields.subscribers"],"categories":["community","fields.flair"]}"#;
        let schema: MetadataSchema = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&schema).unwrap(), text);
        assert!(schema.columns().contains(&"subscribers".to_owned()));
        let schema = FeatureSchema::default();
        let text = serde_json::to_string(&schema).unwrap();
        assert_eq!(
            serde_json::from_str::<FeatureSchema>(&text).unwrap(),
            schema
        );
    }

    #[test]
    fn unknown_names_are_told_with_the_known_ones() {
        let error = MetadataSchema::new(&["hours"], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`hours`") && error.contains("weekday"),
            "{error}"
        );
        let error = MetadataSchema::new(&[], &["subreddit"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("community"), "{error}");
        assert!(MetadataSchema::new(&["hour", "hour"], &[]).is_err());
        assert!(MetadataSchema::new(&["fields."], &[]).is_err());
    }
}
