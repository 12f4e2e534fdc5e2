//! What became of predictions that were made before their labels were known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Error,
    bootstrap::{Bootstrap, Intervals},
    heads::Prediction,
    metrics::{Inverse, Metrics, Scorer},
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
    /// What it said.
    pub prediction: Prediction,
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
    let by_id: BTreeMap<&str, &Foretold> = foretold
        .iter()
        .map(|made| (made.id.as_str(), made))
        .collect();
    debug_assert_eq!(matrix.rows.len(), targets.len());
    let labelled = matrix.rows.iter().zip(targets);
    let labelled = labelled.filter_map(|(row, target)| Some((row, (*target)?)));
    let met: Vec<(&Row, f64, &Foretold)> = labelled
        .filter_map(|(row, target)| Some((row, target, *by_id.get(row.id.as_str())?)))
        .filter(|(row, _, made)| row.created_at > made.learned_until)
        .collect();
    if met.len() < LEAST_ROWS {
        return Ok(None);
    }
    let rows: Vec<&Row> = met.iter().map(|(row, ..)| *row).collect();
    let targets: Vec<f64> = met.iter().map(|(_, target, _)| *target).collect();
    let values: Vec<f64> = met.iter().map(|(.., made)| made.prediction.value).collect();
    let scorer = Scorer::new(&targets, &values, &rows, inverse)?;
    let bootstrap = Bootstrap::new(&rows, RESAMPLES, COVERAGE, seed);
    let mut versions = BTreeMap::new();
    for (.., made) in &met {
        *versions.entry(made.version).or_default() += 1;
    }
    let inside = met
        .iter()
        .filter(|(_, target, made)| (made.prediction.low..=made.prediction.high).contains(target));
    let mut metrics = scorer.metrics();
    let coverage = inside.count() as f64 / met.len() as f64;
    metrics.insert("coverage".to_owned(), Some(coverage));
    Ok(Some(Prequential {
        rows: met.len(),
        versions,
        metrics,
        intervals: bootstrap.draw(&scorer).intervals(),
    }))
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
        let few = prequential(&matrix, &targets, &all[..8], (Inverse::Identity, 1));
        assert_eq!(few.unwrap(), None);
    }
}
