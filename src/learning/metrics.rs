//! How good predictions are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Error,
    class_metrics::{ClassMetrics, ClassQuestions, ClassScorer},
    pairs::Pairs,
    rank::{Ranked, kendall, precision_at, spearman},
};
use crate::corpus::Row;

/// Metrics by their names; `None` (JSON `null`) where one is not defined, as the rank correlation
/// of a constant.
pub type Metrics = BTreeMap<String, Option<f64>>;

/// The least rows that a community needs in the sample to count in `spearman_within`.
pub const WITHIN_ROWS: usize = 10;

/// The names of [`Scorer::metrics`], in the order of its values.
pub(super) const NAMES: [&str; 20] = [
    "spearman",
    "spearman_within",
    "kendall",
    "pairwise_accuracy",
    "top_decile_precision",
    "r2",
    "mae",
    "rmse",
    "mdape",
    "r2_original",
    "mae_original",
    "rmse_original",
    "roc_auc",
    "average_precision",
    "brier",
    "accuracy",
    "top3_accuracy",
    "macro_f1",
    "macro_roc_auc",
    "log_loss",
];

/// How many of [`NAMES`] are of flags, and of classes, at its end: where the target is none of these
/// they are not told.
const OF_FLAGS: usize = 3;
const OF_CLASSES: usize = 5;

/// How a target on the training scale becomes the number that people know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inverse {
    /// The target is the number itself.
    #[default]
    Identity,
    /// The target is `ln(1 + number)`.
    Expm1,
    /// The target is `ln(number)`.
    Exp,
    /// The target is `log10(number)`.
    Exp10,
    /// The target is the square root of the number.
    Square,
}

impl Inverse {
    /// The number for a target on the training scale.
    pub fn apply(self, target: f64) -> f64 {
        match self {
            Self::Identity => target,
            Self::Expm1 => target.exp_m1(),
            Self::Exp => target.exp(),
            Self::Exp10 => 10_f64.powf(target),
            // A square root is never negative; a prediction can be.
            Self::Square => target.max(0.0).powi(2),
        }
    }
}

/// Targets beside predictions, prepared so that the metrics of many samples are cheap.
#[derive(Debug)]
pub struct Scorer {
    truth: Vec<f64>,
    prediction: Vec<f64>,
    truth_original: Vec<f64>,
    prediction_original: Vec<f64>,
    ranked_truth: Ranked,
    ranked_prediction: Ranked,
    communities: Vec<Community>,
    pairs: Pairs,
    /// The rows by their prediction, the highest first, where every target is 0 or 1.
    flagged: Option<Vec<usize>>,
    /// Rows by their relative error, least first, and that error; rows whose number is 0 have none.
    relative_errors: Vec<(usize, f64)>,
    /// Where the rows are questions about classes.
    classes: Option<ClassScorer>,
}

/// The rows of one community, ranked among themselves.
#[derive(Debug)]
struct Community {
    rows: Vec<usize>,
    truth: Ranked,
    prediction: Ranked,
}

impl Scorer {
    /// Prepares `truth` and `prediction` (both on the training scale, of one length).
    ///
    /// `rows` tell who they are, or are empty. `inverse` leads back to the numbers of `mdape` and of
    /// the `…_original` metrics.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where a number is not finite.
    pub fn new(
        truth: &[f64],
        prediction: &[f64],
        rows: &[&Row],
        inverse: Inverse,
    ) -> Result<Self, Error> {
        debug_assert_eq!(truth.len(), prediction.len());
        for (name, values) in [("target", truth), ("prediction", prediction)] {
            if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::Numerics(format!("a {name} is {bad}")));
            }
        }
        let original = |values: &[f64]| values.iter().map(|&v| inverse.apply(v)).collect();
        let truth_original: Vec<f64> = original(truth);
        let prediction_original: Vec<f64> = original(prediction);

        let mut by_community: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, about) in rows.iter().enumerate() {
            if let Some(name) = &about.community {
                by_community.entry(name).or_default().push(row);
            }
        }
        let pick =
            |values: &[f64], rows: &[usize]| rows.iter().map(|&r| values[r]).collect::<Vec<_>>();
        let communities = by_community
            .into_values()
            .map(|rows| Community {
                truth: Ranked::new(&pick(truth, &rows)),
                prediction: Ranked::new(&pick(prediction, &rows)),
                rows,
            })
            .collect();

        let mut relative_errors: Vec<(usize, f64)> = truth_original
            .iter()
            .zip(&prediction_original)
            .enumerate()
            .filter(|(_, (truth, _))| truth.abs() > 1e-9)
            .map(|(row, (truth, prediction))| (row, ((prediction - truth) / truth).abs()))
            .collect();
        relative_errors.sort_by(|a, b| a.1.total_cmp(&b.1));

        let is_flag = |&target: &f64| target == 0.0 || target == 1.0;
        let flagged = (!truth.is_empty() && truth.iter().all(is_flag)).then(|| {
            let mut order: Vec<usize> = (0..truth.len()).collect();
            order.sort_by(|&a, &b| prediction[b].total_cmp(&prediction[a]));
            order
        });

        Ok(Self {
            flagged,
            classes: None,
            ranked_truth: Ranked::new(truth),
            ranked_prediction: Ranked::new(prediction),
            truth: truth.to_vec(),
            prediction: prediction.to_vec(),
            truth_original,
            prediction_original,
            communities,
            pairs: Pairs::of(rows, truth),
            relative_errors,
        })
    }

    /// The same of rows that are questions about classes, record by record.
    pub(super) fn with_classes(mut self, questions: ClassQuestions) -> Self {
        let (truth, prediction) = (&self.truth, &self.prediction);
        self.classes = Some(ClassScorer::new(questions, truth, prediction));
        self
    }

    /// The metrics of each class of `names`, in their order; none where the rows are no questions
    /// about classes.
    pub(super) fn by_class(&self, names: &[String]) -> Vec<ClassMetrics> {
        let of = |of: &ClassScorer| of.by_class(names, &self.truth, &self.prediction);
        self.classes.as_ref().map_or_else(Vec::new, of)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// The metrics of all rows, each counted once.
    ///
    /// - `spearman`, `kendall` (τ-b): pooled; ties share the mean rank.
    /// - `spearman_within`: the mean over the communities that have at least [`WITHIN_ROWS`] rows
    ///   and no constant side, each with the same weight.
    /// - `pairwise_accuracy`: the share of pairs of one community, made within 30 minutes, that are
    ///   in the right order.
    /// - `top_decile_precision`: the share of the tenth with the greatest predictions that is in
    ///   the tenth with the greatest targets.
    /// - `r2`, `mae`, `rmse`: on the training scale; `…_original`: of the numbers that people know.
    /// - `mdape`: the median of `|prediction − number| / |number|` of the numbers that people know,
    ///   as a share (0.5 is 50 %), over the rows whose number is not 0.
    /// - `roc_auc`, `average_precision`, `brier`: where every target is 0 or 1.
    /// - `accuracy`, `top3_accuracy`: of the records that belong to a class, the share whose most
    ///   probable class, or one of the three most probable, is one of theirs.
    /// - `macro_f1`, `macro_roc_auc`: means over the classes.
    /// - `log_loss`: the mean of `−ln` of the probability of what is so.
    pub fn metrics(&self) -> Metrics {
        let values = self.values(&vec![1; self.len()]);
        let told = NAMES.iter().zip(values).enumerate();
        let told = told.filter(|(at, (_, value))| is_told(*at, *value));
        told.map(|(_, (name, value))| ((*name).to_owned(), value))
            .collect()
    }

    /// The values of [`NAMES`] for a sample in which row `i` occurs `counts[i]` times.
    pub(crate) fn values(&self, counts: &[u32]) -> [Option<f64>; NAMES.len()] {
        let plain = errors(&self.truth, &self.prediction, counts);
        let original = errors(&self.truth_original, &self.prediction_original, counts);
        let of_flags = self.flagged.as_ref().map_or([None; OF_FLAGS], |order| {
            let [roc_auc, average_precision] = flags(order, &self.truth, &self.prediction, counts);
            // The mean squared error of a probability.
            [roc_auc, average_precision, plain[2].map(|rmse| rmse * rmse)]
        });
        let of_classes = self.classes.as_ref().map_or([None; OF_CLASSES], |classes| {
            classes.values(&self.truth, &self.prediction, counts)
        });
        [
            spearman(&self.ranked_truth, &self.ranked_prediction, counts),
            self.within(counts),
            kendall(&self.ranked_truth, &self.ranked_prediction, counts),
            self.pairs.accuracy(&self.prediction, counts),
            self.top_decile(counts),
            plain[0],
            plain[1],
            plain[2],
            self.median_relative_error(counts),
            original[0],
            original[1],
            original[2],
            of_flags[0],
            of_flags[1],
            of_flags[2],
            of_classes[0],
            of_classes[1],
            of_classes[2],
            of_classes[3],
            of_classes[4],
        ]
        .map(|value| value.filter(|value| value.is_finite()))
    }

    fn within(&self, counts: &[u32]) -> Option<f64> {
        let each: Vec<f64> = self
            .communities
            .iter()
            .filter_map(|community| {
                let counts: Vec<u32> = community.rows.iter().map(|&row| counts[row]).collect();
                let rows: u32 = counts.iter().sum();
                (rows as usize >= WITHIN_ROWS)
                    .then(|| spearman(&community.truth, &community.prediction, &counts))?
            })
            .collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    }

    fn top_decile(&self, counts: &[u32]) -> Option<f64> {
        let total: u32 = counts.iter().sum();
        let top = f64::from(total) / 10.0;
        (total >= 10)
            .then(|| precision_at(&self.ranked_truth, &self.ranked_prediction, counts, top))?
    }

    fn median_relative_error(&self, counts: &[u32]) -> Option<f64> {
        let count = |row: usize| u64::from(counts[row]);
        let total: u64 = self
            .relative_errors
            .iter()
            .map(|&(row, _)| count(row))
            .sum();
        let at = |place: u64| {
            let mut before = 0;
            self.relative_errors.iter().find_map(|&(row, error)| {
                before += count(row);
                (before > place).then_some(error)
            })
        };
        // The mean of the two in the middle, which are one where the number is odd.
        let low = at(total.checked_sub(1)? / 2)?;
        Some(f64::midpoint(low, at(total / 2)?))
    }
}

/// Whether the metric at a place of [`NAMES`] is told: one of flags or classes only where it has a
/// value.
pub(super) const fn is_told(at: usize, value: Option<f64>) -> bool {
    at + OF_FLAGS + OF_CLASSES < NAMES.len() || value.is_some()
}

/// The area under the ROC curve, and the mean precision over the recall, of flags in the `order` of
/// their predictions; equal predictions are one step of both.
pub(super) fn flags(
    order: &[usize],
    truth: &[f64],
    prediction: &[f64],
    counts: &[u32],
) -> [Option<f64>; 2] {
    let (mut positives, mut negatives) = (0.0, 0.0);
    let (mut area, mut precisions) = (0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| prediction[a] == prediction[b]) {
        let of = |flag: f64| -> f64 {
            let rows = tied.iter().filter(|&&row| truth[row] == flag);
            rows.map(|&row| f64::from(counts[row])).sum()
        };
        let (hits, misses) = (of(1.0), of(0.0));
        area += misses * (positives + hits / 2.0);
        positives += hits;
        negatives += misses;
        if hits > 0.0 {
            precisions += hits * positives / (positives + negatives);
        }
    }
    let over = |sum: f64, count: f64| (count > 0.0).then(|| sum / count);
    [
        over(area, positives * negatives),
        over(precisions, positives),
    ]
}

/// R², mean absolute error and root of the mean squared error.
fn errors(truth: &[f64], prediction: &[f64], counts: &[u32]) -> [Option<f64>; 3] {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    if total == 0.0 {
        return [None; 3];
    }
    let weighted = |value: &dyn Fn(usize) -> f64| -> f64 {
        let sum: f64 = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(row, &count)| f64::from(count) * value(row))
            .sum();
        sum / total
    };
    let mean = weighted(&|row| truth[row]);
    let spread = weighted(&|row| (truth[row] - mean).powi(2));
    let squared = weighted(&|row| (truth[row] - prediction[row]).powi(2));
    let absolute = weighted(&|row| (truth[row] - prediction[row]).abs());
    // A mean of equal numbers can be another number, by a rounding.
    let is_constant = spread <= (4.0 * f64::EPSILON * mean).powi(2);
    let r2 = (!is_constant).then(|| 1.0 - squared / spread);
    [r2, Some(absolute), Some(squared.sqrt())]
}

/// Spearman between the targets and the noise-free values that a simulated source tells.
///
/// It is the best that any prediction can be expected to reach. Rows without a known value are
/// left out; `None` where fewer than two remain or a side is constant.
pub fn spearman_ceiling(targets: &[f64], expected: &[Option<f64>]) -> Option<f64> {
    let (targets, expected): (Vec<f64>, Vec<f64>) = targets
        .iter()
        .zip(expected)
        .filter_map(|(&target, expected)| {
            expected
                .filter(|value| value.is_finite())
                .map(|expected| (target, expected))
        })
        .unzip();
    let counts = vec![1; targets.len()];
    spearman(&Ranked::new(&targets), &Ranked::new(&expected), &counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(truth: &[f64], prediction: &[f64], inverse: Inverse) -> Metrics {
        Scorer::new(truth, prediction, &[], inverse)
            .unwrap()
            .metrics()
    }

    /// Worked out by hand.
    #[test]
    fn errors_are_what_their_names_say() {
        let found = metrics(
            &[1.0, 2.0, 3.0, 6.0],
            &[2.0, 2.0, 2.0, 4.0],
            Inverse::Identity,
        );
        let near = |name: &str, value: f64| {
            let got = found[name].unwrap();
            assert!((got - value).abs() < 1e-12, "{name}: {got}");
        };
        near("mae", 1.0);
        near("rmse", 1.5_f64.sqrt());
        near("r2", 1.0 - 6.0 / 14.0);
        near("mae_original", 1.0);
        // Relative errors 1, 0, 1/3, 1/3.
        near("mdape", 1.0 / 3.0);
        // Ranks 1 2 3 4 against 2 2 2 4.
        near("spearman", 3.0 / (5.0_f64 * 3.0).sqrt());
        near("kendall", 3.0 / (6.0_f64 * 3.0).sqrt());
    }

    #[test]
    fn the_top_decile_is_shared_by_equals() {
        let truth: Vec<f64> = (0..20).map(f64::from).collect();
        let of = |prediction: &[f64]| {
            metrics(&truth, prediction, Inverse::Identity)["top_decile_precision"].unwrap()
        };
        assert_eq!(of(&truth), 1.0);
        let reversed: Vec<f64> = truth.iter().map(|value| -value).collect();
        assert_eq!(of(&reversed), 0.0);
        assert!((of(&[1.0; 20]) - 0.1).abs() < 1e-12, "by chance");
        // The best one first, then four that share a place of two, the second best among them.
        let mut shared = vec![0.0; 20];
        (shared[19], shared[18]) = (2.0, 1.0);
        shared[..3].fill(1.0);
        assert!((of(&shared) - f64::midpoint(1.0, 0.25)).abs() < 1e-12);
        let few = metrics(&[1.0, 2.0], &[1.0, 2.0], Inverse::Identity);
        assert_eq!(few["top_decile_precision"], None);
    }

    /// As scikit-learn's `roc_auc_score`, `average_precision_score` and `brier_score_loss` say.
    #[test]
    fn flags_have_metrics_of_their_own() {
        let truth = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let prediction = [0.1, 0.8, 0.4, 0.4, 0.9, 0.3, 0.4];
        let found = metrics(&truth, &prediction, Inverse::Identity);
        let near = |name: &str, value: f64| {
            let got = found[name].unwrap();
            assert!((got - value).abs() < 1e-9, "{name}: {got}");
        };
        near("roc_auc", 11.0 / 12.0);
        near("average_precision", 13.0 / 15.0);
        near("brier", 0.83 / 7.0);
        let found = metrics(&[0.0, 2.0], &prediction[..2], Inverse::Identity);
        assert!(!found.contains_key("roc_auc") && !found.contains_key("brier"));
        let found = metrics(&[0.0, 0.0], &prediction[..2], Inverse::Identity);
        assert!(!found.contains_key("roc_auc") && found.contains_key("brier"));
    }

    #[test]
    fn originals_are_transformed_back() {
        let truth = [0.0_f64.ln_1p(), 9.0_f64.ln_1p()];
        let found = metrics(&truth, &[4.0_f64.ln_1p(), 12.0_f64.ln_1p()], Inverse::Expm1);
        assert!((found["mae_original"].unwrap() - 3.5).abs() < 1e-9);
        assert!((found["mdape"].unwrap() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_constant_prediction_has_no_rank_correlation() {
        let found = metrics(&[1.0, 2.0, 3.0], &[2.0; 3], Inverse::Identity);
        assert_eq!((found["spearman"], found["kendall"]), (None, None));
        assert_eq!(found["r2"], Some(0.0));
        assert!(
            serde_json::to_string(&found)
                .unwrap()
                .contains("\"spearman\":null")
        );
    }

    #[test]
    fn a_constant_target_has_no_explained_variance() {
        let truth = [8.0_f64.ln(); 40];
        let found = metrics(&truth, &[2.0; 40], Inverse::Identity);
        assert_eq!((found["r2"], found["spearman"]), (None, None));
        assert!(found["mae"].is_some());
    }

    #[test]
    fn communities_weigh_the_same_and_small_ones_nothing() {
        let mut truth: Vec<f64> = (0..40).map(f64::from).collect();
        let mut prediction = truth.clone();
        let mut community = vec!["large"; 40];
        truth.extend((0..10).map(f64::from));
        prediction.extend((0..10).map(|i| -f64::from(i)));
        community.extend(["small"; 10]);
        truth.extend([0.0, 1.0]);
        prediction.extend([1.0, 0.0]);
        community.extend(["tiny"; 2]);
        let rows: Vec<Row> = community
            .into_iter()
            .map(|community| Row {
                id: String::new(),
                created_at: None,
                community: Some(community.to_owned()),
                author: None,
                order: None,
                classes: Vec::new(),
                label: None,
            })
            .collect();
        let rows: Vec<&Row> = rows.iter().collect();
        let found = Scorer::new(&truth, &prediction, &rows, Inverse::Identity)
            .unwrap()
            .metrics();
        assert!(found["spearman_within"].unwrap().abs() < 1e-12);
    }

    #[test]
    fn the_ceiling_leaves_unknown_rows_out() {
        let ceiling = spearman_ceiling(
            &[1.0, 2.0, 3.0, 0.0],
            &[Some(0.1), Some(0.2), Some(0.3), None],
        );
        assert_eq!(ceiling, Some(1.0));
        assert_eq!(spearman_ceiling(&[1.0], &[None]), None);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        let error = Scorer::new(&[1.0], &[f64::NAN], &[], Inverse::Identity).unwrap_err();
        assert_eq!(error.to_string(), "a prediction is NaN");
    }
}
