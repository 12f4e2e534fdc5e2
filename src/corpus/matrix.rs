//! The feature matrix: records × features, with ids, targets and the names of its columns.

use serde::{Deserialize, Serialize};

use super::LabelAge;
use crate::clock::Timestamp;

/// Records × features, in the order of creation time and id.
///
/// It holds the raw values: what is fitted (means, scales, vocabularies) belongs to the head and
/// is fitted on the training rows only.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FeatureMatrix {
    /// One entry per row: who it is and what is to be learned.
    pub rows: Vec<Row>,
    /// Dense blocks of numbers (`title`, `image`, `numbers`, …), each with all rows.
    pub blocks: Vec<Block>,
    /// Categorical columns (`community`, …): the name and one value per row.
    pub categories: Vec<(String, Vec<Option<String>>)>,
}

/// Who one row of a [`FeatureMatrix`] is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The record's id.
    pub id: String,
    /// When the record was published.
    pub created_at: Option<Timestamp>,
    /// The community, for metrics within communities and for baselines.
    pub community: Option<String>,
    /// The author, for splits by group.
    pub author: Option<String>,
    /// The value of the source's `order` expression, where rows have no time.
    pub order: Option<f64>,
    /// The classes that the record belongs to, where these are to be learned; otherwise none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// What is to be learned; `None` where the label is not mature.
    pub label: Option<Label>,
}

/// What is to be learned of one record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The target on the training scale: the value of the target expression; where that gives
    /// classes, how many they are.
    pub target: f64,
    /// The reading's age.
    pub age: LabelAge,
}

/// A dense block of features: `rows × columns`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The block's name: `title`, `image`, `caption`, `visual`, `numbers`.
    pub name: String,
    /// The columns' names; empty for a vector, whose columns have none.
    pub columns: Vec<String>,
    /// The number of columns.
    pub width: usize,
    /// The values, row-major; a row that is absent holds zeros.
    pub values: Vec<f32>,
    /// Whether each row has this block; a missing modality is masked, not dropped.
    pub present: Vec<bool>,
}

impl Block {
    /// The values of row `index`, shape `[width]`.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }
}

impl FeatureMatrix {
    /// The block of this name.
    pub fn block(&self, name: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.name == name)
    }

    /// The number of columns of all dense blocks together.
    pub fn width(&self) -> usize {
        self.blocks.iter().map(|block| block.width).sum()
    }

    /// The same matrix with only the rows at `indices`, in that order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            rows: indices.iter().map(|&i| self.rows[i].clone()).collect(),
            blocks: self
                .blocks
                .iter()
                .map(|block| Block {
                    name: block.name.clone(),
                    columns: block.columns.clone(),
                    width: block.width,
                    values: indices
                        .iter()
                        .flat_map(|&i| block.row(i))
                        .copied()
                        .collect(),
                    present: indices.iter().map(|&i| block.present[i]).collect(),
                })
                .collect(),
            categories: self
                .categories
                .iter()
                .map(|(name, values)| {
                    (
                        name.clone(),
                        indices.iter().map(|&i| values[i].clone()).collect(),
                    )
                })
                .collect(),
        }
    }
}
