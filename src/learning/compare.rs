//! Two models on the same rows.

use serde::Serialize;

use super::{
    Error,
    bootstrap::{Bootstrap, Intervals},
    class_metrics::ClassQuestions,
    metrics::{Inverse, Metrics, Scorer},
};
use crate::corpus::Row;

/// The share of resamples that an interval holds.
const COVERAGE: f64 = 0.95;
/// How many samples the intervals are made of.
const RESAMPLES: usize = 1000;

/// Two models on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The metrics of the first.
    pub a: Metrics,
    /// The metrics of the second.
    pub b: Metrics,
    /// The second's metrics minus the first's, with 95 % intervals of that difference: both are
    /// measured on the same samples of rows, so that what is hard for both falls out.
    pub difference: Intervals,
}

/// Compares the predictions `a` and `b` of the same `rows`, all on the training scale; `classes` tells
/// how each decides, where the rows are questions about classes.
///
/// # Errors
///
/// [`Error::Numerics`] where a number is not finite.
pub fn compare(
    rows: &[&Row],
    targets: &[f64],
    (a, b): (&[f64], &[f64]),
    classes: Option<[ClassQuestions; 2]>,
    (inverse, seed): (Inverse, u64),
) -> Result<Comparison, Error> {
    let scorer = |predictions| Scorer::new(targets, predictions, rows, inverse);
    let (mut a, mut b) = (scorer(a)?, scorer(b)?);
    if let Some([of_a, of_b]) = classes {
        (a, b) = (a.with_classes(of_a), b.with_classes(of_b));
    }
    let bootstrap = Bootstrap::new(rows, RESAMPLES, COVERAGE, seed);
    Ok(Comparison {
        difference: bootstrap.draw(&b).more_than(&bootstrap.draw(&a)),
        a: a.metrics(),
        b: b.metrics(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn the_second_minus_the_first() {
        let row = |i: i64| Row {
            id: i.to_string(),
            created_at: Some(Timestamp::from_millis(i * 86_400_000)),
            community: Some(["a", "b"][usize::from(i % 2 == 0)].to_owned()),
            author: None,
            order: None,
            classes: Vec::new(),
            label: None,
        };
        let rows: Vec<Row> = (0..40).map(row).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        let targets: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 40)).collect();
        let off: Vec<f64> = targets.iter().map(|target| target + 1.0).collect();
        let compared = compare(
            &rows,
            &targets,
            (&off, &targets),
            None,
            (Inverse::Identity, 1),
        )
        .unwrap();
        assert_eq!(compared.a["mae"], Some(1.0));
        assert_eq!(compared.b["mae"], Some(0.0));
        let mae = compared.difference["mae"];
        assert_eq!((mae.low, mae.high), (Some(-1.0), Some(-1.0)));
        assert_eq!(compared.difference["spearman_within"].value, Some(0.0));
    }
}
