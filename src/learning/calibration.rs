//! Whether predictions mean what they say: by tenths of the predictions, and by community.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    heads::Prediction,
    rank::{Ranked, spearman},
};
use crate::corpus::Row;

/// Into how many parts of equal size predictions are sorted.
const PARTS: usize = 10;
/// The most communities that are told of, those with the most rows.
const MOST_COMMUNITIES: usize = 50;
/// The least rows of a community that is told of.
const LEAST_ROWS: usize = 5;

/// Whether predictions and their intervals mean what they say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The share of targets that intervals are meant to hold.
    pub nominal: f64,
    /// The share that they hold.
    pub coverage: f64,
    /// The share that lies below them.
    pub below: f64,
    /// The share that lies above them.
    pub above: f64,
    /// The rows by tenths of what was predicted, lowest first; fewer where the rows are few.
    pub tenths: Vec<Tenth>,
}

/// A tenth of the rows: those with neighbouring predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenth {
    /// How many rows.
    pub rows: usize,
    /// The mean prediction, on the training scale.
    pub predicted: f64,
    /// The mean target.
    pub observed: f64,
    /// The share of targets inside their interval.
    pub coverage: f64,
}

/// How a model does in one community.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommunityMetrics {
    /// The community.
    pub community: String,
    /// How many rows it has.
    pub rows: usize,
    /// The rank correlation within it; nothing where it is not defined.
    pub spearman: Option<f64>,
    /// The mean absolute error, on the training scale.
    pub mae: f64,
    /// The mean of prediction minus target.
    pub bias: f64,
    /// The share of targets inside their interval.
    pub coverage: f64,
}

/// Sums over some rows.
#[derive(Default)]
struct Sums {
    rows: usize,
    predicted: f64,
    observed: f64,
    missed: f64,
    inside: usize,
}

impl Sums {
    fn of<'a>(rows: impl Iterator<Item = (&'a Prediction, f64)>) -> Self {
        let mut sums = Self::default();
        for (prediction, target) in rows {
            sums.rows += 1;
            sums.predicted += prediction.value;
            sums.observed += target;
            sums.missed += (prediction.value - target).abs();
            sums.inside += usize::from((prediction.low..=prediction.high).contains(&target));
        }
        sums
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.rows.max(1) as f64
    }
}

/// Holds `predictions` against the targets of the same rows; `nominal` is the share of targets that
/// their intervals are meant to hold.
pub(super) fn calibration(
    predictions: &[Prediction],
    targets: &[f64],
    nominal: f64,
) -> Calibration {
    let count = predictions.len().max(1) as f64;
    let both = || predictions.iter().zip(targets.iter().copied());
    let share = |of: &dyn Fn(&Prediction, f64) -> bool| {
        both()
            .filter(|(prediction, target)| of(prediction, *target))
            .count() as f64
            / count
    };
    let mut order: Vec<usize> = (0..predictions.len()).collect();
    order.sort_by(|&a, &b| predictions[a].value.total_cmp(&predictions[b].value));
    let parts = PARTS.min(order.len());
    let tenth = |part: usize| {
        let rows = &order[part * order.len() / parts..(part + 1) * order.len() / parts];
        let sums = Sums::of(rows.iter().map(|&row| (&predictions[row], targets[row])));
        Tenth {
            rows: sums.rows,
            predicted: sums.mean(sums.predicted),
            observed: sums.mean(sums.observed),
            coverage: sums.mean(sums.inside as f64),
        }
    };
    Calibration {
        nominal,
        coverage: share(&|prediction, target| (prediction.low..=prediction.high).contains(&target)),
        below: share(&|prediction, target| target < prediction.low),
        above: share(&|prediction, target| target > prediction.high),
        tenths: (0..parts).map(tenth).collect(),
    }
}

/// How `predictions` do in each community of some rows, the one with the most rows first.
pub(super) fn by_community(
    rows: &[Row],
    predictions: &[Prediction],
    targets: &[f64],
) -> Vec<CommunityMetrics> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(community) = &row.community {
            places.entry(community).or_default().push(at);
        }
    }
    let mut communities: Vec<(&str, Vec<usize>)> = places.into_iter().collect();
    communities.retain(|(_, places)| places.len() >= LEAST_ROWS);
    communities.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(b.0)));
    communities.truncate(MOST_COMMUNITIES);
    let of = |(community, places): (&str, Vec<usize>)| {
        let sums = Sums::of(places.iter().map(|&at| (&predictions[at], targets[at])));
        let found: Vec<f64> = places.iter().map(|&at| predictions[at].value).collect();
        let wanted: Vec<f64> = places.iter().map(|&at| targets[at]).collect();
        let once = vec![1; places.len()];
        CommunityMetrics {
            community: community.to_owned(),
            rows: sums.rows,
            spearman: spearman(&Ranked::new(&wanted), &Ranked::new(&found), &once),
            mae: sums.mean(sums.missed),
            bias: sums.mean(sums.predicted - sums.observed),
            coverage: sums.mean(sums.inside as f64),
        }
    };
    communities.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(value: f64) -> Prediction {
        Prediction {
            value,
            low: value - 1.0,
            high: value + 1.0,
        }
    }

    #[test]
    fn tenths_and_shares_are_counted() {
        let predictions: Vec<Prediction> =
            (0..20).rev().map(|i| prediction(f64::from(i))).collect();
        // Each target lies 0.5 above its prediction, but for one far below and one far above.
        let mut targets: Vec<f64> = predictions.iter().map(|p| p.value + 0.5).collect();
        (targets[0], targets[19]) = (-100.0, 100.0);
        let found = calibration(&predictions, &targets, 0.8);
        assert_eq!(
            (found.coverage, found.below, found.above),
            (0.9, 0.05, 0.05)
        );
        assert_eq!(found.tenths.len(), 10);
        let second = Tenth {
            rows: 2,
            predicted: 2.5,
            observed: 3.0,
            coverage: 1.0,
        };
        assert_eq!(found.tenths[1], second);
        // The lowest prediction is the one with the target far above.
        assert_eq!(found.tenths[0].coverage, 0.5);
        assert_eq!(
            calibration(&predictions[..3], &targets[..3], 0.8)
                .tenths
                .len(),
            3
        );
        assert!(calibration(&[], &[], 0.8).tenths.is_empty());
    }

    #[test]
    fn communities_are_told_of_by_size() {
        let row = |community: Option<&str>| Row {
            id: String::new(),
            created_at: None,
            community: community.map(str::to_owned),
            author: None,
            order: None,
            classes: Vec::new(),
            label: None,
        };
        let names = [
            [Some("small"); 5].as_slice(),
            &[Some("large"); 7],
            &[Some("tiny"), None],
        ];
        let rows: Vec<Row> = names.concat().into_iter().map(row).collect();
        let predictions: Vec<Prediction> = (0..14).map(|i| prediction(f64::from(i))).collect();
        let targets: Vec<f64> = predictions.iter().map(|p| 3.0 - p.value).collect();
        let found = by_community(&rows, &predictions, &targets);
        let names: Vec<&str> = found.iter().map(|row| row.community.as_str()).collect();
        assert_eq!(names, ["large", "small"]);
        assert_eq!(found[1].rows, 5);
        assert_eq!(found[1].spearman, Some(-1.0));
        assert_eq!((found[1].mae, found[1].bias), (2.6, 1.0));
        assert_eq!(found[1].coverage, 0.4);
    }
}
