//! Which rows train, which validate, which test.
//!
//! The test rows are the latest, the validation rows those just before, the rest trains: a model
//! is judged by what came after everything it saw. Rows without a time are split by the source's
//! `order`, else by a hash of the author, else of the id; never by their place in a file.

#[cfg(test)]
mod tests;

use std::{cmp::Ordering, collections::HashSet, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Error, apart::keep_apart, holdout::windows, seeds, span::Span};
use crate::corpus::{ContentHash, FeatureMatrix, LabelAge, Row};

/// The least labelled rows that are split in three.
pub const LEAST_LABELS: usize = 10;

/// The part that a labelled row plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Its target is learned.
    Train,
    /// Its target chooses: penalties, when to stop, how wide intervals are.
    Validation,
    /// Its target only judges.
    Test,
    /// Its target only judges, and does so for a quarter of a year: see `holdout`.
    #[serde(rename = "holdout")]
    HoldOut,
}

/// What the rows were split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBasis {
    /// The time of creation.
    Time,
    /// The value of the source's `order` expression.
    Order,
    /// A hash of the author.
    Author,
    /// A hash of the id.
    Id,
}

/// How rows are split.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitSettings {
    /// The part that tests: a share of the labelled rows, or the last days.
    pub test: Span,
    /// The part that validates: a share of the rest, or its last days.
    pub validation: Span,
    /// How long before the first test row nothing may be learned from; rows in between are unused.
    pub embargo: Duration,
    /// How long before the first test row what is learned begins; zero: with the first row.
    pub window: Duration,
    /// How long the hold-out before each quarter is; zero: there is none.
    pub holdout: Duration,
    /// What no learned row may have in common with a tested one: `author`, or a block.
    pub apart: Vec<String>,
}

/// The parts of all rows of one matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// The part of each row; `None` where it has no label or lies in the embargo.
    pub parts: Vec<Option<Split>>,
    /// What the rows were split by.
    pub basis: SplitBasis,
    /// The hash of the labelled rows: ids, targets, ages and parts, whatever their order.
    pub rows_sha256: ContentHash,
}

impl Splits {
    /// The indices of the rows of `part`, ascending.
    pub fn rows(&self, part: Split) -> Vec<usize> {
        let is_part = |&index: &usize| self.parts[index] == Some(part);
        (0..self.parts.len()).filter(is_part).collect()
    }
}

/// The place of a row in the line that is cut: a time or a number, then a hash that breaks ties.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: usize,
    key: f64,
    tie: f64,
}

/// Splits the labelled rows of `matrix`.
///
/// Rows with one key (a time, say) are kept in one part wherever that leaves none of the parts
/// empty. Where most rows have a time and some have none, those train: nobody knows whether they
/// are late.
///
/// # Errors
///
/// [`Error::TooFewLabels`] below [`LEAST_LABELS`]; [`Error::EmptyPart`] where a length of time
/// leaves a part empty; [`Error::Setting`] where a length of time is asked of rows without times;
/// [`Error::Row`] for a target that is not finite; [`Error::Schema`] where the rows are to be kept
/// apart by what they have not.
pub fn split(matrix: &FeatureMatrix, settings: &SplitSettings) -> Result<Splits, Error> {
    let labelled: Vec<usize> = (0..matrix.rows.len())
        .filter(|&i| matrix.rows[i].label.is_some())
        .collect();
    for &index in &labelled {
        let row = &matrix.rows[index];
        if let Some(label) = row.label.filter(|label| !label.target.is_finite()) {
            return Err(Error::Row {
                id: row.id.clone(),
                reason: format!("its target is {}", label.target),
            });
        }
    }
    if labelled.len() < LEAST_LABELS {
        return Err(Error::TooFewLabels {
            labelled: labelled.len(),
            needed: LEAST_LABELS,
        });
    }
    let basis = basis(matrix, &labelled);
    let mut parts = vec![None; matrix.rows.len()];
    match basis {
        SplitBasis::Time | SplitBasis::Order => {
            cut(matrix, &labelled, basis, settings, &mut parts)?;
        }
        SplitBasis::Author | SplitBasis::Id => by_hash(matrix, &labelled, settings, &mut parts)?,
    }
    let rows_of = |parts: &[Option<Split>], wanted: &[Split]| -> Vec<usize> {
        let is_wanted = |&row: &usize| parts[row].is_some_and(|part| wanted.contains(&part));
        (0..parts.len()).filter(is_wanted).collect()
    };
    let learned = rows_of(&parts, &[Split::Train, Split::Validation]);
    let tested = rows_of(&parts, &[Split::Test, Split::HoldOut]);
    let kept = keep_apart(matrix, &settings.apart, &tested, &learned)?;
    let kept: HashSet<usize> = kept.into_iter().collect();
    for row in learned.into_iter().filter(|row| !kept.contains(row)) {
        parts[row] = None;
    }
    for (part, name) in [
        (Split::Train, "train"),
        (Split::Validation, "validation"),
        (Split::Test, "test"),
    ] {
        if !parts.contains(&Some(part)) {
            return Err(Error::EmptyPart {
                part: name,
                rows: 0,
                hint: "the rows are too few or too close in time: write shares such as \
                       `test = \"20%\"`, or a shorter embargo",
            });
        }
    }
    let rows_sha256 = hash_rows(matrix, &parts);
    Ok(Splits {
        parts,
        basis,
        rows_sha256,
    })
}

/// Of fewer authors a hash makes parts of any size, or none.
const LEAST_AUTHORS: usize = 20;

/// What at least half of the labelled rows can be split by.
fn basis(matrix: &FeatureMatrix, labelled: &[usize]) -> SplitBasis {
    let half = |has: &dyn Fn(&Row) -> bool| {
        2 * labelled.iter().filter(|&&i| has(&matrix.rows[i])).count() >= labelled.len()
    };
    if half(&|row| row.created_at.is_some()) {
        SplitBasis::Time
    } else if half(&|row| row.order.is_some_and(f64::is_finite)) {
        SplitBasis::Order
    } else if half(&|row| row.author.is_some()) && authors(matrix, labelled) >= LEAST_AUTHORS {
        SplitBasis::Author
    } else {
        SplitBasis::Id
    }
}

/// How many authors the rows have.
fn authors(matrix: &FeatureMatrix, rows: &[usize]) -> usize {
    let authors = rows.iter().filter_map(|&i| matrix.rows[i].author.as_ref());
    authors.collect::<HashSet<_>>().len()
}

/// Cuts the rows in line: the last are for the test, those before validate.
fn cut(
    matrix: &FeatureMatrix,
    labelled: &[usize],
    basis: SplitBasis,
    settings: &SplitSettings,
    parts: &mut [Option<Split>],
) -> Result<(), Error> {
    let mut line = Vec::with_capacity(labelled.len());
    for &row in labelled {
        let key = match basis {
            SplitBasis::Time => matrix.rows[row].created_at.map(|t| t.as_millis() as f64),
            _ => matrix.rows[row].order.filter(|order| order.is_finite()),
        };
        parts[row] = Some(Split::Train);
        if let Some(key) = key {
            let tie = seeds::fraction(&matrix.rows[row].id);
            line.push(Place { row, key, tie });
        }
    }
    line.sort_by(|a, b| match a.key.total_cmp(&b.key) {
        Ordering::Equal => a.tie.total_cmp(&b.tie),
        other => other,
    });

    let first_test = boundary(&line, settings.test, basis, "test")?;
    let (before, test) = line.split_at(first_test);
    let kept = match test.first() {
        Some(first) if basis == SplitBasis::Time && !settings.embargo.is_zero() => {
            let end = first.key - settings.embargo.as_millis() as f64;
            before.partition_point(|place| place.key < end)
        }
        _ => before.len(),
    };
    let (before, unused) = before.split_at(kept);
    let mut before = before.to_vec();
    if let (Some(first), SplitBasis::Time) = (test.first(), basis) {
        if !settings.window.is_zero() {
            let begin = first.key - settings.window.as_millis() as f64;
            let old = before.partition_point(|place| place.key < begin);
            before
                .drain(..old)
                .for_each(|place| parts[place.row] = None);
        }
        hold_out(matrix, &line, settings.holdout, &mut before, parts);
    }
    let first_validation = boundary(&before, settings.validation, basis, "validation")?;
    for place in test {
        parts[place.row] = Some(Split::Test);
    }
    for place in unused {
        parts[place.row] = None;
    }
    for place in &before[first_validation..] {
        parts[place.row] = Some(Split::Validation);
    }
    Ok(())
}

/// Takes the rows of the hold-outs from those before the test.
fn hold_out(
    matrix: &FeatureMatrix,
    line: &[Place],
    length: Duration,
    before: &mut Vec<Place>,
    parts: &mut [Option<Split>],
) {
    let time = |place: &Place| matrix.rows[place.row].created_at;
    let Some(newest) = line.last().and_then(time) else {
        return;
    };
    let windows = windows(newest, length);
    before.retain(|place| {
        let held = time(place).is_some_and(|at| windows.iter().any(|of| of.holds(at)));
        if held {
            parts[place.row] = Some(Split::HoldOut);
        }
        !held
    });
}

/// Where the last `span` of `line` begins: between two different keys, unless they are all one.
fn boundary(
    line: &[Place],
    span: Span,
    basis: SplitBasis,
    name: &'static str,
) -> Result<usize, Error> {
    let wanted = match span {
        Span::Share(share) => {
            let last = (line.len() as f64 * share).round().max(1.0);
            line.len().saturating_sub(last as usize)
        }
        Span::Time(_) if basis != SplitBasis::Time => return Err(no_times(name, span)),
        Span::Time(time) => {
            let end = line.last().map_or(0.0, |place| place.key);
            let start = end - time.as_millis() as f64;
            return Ok(line.partition_point(|place| place.key <= start));
        }
    };
    let is_cut = |&at: &usize| at > 0 && at < line.len() && line[at - 1].key < line[at].key;
    let up = (wanted..line.len()).find(is_cut);
    let down = (1..=wanted).rev().find(is_cut);
    Ok(match (down, up) {
        (Some(down), Some(up)) if wanted - down <= up - wanted => down,
        (_, Some(up)) => up,
        (Some(down), None) => down,
        (None, None) => wanted,
    })
}

/// Splits by a hash of the author, so that none is on two sides, or of the id.
fn by_hash(
    matrix: &FeatureMatrix,
    labelled: &[usize],
    settings: &SplitSettings,
    parts: &mut [Option<Split>],
) -> Result<(), Error> {
    let share = |span, name| match span {
        Span::Share(share) => Ok(share),
        Span::Time(_) => Err(no_times(name, span)),
    };
    let test = share(settings.test, "test")?;
    let validation = share(settings.validation, "validation")?;
    for &index in labelled {
        let row = &matrix.rows[index];
        let at = seeds::fraction(row.author.as_deref().unwrap_or(&row.id));
        parts[index] = Some(if at < test {
            Split::Test
        } else if at < test + (1.0 - test) * validation {
            Split::Validation
        } else {
            Split::Train
        });
    }
    Ok(())
}

fn no_times(name: &'static str, span: Span) -> Error {
    Error::Setting {
        name,
        value: format!("`{span}`"),
        allowed: "the rows have no creation times; write a share such as `20%`",
    }
}

/// The hash of the labelled rows, whatever their order.
fn hash_rows(matrix: &FeatureMatrix, parts: &[Option<Split>]) -> ContentHash {
    let mut lines: Vec<String> = matrix
        .rows
        .iter()
        .zip(parts)
        .filter_map(|(row, part)| {
            let label = row.label?;
            let age = match label.age {
                LabelAge::Known(age) => age.as_millis().to_string(),
                LabelAge::Unknown => "unknown".to_owned(),
            };
            let target = label.target.to_bits();
            let classes = match row.classes.as_slice() {
                [] => String::new(),
                classes => format!("\t{classes:?}"),
            };
            let id = &row.id;
            Some(format!("{id:?}\t{target:016x}\t{age}\t{part:?}{classes}\n"))
        })
        .collect();
    lines.sort_unstable();
    let mut digest = Sha256::new();
    for line in lines {
        digest.update(line);
    }
    ContentHash::from_bytes(&digest.finalize()).expect("a SHA-256 has 32 bytes")
}
