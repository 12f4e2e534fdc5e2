//! Gradient-boosted regression trees.
//!
//! Each tree is grown leaf by leaf on histograms, as `LightGBM` does (Ke et al. 2017): columns are
//! cut into at most 255 bins once, a split is the best boundary between two bins, and of two
//! siblings only the smaller is counted. Everything is a function of rows, settings and seed:
//! sums are taken in the order of rows, whatever the number of threads.

mod bins;
mod boost;
mod grow;
mod inputs;
mod tree;

pub(crate) use boost::{Boosted, Lesson, boost};
pub(crate) use inputs::Inputs;
pub(crate) use tree::Tree;

use serde::{Deserialize, Serialize};

use super::Error;

/// How trees are grown, as `trees = { … }` of a `train` task gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TreeSettings {
    /// The most trees.
    pub count: usize,
    /// How many trees without a better validation error end a training.
    pub patience: usize,
    /// What each tree's values are multiplied with.
    pub rate: f64,
    /// The most leaves of a tree.
    pub leaves: usize,
    /// The least rows of a leaf.
    pub least_rows: usize,
    /// How many rows of mean 0 each leaf is drawn to.
    pub shrinkage: f64,
    /// The share of the rows that a tree sees.
    pub row_share: f64,
    /// The share of the columns that a tree sees.
    pub column_share: f64,
    /// To how many principal components a vector is reduced.
    pub components: usize,
}

impl Default for TreeSettings {
    fn default() -> Self {
        Self {
            count: 1_500,
            patience: 60,
            rate: 0.03,
            leaves: 12,
            least_rows: 20,
            shrinkage: 10.0,
            row_share: 0.7,
            column_share: 0.3,
            components: 48,
        }
    }
}

impl TreeSettings {
    /// Checks that every number lies where it makes sense.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for the first that does not.
    pub(super) fn check(&self) -> Result<(), Error> {
        let counts = [
            ("trees.count", self.count, 1, 100_000, "write 1 to 100000"),
            (
                "trees.patience",
                self.patience,
                1,
                100_000,
                "write 1 to 100000",
            ),
            ("trees.leaves", self.leaves, 2, 4_096, "write 2 to 4096"),
            (
                "trees.least_rows",
                self.least_rows,
                1,
                1 << 20,
                "write at least 1",
            ),
            (
                "trees.components",
                self.components,
                1,
                512,
                "write 1 to 512",
            ),
        ];
        for (name, value, least, most, allowed) in counts {
            if !(least..=most).contains(&value) {
                let value = value.to_string();
                return Err(Error::Setting {
                    name,
                    value,
                    allowed,
                });
            }
        }
        let shares = "write more than 0, at most 1";
        let numbers = [
            (
                "trees.rate",
                self.rate,
                self.rate > 0.0 && self.rate <= 1.0,
                shares,
            ),
            (
                "trees.row_share",
                self.row_share,
                self.row_share > 0.0 && self.row_share <= 1.0,
                shares,
            ),
            (
                "trees.column_share",
                self.column_share,
                self.column_share > 0.0 && self.column_share <= 1.0,
                shares,
            ),
            (
                "trees.shrinkage",
                self.shrinkage,
                self.shrinkage >= 0.0 && self.shrinkage.is_finite(),
                "write 0 or more",
            ),
        ];
        for (name, value, holds, allowed) in numbers {
            if !holds {
                let value = value.to_string();
                return Err(Error::Setting {
                    name,
                    value,
                    allowed,
                });
            }
        }
        Ok(())
    }
}
