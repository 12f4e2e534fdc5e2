//! Intervals for metrics, by drawing the test rows again.

use std::collections::BTreeMap;

use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::{
    metrics::{NAMES, Scorer, is_told},
    seeds,
};
use crate::corpus::Row;

/// A metric with its interval; `None` (JSON `null`) where it is not defined.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The metric of the rows as they are.
    pub value: Option<f64>,
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// Intervals by the names of their metrics.
pub type Intervals = BTreeMap<String, Interval>;

/// The least blocks that are worth drawing from; fewer say little about the spread.
const LEAST_BLOCKS: usize = 10;

/// Samples of rows, drawn once and used for every set of predictions of the same rows, so that
/// the intervals of two models are of the same samples.
#[derive(Debug)]
pub struct Bootstrap {
    samples: Vec<Vec<u32>>,
    /// The share of samples below an interval, and above it.
    tail: f64,
}

impl Bootstrap {
    /// Draws `resamples` samples of `rows`, for intervals that hold the truth with probability
    /// `coverage` (0.95, say).
    ///
    /// Posts of one day share what happened that day, so whole days are drawn, with replacement,
    /// where at least ten are there; else blocks of 6 hours, else of one hour, else single records;
    /// rows without times are drawn record by record.
    pub fn new(rows: &[&Row], resamples: usize, coverage: f64, seed: u64) -> Self {
        let blocks = blocks(rows);
        let mut generator = seeds::generator(seed, "bootstrap");
        let samples = (0..resamples)
            .map(|_| {
                let mut counts = vec![0; rows.len()];
                for _ in 0..blocks.len() {
                    for &row in &blocks[generator.random_range(0..blocks.len())] {
                        counts[row] += 1;
                    }
                }
                counts
            })
            .collect();
        Self {
            samples,
            tail: tail(coverage, blocks.len()),
        }
    }

    /// The metrics of all rows, and of each sample.
    pub fn draw(&self, scorer: &Scorer) -> Drawn {
        Drawn {
            point: scorer.values(&vec![1; scorer.len()]),
            samples: self
                .samples
                .par_iter()
                .map(|counts| scorer.values(counts))
                .collect(),
            tail: self.tail,
        }
    }

    /// The percentile intervals of all metrics of `scorer`.
    pub fn intervals(&self, scorer: &Scorer) -> Intervals {
        self.draw(scorer).intervals()
    }
}

/// The metrics of the rows as they are and of each sample, by the order of `NAMES`.
#[derive(Clone, Debug)]
pub struct Drawn {
    point: Values,
    samples: Vec<Values>,
    tail: f64,
}

type Values = [Option<f64>; NAMES.len()];

impl Drawn {
    /// The percentile intervals of all metrics.
    pub fn intervals(&self) -> Intervals {
        self.spread(|values, _| values)
    }

    /// The percentile intervals of what this has more of each metric than `other`, sample by
    /// sample: what is common to both falls out. Both are of one [`Bootstrap`].
    pub fn more_than(&self, other: &Self) -> Intervals {
        let subtract = |own: Values, at: Option<usize>| {
            let others = at.map_or(other.point, |at| other.samples[at]);
            std::array::from_fn(|i| Some(own[i]? - others[i]?))
        };
        self.spread(subtract)
    }

    /// Intervals of what `of` makes of the metrics; its second argument is the sample.
    fn spread(&self, of: impl Fn(Values, Option<usize>) -> Values) -> Intervals {
        let point = of(self.point, None);
        let samples = self.samples.iter().enumerate();
        let drawn: Vec<Values> = samples.map(|(at, &values)| of(values, Some(at))).collect();
        NAMES
            .iter()
            .enumerate()
            .filter(|&(at, _)| is_told(at, point[at]))
            .map(|(at, &name)| {
                let mut values: Vec<f64> = drawn.iter().filter_map(|sample| sample[at]).collect();
                values.sort_by(f64::total_cmp);
                let value = point[at];
                let end = |share| value.and_then(|_| quantile(&values, share));
                let interval = Interval {
                    value,
                    low: end(self.tail),
                    high: end(1.0 - self.tail),
                };
                (name.to_owned(), interval)
            })
            .collect()
    }
}

/// The share of samples that an interval leaves out at each end, for it to hold the truth with
/// probability `coverage` where `blocks` are drawn.
///
/// Samples of few blocks spread too little, by `√((B − 1) / B)`, and with tails as thin as the
/// normal distribution's; the share is that of Student's t with `B − 1` degrees of freedom, made
/// wider by as much: the expanded percentile interval (Hesterberg 2015, *What Teachers Should Know
/// about the Bootstrap*). With ten blocks 0.9 % are left out in place of 2.5 %, with a
/// hundred 2.3 %. With one block nothing is known, and nothing left out.
fn tail(coverage: f64, blocks: usize) -> f64 {
    let plain = (1.0 - coverage) / 2.0;
    let Ok(student) = StudentsT::new(0.0, 1.0, blocks as f64 - 1.0) else {
        return 0.0;
    };
    let wider = (blocks as f64 / (blocks as f64 - 1.0)).sqrt();
    Normal::standard().cdf(student.inverse_cdf(plain) * wider)
}

/// The quantile of sorted values, linear between two; `None` where there are none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    Some(low + (high - low) * place.fract())
}

/// The rows in the blocks that are drawn together.
fn blocks(rows: &[&Row]) -> Vec<Vec<usize>> {
    let times: Option<Vec<i64>> = rows
        .iter()
        .map(|row| {
            row.created_at
                .map(super::super::clock::Timestamp::as_millis)
        })
        .collect();
    if let Some(times) = times {
        for hours in [24, 6, 1] {
            let mut by_block: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
            for (row, time) in times.iter().enumerate() {
                let block = time.div_euclid(hours * 3_600_000);
                by_block.entry(block).or_default().push(row);
            }
            if by_block.len() >= LEAST_BLOCKS {
                return by_block.into_values().collect();
            }
        }
    }
    // Questions about the classes of one record stay together.
    let places: Vec<usize> = (0..rows.len()).collect();
    let records = places.chunk_by(|&a, &b| is_same(rows[a], rows[b]));
    records.map(<[usize]>::to_vec).collect()
}

/// Whether two rows are of one record.
fn is_same(a: &Row, b: &Row) -> bool {
    a.id == b.id && !a.id.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, learning::metrics::Inverse};

    fn rows(count: i64, hours_apart: i64) -> Vec<Row> {
        (0..count)
            .map(|i| Row {
                id: i.to_string(),
                created_at: Some(Timestamp::from_millis(i * hours_apart * 3_600_000)),
                community: None,
                author: None,
                order: None,
                classes: Vec::new(),
                label: None,
            })
            .collect()
    }

    #[test]
    fn days_stay_together_where_there_are_enough() {
        let many = rows(480, 1);
        assert_eq!(blocks(&many.iter().collect::<Vec<_>>()).len(), 20);
        let few = rows(72, 1);
        assert_eq!(blocks(&few.iter().collect::<Vec<_>>()).len(), 12);
        let mut bare = rows(30, 1);
        bare[3].created_at = None;
        assert_eq!(blocks(&bare.iter().collect::<Vec<_>>()).len(), 30);
    }

    /// The interval of a mean of independent errors is close to the one of the textbook.
    #[test]
    fn intervals_cover_the_value_and_repeat() {
        let rows = rows(400, 24);
        let rows: Vec<&Row> = rows.iter().collect();
        let truth: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let prediction: Vec<f64> = (0..400).map(|i| f64::from(i % 20 + i % 3)).collect();
        let scorer = Scorer::new(&truth, &prediction, &[], Inverse::Identity).unwrap();
        let first = Bootstrap::new(&rows, 400, 0.95, 7).intervals(&scorer);
        let mae = first["mae"];
        let spread = 1.96 * (2.0_f64 / 3.0).sqrt() / 20.0;
        assert!(
            (mae.low.unwrap() - (mae.value.unwrap() - spread)).abs() < 0.02,
            "{mae:?}"
        );
        assert!(
            (mae.high.unwrap() - (mae.value.unwrap() + spread)).abs() < 0.02,
            "{mae:?}"
        );
        assert_eq!(
            first,
            Bootstrap::new(&rows, 400, 0.95, 7).intervals(&scorer)
        );
        assert_eq!(first["spearman_within"].value, None);
        assert_eq!(first["spearman_within"].low, None);
    }

    #[test]
    fn the_difference_to_a_worse_one_is_surer_than_either() {
        let rows = rows(400, 24);
        let rows: Vec<&Row> = rows.iter().collect();
        let truth: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 101)).collect();
        let noisy = |by: f64| -> Vec<f64> {
            let noise = (0..400).map(|i| f64::from(i * 53 % 97) - 48.0);
            truth.iter().zip(noise).map(|(t, n)| t + by * n).collect()
        };
        let bootstrap = Bootstrap::new(&rows, 400, 0.95, 7);
        let drawn = |by| {
            let scorer = Scorer::new(&truth, &noisy(by), &[], Inverse::Identity).unwrap();
            bootstrap.draw(&scorer)
        };
        let (better, worse) = (drawn(0.9), drawn(1.0));
        let more = better.more_than(&worse)["spearman"];
        let own = (
            better.intervals()["spearman"],
            worse.intervals()["spearman"],
        );
        assert_eq!(
            more.value.unwrap(),
            own.0.value.unwrap() - own.1.value.unwrap()
        );
        assert!(more.low.unwrap() > 0.0, "{more:?}");
        assert!(own.0.low.unwrap() < own.1.high.unwrap(), "{own:?}");
        let same = better.more_than(&better)["mae"];
        assert_eq!((same.low, same.high), (Some(0.0), Some(0.0)));
        assert_eq!(better.more_than(&worse)["spearman_within"].value, None);
    }

    /// Values of `SciPy`'s `norm.cdf(sqrt(b / (b - 1)) * t.ppf(0.025, b - 1))`.
    #[test]
    fn few_blocks_make_wide_intervals() {
        for (blocks, expected) in [
            (5, 0.0010),
            (10, 0.0086),
            (20, 0.0159),
            (40, 0.0203),
            (100, 0.0231),
        ] {
            let found = tail(0.95, blocks);
            assert!((found - expected).abs() < 1e-4, "{blocks}: {found}");
        }
        assert!(tail(0.8, 1_000_000) > 0.099_99);
        assert_eq!((tail(0.95, 1), tail(0.95, 0)), (0.0, 0.0));
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
