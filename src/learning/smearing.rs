//! From a predicted target back to the number that people know.
//!
//! The expected score is not `expm1` of the expected `log1p(score)`: a curve that bends upwards
//! makes more of what lies above than of what lies below. Duan's smearing estimate takes the mean of
//! the numbers at the prediction plus each residual (Duan 1983, "Smearing Estimate: A Nonparametric
//! Retransformation Method").

use serde::{Deserialize, Serialize};

use super::{bootstrap::quantile, heads::Prediction, metrics::Inverse};

/// How many residuals stand for all.
const KNOTS: usize = 64;

/// The way back, with what targets of unseen rows were off by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Smearing {
    inverse: Inverse,
    /// Target minus prediction, at even shares of the rows.
    residuals: Vec<f64>,
}

impl Smearing {
    /// From residuals (target minus prediction) of rows that were not learned; nothing where the
    /// target is the number itself.
    pub(crate) fn fit(inverse: Inverse, residuals: &[f64]) -> Option<Self> {
        if inverse == Inverse::Identity {
            return None;
        }
        let mut sorted = residuals.to_vec();
        sorted.sort_by(f64::total_cmp);
        let share = |at: usize| (at as f64 + 0.5) / KNOTS as f64;
        let residuals = (0..KNOTS).filter_map(|at| quantile(&sorted, share(at)));
        Some(Self {
            inverse,
            residuals: residuals.collect(),
        })
    }

    /// The expected number, and the ends of its interval.
    pub(crate) fn back(&self, prediction: &Prediction) -> Prediction {
        let number = |target| self.inverse.apply(target);
        let (low, high) = (number(prediction.low), number(prediction.high));
        let each = self
            .residuals
            .iter()
            .map(|residual| number(prediction.value + residual));
        let mean = each.sum::<f64>() / self.residuals.len() as f64;
        let mean = if self.residuals.is_empty() {
            number(prediction.value)
        } else {
            mean
        };
        Prediction {
            value: mean,
            // A mean can lie outside the quantiles of a skewed number.
            low: low.min(mean),
            high: high.max(mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_a_bent_curve_is_found() {
        // Residuals of a normal distribution of deviation 1: the mean of `exp` is e^(m + 1/2).
        let mut generator = crate::learning::seeds::generator(3, "residuals");
        let normal = |_| {
            use rand::RngExt as _;
            (0..12).map(|_| generator.random::<f64>()).sum::<f64>() - 6.0
        };
        let residuals: Vec<f64> = (0..20_000).map(normal).collect();
        let smearing = Smearing::fit(Inverse::Exp, &residuals).unwrap();
        let found = smearing.back(&Prediction {
            value: 2.0,
            low: 1.0,
            high: 3.0,
        });
        assert!(
            (found.value / 2.5_f64.exp() - 1.0).abs() < 0.03,
            "{found:?}"
        );
        assert_eq!((found.low, found.high), (1.0_f64.exp(), 3.0_f64.exp()));
    }

    #[test]
    fn without_residuals_or_a_curve_nothing_is_added() {
        assert_eq!(Smearing::fit(Inverse::Identity, &[1.0]), None);
        let smearing = Smearing::fit(Inverse::Expm1, &[]).unwrap();
        let prediction = Prediction {
            value: 1.0,
            low: 0.0,
            high: 2.0,
        };
        assert_eq!(smearing.back(&prediction).value, 1.0_f64.exp_m1());
    }
}
