//! From the raw values of a matrix to the numbers that a head computes with.
//!
//! Everything here is fitted on the training rows only: means, scales, vocabularies. Columns come
//! in groups, one per block and one per category. Vectors may be drawn together to the directions in
//! which they vary most.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Error, components::components};
use crate::corpus::{Block, FeatureMatrix};

/// Standardised values further from the mean than this are drawn in, so that one odd number (a
/// community a thousand times as large as any before) cannot decide a prediction.
const REACH: f32 = 6.0;
/// The least rows that a value of a category needs for a column of its own.
const LEAST_ROWS: usize = 5;
/// The most columns of one category; the commonest values get them.
const MOST_VALUES: usize = 256;

/// A fitted scaler and encoder of a whole matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Design {
    blocks: Vec<BlockScale>,
    categories: Vec<CategoryCode>,
}

/// How the columns of one block are standardised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BlockScale {
    name: String,
    width: usize,
    columns: Vec<String>,
    /// The mean of each column over the rows that have the block.
    #[serde(skip)]
    mean: Vec<f32>,
    /// One over the standard deviation; 0 for a column that is constant.
    #[serde(skip)]
    inverse: Vec<f32>,
    /// The share of rows that have the block, where some have not: they get one more column.
    share: Option<f32>,
    /// How many principal components stand for the columns, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    components: Option<usize>,
    /// Their directions, row-major `[components, width]`; over the training rows each has about unit
    /// variance.
    #[serde(skip)]
    directions: Vec<f32>,
}

/// How the values of one category become columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CategoryCode {
    name: String,
    /// The values that have a column, in order; a value that is not here gets the last column.
    values: Vec<String>,
    /// The share of rows in each column.
    shares: Vec<f32>,
    /// What all columns are multiplied with, so that their mean variance is 1.
    scale: f32,
}

/// The columns of one block or category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) start: usize,
    pub(crate) width: usize,
}

/// The numbers of some rows, row-major `[rows, width]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Designed {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

/// The columns of a vector in a design, and what standardised them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VectorColumns<'a> {
    /// The first of them.
    pub(crate) start: usize,
    /// The mean of each.
    pub(crate) mean: &'a [f32],
    /// One over the deviation of each; 0 where it is constant.
    pub(crate) inverse: &'a [f32],
}

impl Designed {
    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }
}

impl Design {
    /// Fits on the rows at `train`; blocks and categories named in `without` are left out, and so
    /// are those of which no training row has a value. Of a vector that is wider than `components`
    /// so many stay; 0: all of its columns.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] for a name in `without` that the matrix does not have;
    /// [`Error::Schema`] where nothing is left to learn from.
    pub(crate) fn fit(
        matrix: &FeatureMatrix,
        train: &[usize],
        (without, components): (&[String], usize),
    ) -> Result<Self, Error> {
        let names = group_names(matrix);
        for name in without {
            if !names.contains(name) {
                return Err(Error::UnknownName {
                    what: "block in `without`",
                    name: name.clone(),
                    allowed: names.join(", "),
                });
            }
        }
        let keep = |name: &str| !without.iter().any(|other| other == name);
        let blocks = matrix
            .blocks
            .iter()
            .filter(|block| keep(&block.name))
            .filter_map(|block| {
                BlockScale::fit(block, train).map(|scale| scale.drawn(block, train, components))
            })
            .collect::<Result<_, Error>>()?;
        let categories = matrix
            .categories
            .iter()
            .filter(|(name, _)| keep(name))
            .filter_map(|(name, values)| CategoryCode::fit(name, values, train))
            .collect();
        let design = Self { blocks, categories };
        if design.width() == 0 {
            let has = names.join(", ");
            return Err(Error::Schema(format!(
                "no training row has any feature (blocks: {has}; without: {})",
                without.join(", ")
            )));
        }
        Ok(design)
    }

    /// The groups of columns, in order.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let blocks = self.blocks.iter().map(|b| (&b.name, b.all_columns()));
        let categories = self.categories.iter().map(|c| (&c.name, c.shares.len()));
        let mut start = 0;
        blocks
            .chain(categories)
            .map(|(name, width)| {
                let group = Group {
                    name: name.clone(),
                    start,
                    width,
                };
                start += width;
                group
            })
            .collect()
    }

    /// The number of columns.
    pub(crate) fn width(&self) -> usize {
        self.groups().iter().map(|group| group.width).sum()
    }

    /// The vectors among the blocks: their columns have no names.
    pub(crate) fn vectors(&self) -> Vec<VectorColumns<'_>> {
        let groups = self.groups();
        let blocks = self.blocks.iter().zip(&groups);
        blocks
            .filter(|(block, _)| block.columns.is_empty() && block.components.is_none())
            .map(|(block, group)| VectorColumns {
                start: group.start,
                mean: &block.mean,
                inverse: &block.inverse,
            })
            .collect()
    }

    /// The numbers of all rows of `matrix`. A row's numbers depend on that row alone.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] where a block or category is missing or has other columns.
    pub(crate) fn apply(&self, matrix: &FeatureMatrix) -> Result<Designed, Error> {
        let (rows, width) = (matrix.rows.len(), self.width());
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for scale in &self.blocks {
            blocks.push((scale, scale.find(matrix)?));
        }
        let mut categories = Vec::with_capacity(self.categories.len());
        for code in &self.categories {
            categories.push((code, code.find(matrix)?));
        }
        let mut values = Vec::with_capacity(rows * width);
        for row in 0..rows {
            for (scale, block) in &blocks {
                scale.push(block, row, &mut values);
            }
            for (code, column) in &categories {
                code.push(column[row].as_deref(), &mut values);
            }
        }
        Ok(Designed {
            rows,
            width,
            values,
        })
    }

    /// Whether components stand for the columns of a vector.
    pub(crate) fn has_components(&self) -> bool {
        self.blocks.iter().any(|block| block.components.is_some())
    }

    /// The means and inverse deviations of each block, and the directions of its components, to be stored as tensors.
    pub(crate) fn tensors(&self) -> Vec<(String, &Vec<f32>)> {
        let of = |block: &'_ BlockScale, what| format!("design.{}.{what}", block.name);
        self.blocks
            .iter()
            .flat_map(|b| {
                let directions = (of(b, "directions"), &b.directions);
                [(of(b, "mean"), &b.mean), (of(b, "inverse"), &b.inverse)]
                    .into_iter()
                    .chain(b.components.map(|_| directions))
            })
            .collect()
    }

    /// Puts stored tensors back; `read` finds one by name.
    pub(crate) fn restore(
        &mut self,
        read: impl Fn(&str, usize) -> Result<Vec<f32>, Error>,
    ) -> Result<(), Error> {
        for block in &mut self.blocks {
            block.mean = read(&format!("design.{}.mean", block.name), block.width)?;
            block.inverse = read(&format!("design.{}.inverse", block.name), block.width)?;
            if let Some(count) = block.components {
                let name = format!("design.{}.directions", block.name);
                block.directions = read(&name, count * block.width)?;
            }
        }
        Ok(())
    }
}

/// The names of everything that can be left out.
pub(crate) fn group_names(matrix: &FeatureMatrix) -> Vec<String> {
    let blocks = matrix.blocks.iter().map(|block| &block.name);
    let categories = matrix.categories.iter().map(|(name, _)| name);
    blocks.chain(categories).cloned().collect()
}

impl BlockScale {
    fn fit(block: &Block, train: &[usize]) -> Option<Self> {
        let rows: Vec<usize> = train
            .iter()
            .copied()
            .filter(|&i| block.present[i])
            .collect();
        if rows.is_empty() || block.width == 0 {
            return None;
        }
        let count = rows.len() as f64;
        let mut mean = vec![0.0_f64; block.width];
        for &row in &rows {
            for (sum, &value) in mean.iter_mut().zip(block.row(row)) {
                *sum += f64::from(value) / count;
            }
        }
        let mut variance = vec![0.0_f64; block.width];
        for &row in &rows {
            for ((sum, &value), mean) in variance.iter_mut().zip(block.row(row)).zip(&mean) {
                *sum += (f64::from(value) - mean).powi(2) / count;
            }
        }
        let inverse = variance
            .iter()
            .zip(&mean)
            .map(|(variance, mean)| {
                let deviation = variance.sqrt();
                // Rounding of a large constant is no spread.
                if deviation > 1e-6 * mean.abs().max(1e-3) {
                    (1.0 / deviation) as f32
                } else {
                    0.0
                }
            })
            .collect();
        let share = (rows.len() < train.len()).then(|| (count / train.len() as f64) as f32);
        Some(Self {
            name: block.name.clone(),
            width: block.width,
            columns: block.columns.clone(),
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
            inverse,
            share,
            components: None,
            directions: Vec::new(),
        })
    }

    /// The same with so many principal components of a vector, which are found on the rows at `train`.
    fn drawn(mut self, block: &Block, train: &[usize], count: usize) -> Result<Self, Error> {
        if count == 0 || count >= self.width || !self.columns.is_empty() {
            return Ok(self);
        }
        let rows: Vec<usize> = train
            .iter()
            .copied()
            .filter(|&row| block.present[row])
            .collect();
        let mut values = Vec::with_capacity(rows.len() * self.width);
        for &row in &rows {
            self.push_standard(block, row, &mut values);
        }
        let whole = Group {
            name: self.name.clone(),
            start: 0,
            width: self.width,
        };
        let standard = Designed {
            rows: rows.len(),
            width: self.width,
            values,
        };
        let all: Vec<usize> = (0..rows.len()).collect();
        self.directions = components(&standard, &all, &whole, count)?;
        // There are no more directions than rows.
        self.components = Some(self.directions.len() / self.width);
        Ok(self)
    }

    fn all_columns(&self) -> usize {
        self.components.unwrap_or(self.width) + usize::from(self.share.is_some())
    }

    fn find<'a>(&self, matrix: &'a FeatureMatrix) -> Result<&'a Block, Error> {
        let name = &self.name;
        let block = matrix.block(name).ok_or_else(|| {
            Error::Schema(format!(
                "it has no block `{name}` of {} columns",
                self.width
            ))
        })?;
        if block.width != self.width || block.columns != self.columns {
            return Err(Error::Schema(format!(
                "its block `{name}` has {} columns ({}), the head knows {} ({})",
                block.width,
                block.columns.join(", "),
                self.width,
                self.columns.join(", "),
            )));
        }
        Ok(block)
    }

    /// The standardised columns of a row that has the block.
    fn push_standard(&self, block: &Block, row: usize, values: &mut Vec<f32>) {
        let scaled = block.row(row).iter().zip(&self.mean).zip(&self.inverse);
        values.extend(
            scaled.map(|((value, mean), inverse)| ((value - mean) * inverse).clamp(-REACH, REACH)),
        );
    }

    fn push(&self, block: &Block, row: usize, values: &mut Vec<f32>) {
        let count = self.components.unwrap_or(self.width);
        if !block.present[row] {
            values.resize(values.len() + count, 0.0);
        } else if self.components.is_some() {
            let mut standard = Vec::with_capacity(self.width);
            self.push_standard(block, row, &mut standard);
            let along = |direction: &[f32]| -> f32 {
                let products = standard.iter().zip(direction);
                products
                    .map(|(value, part)| f64::from(value * part))
                    .sum::<f64>() as f32
            };
            let found = self.directions.chunks_exact(self.width).map(along);
            values.extend(found.map(|value| value.clamp(-REACH, REACH)));
        } else {
            self.push_standard(block, row, values);
        }
        if let Some(share) = self.share {
            let deviation = (share * (1.0 - share)).sqrt();
            let has = if block.present[row] { 1.0 } else { 0.0 };
            values.push((has - share) / deviation);
        }
    }
}

impl CategoryCode {
    fn fit(name: &str, values: &[Option<String>], train: &[usize]) -> Option<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for &row in train {
            if let Some(value) = &values[row] {
                *counts.entry(value).or_default() += 1;
            }
        }
        let mut common: Vec<(&str, usize)> = counts
            .iter()
            .map(|(&value, &count)| (value, count))
            .filter(|&(_, count)| count >= LEAST_ROWS)
            .collect();
        common.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        common.truncate(MOST_VALUES);
        common.sort_unstable();
        let known: usize = common.iter().map(|(_, count)| count).sum();
        let others = counts.values().sum::<usize>() - known;
        let share = |count: usize| count as f32 / train.len() as f32;
        let mut shares: Vec<f32> = common.iter().map(|&(_, count)| share(count)).collect();
        shares.push(share(others));
        let variance: f32 = shares.iter().map(|p| p * (1.0 - p)).sum::<f32>() / shares.len() as f32;
        // One value that every row has says nothing.
        (variance > 1e-6).then(|| Self {
            name: name.to_owned(),
            values: common
                .into_iter()
                .map(|(value, _)| value.to_owned())
                .collect(),
            shares,
            scale: variance.sqrt().recip(),
        })
    }

    fn find<'a>(&self, matrix: &'a FeatureMatrix) -> Result<&'a [Option<String>], Error> {
        let found = matrix
            .categories
            .iter()
            .find(|(name, _)| *name == self.name);
        found
            .map(|(_, values)| values.as_slice())
            .ok_or_else(|| Error::Schema(format!("it has no category `{}`", self.name)))
    }

    fn push(&self, value: Option<&str>, values: &mut Vec<f32>) {
        let place = value.map(|value| {
            self.values
                .binary_search_by(|known| known.as_str().cmp(value))
                .unwrap_or(self.values.len())
        });
        for (at, share) in self.shares.iter().enumerate() {
            let is = if place == Some(at) { 1.0 } else { 0.0 };
            values.push((is - share) * self.scale);
        }
    }
}
