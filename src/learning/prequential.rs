//! What became of predictions that were made before their labels were known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Error, TrainSettings,
    bootstrap::{Bootstrap, Intervals},
    heads::{Head, Prediction},
    metrics::{Inverse, Metrics, Scorer},
    questions::Questions,
};
use crate::{
    clock::Timestamp,
    corpus::{FeatureMatrix, Row},
};

/// The least rows that say something.
const LEAST_ROWS: usize = 10;
/// How many samples an interval is made of, and which share of them it holds.
const RESAMPLES: usize = 400;
const COVERAGE: f64 = 0.95;

/// A prediction that was filed before its label was known.
#[derive(Clone, Debug, PartialEq)]
pub struct Foretold {
    /// The record's id.
    pub id: String,
    /// The version that was the champion then.
    pub version: u32,
    /// When the newest row was made that it had learned: of that row and those before, it may know
    /// what became of them.
    pub learned_until: Option<Timestamp>,
    /// What it said; of classes, how probable the most probable one is.
    pub prediction: Prediction,
    /// How probable it said that each class is; empty where it predicted a number.
    pub classes: BTreeMap<String, f64>,
}

/// What became of predictions: dated forward tests, with no row seen twice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prequential {
    /// How many predictions have met their label.
    pub rows: usize,
    /// How many of them each version made.
    pub versions: BTreeMap<u32, usize>,
    /// Their metrics; with `coverage`, the share of targets inside their interval.
    pub metrics: Metrics,
    /// The 95 % intervals of the metrics.
    pub intervals: Intervals,
}

/// Holds predictions against the `targets` of the rows of `matrix`, one for each row, as
/// [`Head::targets`](super::Head::targets) gives them. Nothing where too few have one by now.
///
/// # Errors
///
/// [`Error::Numerics`] where a number is not finite.
pub fn prequential(
    matrix: &FeatureMatrix,
    targets: &[Option<f64>],
    foretold: &[Foretold],
    (inverse, seed): (Inverse, u64),
) -> Result<Option<Prequential>, Error> {
    debug_assert_eq!(matrix.rows.len(), targets.len());
    let labelled = matrix.rows.iter().zip(targets);
    let labelled = labelled.filter_map(|(row, target)| Some((row, (*target)?)));
    let met = met(labelled, foretold, |made| made.classes.is_empty());
    if met.len() < LEAST_ROWS {
        return Ok(None);
    }
    let rows: Vec<&Row> = met.iter().map(|(row, ..)| *row).collect();
    let targets: Vec<f64> = met.iter().map(|(_, target, _)| *target).collect();
    let values: Vec<f64> = met.iter().map(|(.., made)| made.prediction.value).collect();
    let scorer = Scorer::new(&targets, &values, &rows, inverse)?;
    let bootstrap = Bootstrap::new(&rows, RESAMPLES, COVERAGE, seed);
    let inside = met
        .iter()
        .filter(|(_, target, made)| (made.prediction.low..=made.prediction.high).contains(target));
    let mut metrics = scorer.metrics();
    let coverage = inside.count() as f64 / met.len() as f64;
    metrics.insert("coverage".to_owned(), Some(coverage));
    Ok(Some(Prequential {
        rows: met.len(),
        versions: by_version(&met),
        metrics,
        intervals: bootstrap.draw(&scorer).intervals(),
    }))
}

/// Holds predictions of classes against the labelled rows of `matrix`.
///
/// It is about the classes that `head` has learned, with its threshold; one that a version did not know
/// then counts as never so. Nothing where too few have a label by now.
///
/// # Errors
///
/// [`Error::Numerics`] where a number is not finite.
pub fn prequential_of_classes(
    matrix: &FeatureMatrix,
    head: &Head,
    foretold: &[Foretold],
    seed: u64,
) -> Result<Option<Prequential>, Error> {
    let labelled = matrix.rows.iter().filter(|row| row.label.is_some());
    let labelled = labelled.map(|row| (row, ()));
    let met = met(labelled, foretold, |made| !made.classes.is_empty());
    if met.len() < LEAST_ROWS {
        return Ok(None);
    }
    let settings = TrainSettings {
        resamples: RESAMPLES,
        seed,
        ..TrainSettings::default()
    };
    let rows: Vec<Row> = met.iter().map(|(row, ..)| (*row).clone()).collect();
    let questions = Questions::new(head, &rows, &settings);
    let said = |made: &Foretold| {
        let classes = head.classes().iter();
        let said = classes.map(|class| made.classes.get(class).copied().unwrap_or(0.0));
        said.collect::<Vec<_>>()
    };
    let answers: Vec<f64> = met.iter().flat_map(|(.., made)| said(made)).collect();
    let scorer = questions.scorer(&answers)?;
    Ok(Some(Prequential {
        rows: met.len(),
        versions: by_version(&met),
        metrics: scorer.metrics(),
        intervals: questions.draw(&scorer).intervals(),
    }))
}

/// Rows with what was said of them before anybody knew, as far as it is of the kind that is wanted.
fn met<'a, T>(
    labelled: impl Iterator<Item = (&'a Row, T)>,
    foretold: &'a [Foretold],
    is_wanted: impl Fn(&Foretold) -> bool,
) -> Vec<(&'a Row, T, &'a Foretold)> {
    let wanted = foretold.iter().filter(|made| is_wanted(made));
    let by_id: BTreeMap<&str, &Foretold> = wanted.map(|made| (made.id.as_str(), made)).collect();
    labelled
        .filter_map(|(row, target)| Some((row, target, *by_id.get(row.id.as_str())?)))
        .filter(|(row, _, made)| row.created_at > made.learned_until)
        .collect()
}

/// How many predictions each version made.
fn by_version<T>(met: &[(&Row, T, &Foretold)]) -> BTreeMap<u32, usize> {
    let mut versions = BTreeMap::new();
    for (.., made) in met {
        *versions.entry(made.version).or_default() += 1;
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        corpus::{Label, LabelAge},
        learning::reference::targets,
    };

    #[test]
    fn predictions_meet_their_labels_by_id() {
        let row = |at: i64, target: Option<f64>| Row {
            id: format!("r{at}"),
            created_at: Some(Timestamp::from_millis(at * 3_600_000)),
            community: None,
            author: None,
            order: None,
            classes: Vec::new(),
            label: target.map(|target| Label {
                target,
                age: LabelAge::Unknown,
            }),
        };
        // The last two have no label yet.
        let rows = (0..14)
            .map(|at| row(at, (at < 12).then_some(at as f64)))
            .collect();
        let matrix = FeatureMatrix {
            rows,
            ..FeatureMatrix::default()
        };
        let made = |at: i64| Foretold {
            id: format!("r{at}"),
            version: if at < 8 { 1 } else { 2 },
            learned_until: Some(Timestamp::from_millis(3_600_000)),
            prediction: Prediction {
                value: at as f64 + 1.0,
                low: at as f64,
                high: if at == 5 { 4.5 } else { 99.0 },
            },
            classes: BTreeMap::new(),
        };
        // The first two were learned already.
        let all: Vec<Foretold> = (0..14).rev().map(made).collect();
        let targets = targets(None, &matrix.rows);
        let found = prequential(&matrix, &targets, &all, (Inverse::Identity, 1))
            .unwrap()
            .unwrap();
        assert_eq!(found.rows, 10);
        assert_eq!(found.versions, BTreeMap::from([(1, 6), (2, 4)]));
        assert_eq!(found.metrics["spearman"], Some(1.0));
        assert_eq!(found.metrics["mae"], Some(1.0));
        assert_eq!(found.metrics["coverage"], Some(0.9));
        assert!(found.intervals["spearman"].low.is_some());
        // How probable a class is said to be is no number of this kind.
        let mut mixed = all.clone();
        mixed
            .iter_mut()
            .filter(|made| made.version == 1)
            .for_each(|made| {
                made.classes = [("warm".to_owned(), 0.5)].into();
            });
        let found = prequential(&matrix, &targets, &mixed, (Inverse::Identity, 1)).unwrap();
        assert_eq!(found, None);
        let few = prequential(&matrix, &targets, &all[..8], (Inverse::Identity, 1));
        assert_eq!(few.unwrap(), None);
    }
}
