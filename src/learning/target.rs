//! The scale on which a head learns, and the way back.
//!
//! Scores have heavy tails even as logarithms, and a squared error spends itself on them. A head
//! may therefore learn the *rank* of the target among the training rows: the expected rank is what
//! orders rows best (Spearman's correlation is that of ranks). A monotone curve, fitted on rows
//! that the head had not seen, then leads back to the expected target; it never swaps two rows.

use serde::{Deserialize, Serialize};

use super::bootstrap::quantile;

/// The most points that describe a distribution of targets.
const MOST_KNOTS: usize = 512;
/// The most points of the curve back, and the least rows for each.
const MOST_BINS: usize = 24;
const LEAST_IN_BIN: usize = 20;

/// The scale on which a head learns: mean 0 and deviation about 1 over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum TargetScale {
    /// `(target − mean) / deviation`.
    Standard {
        /// Over the training rows.
        mean: f64,
        /// Over the training rows; 1 where they are all equal.
        deviation: f64,
    },
    /// The rank among the training rows, linear between the knots.
    Rank {
        /// Targets, ascending.
        targets: Vec<f64>,
        /// Their ranks, scaled to mean 0 and deviation 1.
        ranks: Vec<f64>,
    },
}

impl TargetScale {
    /// The standard scale of these training targets.
    pub(crate) fn standard(targets: &[f64]) -> Self {
        let count = targets.len() as f64;
        let mean = targets.iter().sum::<f64>() / count;
        let variance = targets.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / count;
        let deviation = if variance > 1e-18 {
            variance.sqrt()
        } else {
            1.0
        };
        Self::Standard { mean, deviation }
    }

    /// Targets as they are.
    pub(crate) const fn plain() -> Self {
        Self::Standard {
            mean: 0.0,
            deviation: 1.0,
        }
    }

    /// The rank scale of these training targets; equal targets share the mean of their places.
    pub(crate) fn rank(targets: &[f64]) -> Self {
        let mut sorted = targets.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let mut knots = Vec::new();
        let mut before = 0;
        for tied in sorted.chunk_by(|a, b| a == b) {
            let middle = before as f64 + tied.len() as f64 / 2.0;
            // A uniform share has the deviation √(1/12).
            knots.push((tied[0], (middle / count - 0.5) * 12.0_f64.sqrt()));
            before += tied.len();
        }
        let step = knots.len().div_ceil(MOST_KNOTS);
        let last = knots.len() - 1;
        let (targets, ranks) = knots
            .into_iter()
            .enumerate()
            .filter(|(at, _)| at % step == 0 || *at == last)
            .map(|(_, knot)| knot)
            .unzip();
        Self::Rank { targets, ranks }
    }

    /// A target on this scale.
    pub(crate) fn scaled(&self, target: f64) -> f64 {
        match self {
            Self::Standard { mean, deviation } => (target - mean) / deviation,
            Self::Rank { targets, ranks } => interpolate(targets, ranks, target),
        }
    }

    /// Targets on this scale.
    pub(crate) fn all_scaled(&self, targets: &[f64]) -> Vec<f64> {
        let targets = targets.iter();
        targets.map(|&target| self.scaled(target)).collect()
    }

    /// The target that lies at `scaled`; of a rank, a target between the least and the greatest.
    pub(crate) fn target(&self, scaled: f64) -> f64 {
        match self {
            Self::Standard { mean, deviation } => scaled * deviation + mean,
            Self::Rank { targets, ranks } => interpolate(ranks, targets, scaled),
        }
    }
}

/// The way from a prediction on the scale to the expected target: strictly increasing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    scaled: Vec<f64>,
    targets: Vec<f64>,
    /// What a step of 1 on the scale adds, so that the order of predictions is never lost.
    slope: f64,
}

impl Curve {
    /// Fits the curve to predictions of rows that the head had not seen, and their targets.
    pub(crate) fn fit(scaled: &[f64], targets: &[f64]) -> Self {
        let mut pairs: Vec<(f64, f64)> = scaled
            .iter()
            .copied()
            .zip(targets.iter().copied())
            .collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bins = (pairs.len() / LEAST_IN_BIN).clamp(1, MOST_BINS);
        let mean = |of: &[(f64, f64)]| {
            let count = of.len() as f64;
            let (x, y) = of.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
            (x / count, y / count, count)
        };
        // Neighbours that fall are pooled until none does (isotonic regression of the bins).
        let mut pooled: Vec<(f64, f64, f64)> = Vec::with_capacity(bins);
        for bin in 0..bins {
            let of = &pairs[bin * pairs.len() / bins..(bin + 1) * pairs.len() / bins];
            if of.is_empty() {
                continue;
            }
            pooled.push(mean(of));
            while let [.., a, b] = pooled[..] {
                if a.1 < b.1 && a.0 < b.0 {
                    break;
                }
                let count = a.2 + b.2;
                let middle = |a_value, b_value| (a_value * a.2 + b_value * b.2) / count;
                pooled.truncate(pooled.len() - 2);
                pooled.push((middle(a.0, b.0), middle(a.1, b.1), count));
            }
        }
        let (scaled, targets): (Vec<f64>, Vec<f64>) = pooled.iter().map(|p| (p.0, p.1)).unzip();
        let range = match (targets.first(), targets.last()) {
            (Some(low), Some(high)) if high > low => high - low,
            _ => 1.0,
        };
        Self {
            scaled,
            targets,
            slope: 1e-3 * range,
        }
    }

    /// The expected target of a prediction on the scale.
    pub(crate) fn target(&self, scaled: f64) -> f64 {
        interpolate(&self.scaled, &self.targets, scaled) + self.slope * scaled
    }
}

/// How far targets lie from predictions, on the scale: what a split-conformal interval adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reach {
    low: f64,
    high: f64,
}

impl Reach {
    /// From the residuals (target minus prediction, on the scale) of rows that were not learned.
    ///
    /// The quantiles are those of `n + 1` places, so that the interval holds a new target with at
    /// least the probability `coverage` where rows can be exchanged.
    pub(crate) fn fit(residuals: &[f64], coverage: f64) -> Self {
        let Self { low, high } = Self::beyond(residuals, residuals, coverage);
        Self {
            low: low.min(0.0),
            high: high.max(0.0),
        }
    }

    /// From the residuals and how far from each prediction the ends of its interval were expected:
    /// what these ends are off by. Less than nothing where they were too far out (Romano, Patterson
    /// and Candès, "Conformalized quantile regression", 2019, theorem 2).
    pub(crate) fn of_spread(residuals: &[f64], spread: &[[f64; 2]], coverage: f64) -> Self {
        let beyond = |end: usize| -> Vec<f64> {
            let both = residuals.iter().zip(spread);
            both.map(|(residual, ends)| residual - ends[end]).collect()
        };
        Self::beyond(&beyond(0), &beyond(1), coverage)
    }

    fn beyond(low: &[f64], high: &[f64], coverage: f64) -> Self {
        let more = (low.len() as f64 + 1.0) / (low.len() as f64).max(1.0);
        let tail = ((1.0 - coverage) / 2.0).clamp(0.0, 0.5);
        let high_share = ((1.0 - tail) * more).min(1.0);
        let at = |values: &[f64], share| {
            let mut sorted = values.to_vec();
            sorted.sort_by(f64::total_cmp);
            quantile(&sorted, share).unwrap_or(0.0)
        };
        Self {
            low: at(low, 1.0 - high_share),
            high: at(high, high_share),
        }
    }

    /// The ends of the interval of a prediction on the scale, which were expected so far from it.
    pub(crate) fn around(&self, scaled: f64, spread: [f64; 2]) -> (f64, f64) {
        (
            scaled + spread[0] + self.low,
            scaled + spread[1] + self.high,
        )
    }
}

/// `y` at `x`, linear between the knots and constant beyond them; `xs` ascends.
fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let above = xs.partition_point(|&knot| knot <= x);
    match (above.checked_sub(1), above < xs.len()) {
        (None, _) => ys[0],
        (Some(below), false) => ys[below],
        (Some(below), true) => {
            let share = (x - xs[below]) / (xs[above] - xs[below]);
            ys[below] + share * (ys[above] - ys[below])
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scales_lead_back(targets in prop::collection::vec(-50.0_f64..50.0, 2..200)) {
            for scale in [TargetScale::standard(&targets), TargetScale::rank(&targets)] {
                for &target in &targets {
                    let back = scale.target(scale.scaled(target));
                    prop_assert!((back - target).abs() < 1e-6, "{} {}", target, back);
                }
                let mean: f64 = targets.iter().map(|&t| scale.scaled(t)).sum::<f64>() / targets.len() as f64;
                prop_assert!(mean.abs() < 1e-6);
            }
        }

        #[test]
        fn the_curve_never_swaps_two_rows(
            pairs in prop::collection::vec((-2.0_f64..2.0, -5.0_f64..5.0), 1..300),
            a in -4.0_f64..4.0,
            step in 1e-6_f64..1.0,
        ) {
            let (scaled, targets): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let curve = Curve::fit(&scaled, &targets);
            prop_assert!(curve.target(a) < curve.target(a + step));
        }
    }

    #[test]
    fn ties_share_a_rank() {
        let scale = TargetScale::rank(&[1.0, 1.0, 1.0, 5.0]);
        let unit = 12.0_f64.sqrt();
        assert!((scale.scaled(1.0) - (0.375 - 0.5) * unit).abs() < 1e-12);
        assert!((scale.scaled(9.0) - (0.875 - 0.5) * unit).abs() < 1e-12);
    }

    #[test]
    fn many_targets_need_few_knots() {
        let targets: Vec<f64> = (0..5000).map(f64::from).collect();
        let TargetScale::Rank { targets: knots, .. } = TargetScale::rank(&targets) else {
            panic!("a rank scale");
        };
        assert!(knots.len() <= MOST_KNOTS + 1 && knots.last() == Some(&4999.0));
    }

    #[test]
    fn the_curve_finds_the_expected_target() {
        let scaled: Vec<f64> = (0..1000).map(|i| f64::from(i) / 500.0 - 1.0).collect();
        let targets: Vec<f64> = scaled.iter().map(|s| s.exp()).collect();
        let curve = Curve::fit(&scaled, &targets);
        assert!((curve.target(0.3) - 0.3_f64.exp()).abs() < 0.02);
    }

    #[test]
    fn intervals_hold_what_they_promise() {
        let residuals: Vec<f64> = (0..1000).map(|i| f64::from(i) / 500.0 - 1.0).collect();
        let (low, high) = Reach::fit(&residuals, 0.8).around(10.0, [0.0; 2]);
        assert!((low - 9.2).abs() < 0.01 && (high - 10.8).abs() < 0.01);
        assert_eq!(Reach::fit(&[], 0.8).around(1.0, [0.0; 2]), (1.0, 1.0));
    }
}
