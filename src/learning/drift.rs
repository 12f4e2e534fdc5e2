//! Whether new rows are still like those that a model has learned.
//!
//! A version files a small profile of its rows: deciles of each number, of the target and of random
//! projections of each vector (they keep distances: Johnson and Lindenstrauss 1984), the shares of
//! the values of each category, and how many rows have each block. The rows that came since are held
//! against it by the population stability index, `Σ (p − q)·ln(p / q)` over the parts: below 0.1 little
//! has changed, from 0.25 on much has.

use std::collections::BTreeMap;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::{bootstrap::quantile, seeds};
use crate::{
    clock::Timestamp,
    corpus::{Block, FeatureMatrix},
};

/// How many parts a distribution of numbers has.
const PARTS: usize = 10;
/// How many projections tell of a vector.
const PROJECTIONS: usize = 8;
/// The most values of a category that are told apart.
const MOST_VALUES: usize = 64;
/// The least new rows that say something.
const LEAST_ROWS: usize = 50;
/// The least share of a part, so that an empty one is no infinite change.
const LEAST_SHARE: f64 = 1e-3;

/// What the rows were like that a version has learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// How many rows.
    pub rows: usize,
    /// When the newest was made.
    pub until: Option<Timestamp>,
    /// The targets.
    target: Parts,
    /// By the name of their block and their own; of vectors, by the number of the projection.
    numbers: BTreeMap<String, Vec<Parts>>,
    /// The shares of the values of each category; the rest is `""`.
    categories: BTreeMap<String, BTreeMap<String, f64>>,
    /// The share of rows that has each block.
    present: BTreeMap<String, f64>,
}

/// A distribution of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Parts {
    /// Where a part ends, ascending.
    ends: Vec<f64>,
    /// The share of each part: one more than there are ends.
    shares: Vec<f64>,
}

/// How far new rows are from those that a version has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// How many rows are new.
    pub rows: usize,
    /// The index of their targets; nothing where too few have one yet.
    pub target: Option<f64>,
    /// What has changed, the most first.
    pub features: Vec<FeatureDrift>,
}

/// How far one feature is from what it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureDrift {
    /// `BLOCK.COLUMN`, the name of a vector's block or of a category, or `has BLOCK`.
    pub name: String,
    /// The population stability index; of a vector the mean over its projections.
    pub psi: f64,
}

impl Parts {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let end = |part: usize| quantile(&values, part as f64 / PARTS as f64);
        let mut ends: Vec<f64> = (1..PARTS).filter_map(end).collect();
        ends.dedup();
        let mut parts = Self {
            ends,
            shares: Vec::new(),
        };
        parts.shares = parts.shares_of(&values);
        parts
    }

    fn shares_of(&self, values: &[f64]) -> Vec<f64> {
        let mut shares = vec![0.0; self.ends.len() + 1];
        for value in values {
            shares[self.ends.partition_point(|end| end < value)] += 1.0 / values.len() as f64;
        }
        shares
    }

    fn index(&self, values: &[f64]) -> f64 {
        index(self.shares.iter().copied().zip(self.shares_of(values)))
    }
}

/// `Σ (p − q)·ln(p / q)`.
fn index(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    shares
        .map(|(p, q)| {
            let (p, q) = (p.max(LEAST_SHARE), q.max(LEAST_SHARE));
            (p - q) * (p / q).ln()
        })
        .sum()
}

impl Profile {
    /// The profile of the labelled rows of `matrix`.
    pub fn of(matrix: &FeatureMatrix) -> Self {
        let rows: Vec<usize> = (0..matrix.rows.len())
            .filter(|&row| matrix.rows[row].label.is_some())
            .collect();
        let numbers = matrix.blocks.iter().flat_map(|block| {
            let columns = columns(block, &rows).into_iter();
            columns.map(|(name, columns)| (name, columns.into_iter().map(Parts::of).collect()))
        });
        let categories = matrix.categories.iter().map(|(name, values)| {
            let mut shares = shares(rows.iter().map(|&row| values[row].as_deref()), rows.len());
            let mut common: Vec<(String, f64)> = std::mem::take(&mut shares).into_iter().collect();
            common.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            common.truncate(MOST_VALUES);
            let known: f64 = common.iter().map(|(_, share)| share).sum();
            shares.extend(common);
            *shares.entry(String::new()).or_default() += (1.0 - known).max(0.0);
            (name.clone(), shares)
        });
        Self {
            rows: rows.len(),
            until: rows
                .iter()
                .filter_map(|&row| matrix.rows[row].created_at)
                .max(),
            target: Parts::of(targets(matrix, &rows)),
            numbers: numbers.collect(),
            categories: categories.collect(),
            present: present(matrix, &rows),
        }
    }

    /// How far the rows of `matrix` that were made since are from these; nothing where they are too
    /// few to tell.
    pub fn drift(&self, matrix: &FeatureMatrix) -> Option<Drift> {
        let until = self.until?;
        let rows: Vec<usize> = (0..matrix.rows.len())
            .filter(|&row| matrix.rows[row].created_at.is_some_and(|time| time > until))
            .collect();
        if rows.len() < LEAST_ROWS {
            return None;
        }
        let mut features = Vec::new();
        for block in &matrix.blocks {
            for (name, columns) in columns(block, &rows) {
                let Some(parts) = self.numbers.get(&name) else {
                    continue;
                };
                let indices = parts.iter().zip(&columns);
                let sum: f64 = indices.map(|(parts, values)| parts.index(values)).sum();
                if columns.iter().all(|values| values.len() >= LEAST_ROWS) {
                    let psi = sum / columns.len() as f64;
                    features.push(FeatureDrift { name, psi });
                }
            }
        }
        for (name, values) in &matrix.categories {
            let Some(known) = self.categories.get(name) else {
                continue;
            };
            let named = |row: &usize| {
                let value = values[*row].as_deref();
                value.filter(|value| known.contains_key(*value))
            };
            let new = shares(rows.iter().map(named), rows.len());
            let both = known
                .iter()
                .map(|(value, &share)| (share, new.get(value).copied().unwrap_or_default()));
            features.push(FeatureDrift {
                psi: index(both),
                name: name.clone(),
            });
        }
        for (block, share) in present(matrix, &rows) {
            if let Some(&before) = self.present.get(&block) {
                let both = [(before, share), (1.0 - before, 1.0 - share)];
                features.push(FeatureDrift {
                    name: format!("has {block}"),
                    psi: index(both.into_iter()),
                });
            }
        }
        features.sort_by(|a, b| b.psi.total_cmp(&a.psi).then_with(|| a.name.cmp(&b.name)));
        let targets = targets(matrix, &rows);
        Some(Drift {
            rows: rows.len(),
            target: (targets.len() >= LEAST_ROWS).then(|| self.target.index(&targets)),
            features,
        })
    }
}

fn targets(matrix: &FeatureMatrix, rows: &[usize]) -> Vec<f64> {
    let labels = rows.iter().filter_map(|&row| matrix.rows[row].label);
    labels.map(|label| label.target).collect()
}

/// The share of rows with each value; rows without one count as `""`.
fn shares<'a>(values: impl Iterator<Item = Option<&'a str>>, rows: usize) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for value in values {
        *shares
            .entry(value.unwrap_or_default().to_owned())
            .or_default() += 1.0 / rows as f64;
    }
    shares
}

/// The share of rows that has each block.
fn present(matrix: &FeatureMatrix, rows: &[usize]) -> BTreeMap<String, f64> {
    let share = |block: &Block| {
        let has = rows.iter().filter(|&&row| block.present[row]).count();
        (block.name.clone(), has as f64 / rows.len().max(1) as f64)
    };
    matrix.blocks.iter().map(share).collect()
}

/// The numbers of the rows that have a block: of each named column, or the projections of a vector.
fn columns(block: &Block, rows: &[usize]) -> Vec<(String, Vec<Vec<f64>>)> {
    let has: Vec<usize> = rows
        .iter()
        .copied()
        .filter(|&row| block.present[row])
        .collect();
    if block.columns.is_empty() {
        let mut generator = seeds::generator(block.width as u64, "projections");
        let projection = |_| {
            let signs: Vec<bool> = (0..block.width).map(|_| generator.random()).collect();
            let project = |&row: &usize| -> f64 {
                let values = block.row(row).iter().zip(&signs);
                values
                    .map(|(&value, up)| f64::from(if *up { value } else { -value }))
                    .sum()
            };
            has.iter().map(project).collect()
        };
        return vec![(
            block.name.clone(),
            (0..PROJECTIONS).map(projection).collect(),
        )];
    }
    let named = block.columns.iter().enumerate().map(|(at, column)| {
        let values = has
            .iter()
            .map(|&row| f64::from(block.row(row)[at]))
            .collect();
        (format!("{}.{column}", block.name), vec![values])
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{Label, LabelAge, Row};

    /// Rows of the days from `first` on, with a shift of all numbers.
    fn matrix(first: i64, shift: f32, community: &str) -> FeatureMatrix {
        let mut generator = seeds::generator(first.unsigned_abs(), "drift");
        let count = 400;
        let row = |at: i64| Row {
            id: format!("{first}-{at}"),
            created_at: Some(Timestamp::from_millis((first * 1000 + at) * 60_000)),
            community: None,
            author: None,
            order: None,
            classes: Vec::new(),
            label: (at % 2 == 0).then(|| Label {
                target: f64::from(shift) + at as f64 / 400.0,
                age: LabelAge::Unknown,
            }),
        };
        let mut block = |name: &str, columns: &[&str], width: usize, shift: f32| Block {
            name: name.to_owned(),
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            width,
            values: (0..count * width)
                .map(|_| generator.random::<f32>() + shift)
                .collect(),
            present: vec![true; count],
        };
        let blocks = vec![
            block("title", &[], 7, shift),
            block("numbers", &["a", "b"], 2, 0.0),
        ];
        let value = |at: usize| {
            Some(
                if at.is_multiple_of(5) {
                    "pics"
                } else {
                    community
                }
                .to_owned(),
            )
        };
        FeatureMatrix {
            rows: (0..400).map(row).collect(),
            blocks,
            categories: vec![("community".to_owned(), (0..count).map(value).collect())],
        }
    }

    #[test]
    fn what_has_changed_is_named_first() {
        let profile = Profile::of(&matrix(0, 0.0, "art"));
        assert_eq!(profile.rows, 200);
        let filed = serde_json::to_string(&profile).unwrap();
        let read: Profile = serde_json::from_str(&filed).unwrap();
        assert_eq!(read, profile);

        let same = profile.drift(&matrix(1, 0.0, "art")).unwrap();
        assert_eq!(same.rows, 400);
        assert!(
            same.features.iter().all(|feature| feature.psi < 0.12),
            "{same:?}"
        );
        assert!(same.target.unwrap() < 0.1);

        let moved = profile.drift(&matrix(2, 0.4, "aww")).unwrap();
        assert!(moved.target.unwrap() > 0.25, "{moved:?}");
        let names: Vec<&str> = moved.features.iter().map(|of| of.name.as_str()).collect();
        assert_eq!(names[0], "community", "{moved:?}");
        let of = |name: &str| {
            moved
                .features
                .iter()
                .find(|of| of.name == name)
                .unwrap()
                .psi
        };
        assert!(of("title") > 0.25 && of("numbers.a") < 0.12, "{moved:?}");
        assert_eq!(of("has title"), 0.0);
    }

    #[test]
    fn rows_that_were_learned_are_not_new() {
        let rows = matrix(0, 0.0, "art");
        assert_eq!(Profile::of(&rows).drift(&rows), None);
    }
}
