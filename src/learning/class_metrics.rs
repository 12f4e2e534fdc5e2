//! How good predictions of classes are.

use serde::{Deserialize, Serialize};

use super::metrics::flags;

/// The least probability that a logarithm is taken of, as in scikit-learn.
const LEAST_PROBABILITY: f64 = f64::EPSILON;
/// Among how many of the most probable classes `top3_accuracy` looks.
const TOP: usize = 3;

/// How questions about classes belong together: each record is asked about once per class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassQuestions {
    /// How many classes there are.
    pub per_record: usize,
    /// From which probability on a record counts as one of a class; nothing where it belongs to one
    /// class, which then is the most probable one.
    pub threshold: Option<f64>,
    /// Whether each record belongs to a class at all.
    pub belongs: Vec<bool>,
}

/// How a model does in one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub class: String,
    /// How many test rows belong to it.
    pub rows: usize,
    /// How many were predicted to.
    pub predicted: usize,
    /// The share of those predicted that belong to it; nothing where none was.
    pub precision: Option<f64>,
    /// The share of those that belong to it that were predicted; nothing where none does.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// The area under the ROC curve.
    pub roc_auc: Option<f64>,
}

/// What the metrics of classes need of predictions, prepared so that many samples are cheap.
#[derive(Debug)]
pub(super) struct ClassScorer {
    questions: ClassQuestions,
    /// Whether each record counts as one of each class.
    decided: Vec<bool>,
    /// By record: at which place, from 0, a class of its own comes among its most probable ones.
    place: Vec<Option<usize>>,
    /// By record.
    loss: Vec<f64>,
    /// By class, the questions about it, the most probable first.
    order: Vec<Vec<usize>>,
}

/// How often what was predicted is so.
#[derive(Clone, Copy, Default)]
struct Hits {
    right: f64,
    predicted: f64,
    there: f64,
}

impl Hits {
    fn share(part: f64, of: f64) -> Option<f64> {
        (of > 0.0).then(|| part / of)
    }

    /// The harmonic mean of precision and recall; nothing where neither is defined.
    fn f1(self) -> Option<f64> {
        Self::share(2.0 * self.right, self.predicted + self.there)
    }
}

impl ClassScorer {
    /// Of flags and probabilities, record by record.
    pub(super) fn new(questions: ClassQuestions, truth: &[f64], probability: &[f64]) -> Self {
        let per = questions.per_record;
        let records = questions.belongs.len();
        debug_assert_eq!(
            (truth.len(), probability.len()),
            (per * records, per * records)
        );
        let mut decided = vec![false; truth.len()];
        let mut place = Vec::with_capacity(records);
        let mut loss = Vec::with_capacity(records);
        for record in 0..records {
            let of = record * per..(record + 1) * per;
            let mut by_probability: Vec<usize> = of.clone().collect();
            by_probability.sort_by(|&a, &b| probability[b].total_cmp(&probability[a]));
            place.push(by_probability.iter().position(|&at| truth[at] == 1.0));
            match questions.threshold {
                Some(threshold) => {
                    for at in of.clone() {
                        decided[at] = probability[at] >= threshold;
                    }
                }
                None => decided[by_probability[0]] = true,
            }
            let surprise =
                |share: f64| -share.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY).ln();
            loss.push(if questions.threshold.is_some() {
                let each = of.map(|at| {
                    let share = probability[at];
                    surprise(if truth[at] == 1.0 { share } else { 1.0 - share })
                });
                each.sum::<f64>() / per as f64
            } else {
                let own = of.clone().find(|&at| truth[at] == 1.0);
                surprise(own.map_or(0.0, |at| probability[at]))
            });
        }
        let order = (0..per).map(|class| {
            let mut order: Vec<usize> = (0..records).map(|record| record * per + class).collect();
            order.sort_by(|&a, &b| probability[b].total_cmp(&probability[a]));
            order
        });
        Self {
            order: order.collect(),
            questions,
            decided,
            place,
            loss,
        }
    }

    /// For a sample in which question `i` occurs `counts[i]` times:
    ///
    /// - `accuracy`: of the records that belong to a class, the share whose most probable class is
    ///   one of theirs;
    /// - `top3_accuracy`: the same of the three most probable;
    /// - `macro_f1`: the mean over the classes of the harmonic mean of precision and recall;
    /// - `macro_roc_auc`: the mean over the classes of the area under the ROC curve;
    /// - `log_loss`: the mean of `−ln` of the probability of what is so.
    pub(super) fn values(
        &self,
        truth: &[f64],
        probability: &[f64],
        counts: &[u32],
    ) -> [Option<f64>; 5] {
        let per = self.questions.per_record;
        let records = || 0..self.questions.belongs.len();
        let count = |record: usize| f64::from(counts[record * per]);
        let belonging: f64 = records()
            .filter(|&record| self.questions.belongs[record])
            .map(count)
            .sum();
        let within = |places: usize| -> f64 {
            records()
                .filter(|&record| self.place[record].is_some_and(|place| place < places))
                .map(count)
                .sum()
        };
        let all: f64 = records().map(count).sum();
        let lost: f64 = records()
            .map(|record| count(record) * self.loss[record])
            .sum();
        let classes = 0..per;
        let f1 = classes
            .clone()
            .filter_map(|class| self.hits(class, truth, counts).f1());
        let area = classes.filter_map(|class| {
            let [area, _] = flags(&self.order[class], truth, probability, counts);
            area
        });
        [
            Hits::share(within(1), belonging),
            Hits::share(within(TOP), belonging),
            mean(f1),
            mean(area),
            Hits::share(lost, all),
        ]
    }

    fn hits(&self, class: usize, truth: &[f64], counts: &[u32]) -> Hits {
        let mut hits = Hits::default();
        for at in (class..truth.len()).step_by(self.questions.per_record) {
            let count = f64::from(counts[at]);
            let (there, predicted) = (truth[at] == 1.0, self.decided[at]);
            hits.there += count * f64::from(u8::from(there));
            hits.predicted += count * f64::from(u8::from(predicted));
            hits.right += count * f64::from(u8::from(there && predicted));
        }
        hits
    }

    /// The metrics of each class, in their order.
    pub(super) fn by_class(
        &self,
        names: &[String],
        truth: &[f64],
        probability: &[f64],
    ) -> Vec<ClassMetrics> {
        let once = vec![1; truth.len()];
        let of_class = |(class, name): (usize, &String)| {
            let hits = self.hits(class, truth, &once);
            let [roc_auc, _] = flags(&self.order[class], truth, probability, &once);
            ClassMetrics {
                class: name.clone(),
                rows: hits.there as usize,
                predicted: hits.predicted as usize,
                precision: Hits::share(hits.right, hits.predicted),
                recall: Hits::share(hits.right, hits.there),
                f1: hits.f1(),
                roc_auc,
            }
        };
        names.iter().enumerate().map(of_class).collect()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    Hits::share(sum, count)
}

/// The threshold from which on flags and probabilities agree best: the highest F1 of all questions
/// together; of equal ones the highest threshold.
pub(super) fn best_threshold(truth: &[f64], probability: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..truth.len()).collect();
    order.sort_by(|&a, &b| probability[b].total_cmp(&probability[a]));
    let there: f64 = truth.iter().sum();
    let (mut right, mut predicted) = (0.0, 0.0);
    let mut best = (0.0, 0.5);
    for tied in order.chunk_by(|&a, &b| probability[a] == probability[b]) {
        right += tied.iter().map(|&at| truth[at]).sum::<f64>();
        predicted += tied.len() as f64;
        let f1 = 2.0 * right / (predicted + there);
        if f1 > best.0 {
            best = (f1, probability[tied[0]]);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBABILITIES: [[f64; 3]; 9] = [
        [0.09, 0.24, 0.8],
        [0.58, 0.09, 0.43],
        [0.48, 0.16, 0.73],
        [0.11, 0.39, 0.52],
        [0.43, 0.59, 0.74],
        [0.96, 0.28, 0.65],
        [0.7, 0.29, 0.0],
        [0.97, 0.3, 0.31],
        [0.89, 0.59, 0.47],
    ];

    fn scorer(
        truth: &[[u8; 3]; 9],
        probability: &[f64],
        threshold: Option<f64>,
    ) -> (ClassScorer, Vec<f64>) {
        let questions = ClassQuestions {
            per_record: 3,
            threshold,
            belongs: truth.iter().map(|of| of.contains(&1)).collect(),
        };
        let truth: Vec<f64> = truth.iter().flatten().copied().map(f64::from).collect();
        (ClassScorer::new(questions, &truth, probability), truth)
    }

    fn is_close(found: [Option<f64>; 5], expected: [f64; 5]) {
        for (found, expected) in found.into_iter().zip(expected) {
            let found = found.unwrap();
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
    }

    /// Values of scikit-learn's `accuracy_score`, `top_k_accuracy_score`, `f1_score`,
    /// `roc_auc_score` and `log_loss`.
    #[test]
    fn of_one_class_each_they_are_those_of_scikit_learn() {
        let own = [0, 1, 2, 0, 1, 1, 2, 0, 1];
        let truth = own.map(|own| [0, 1, 2].map(|class| u8::from(class == own)));
        let sum = |of: &[f64; 3]| of.iter().sum::<f64>();
        let shares = PROBABILITIES.iter().flat_map(|of| of.map(|p| p / sum(of)));
        let shares: Vec<f64> = shares.collect();
        let (scorer, truth) = scorer(&truth, &shares, None);
        let found = scorer.values(&truth, &shares, &[1; 27]);
        let expected = [
            0.222_222_222_222_222_2,
            1.0,
            0.194_444_444_444_444_4,
            0.385_449_735_449_735_5,
            5.402_167_407_701_509,
        ];
        is_close(found, expected);
        // A row that is drawn twice counts twice.
        let mut counts = [0; 27];
        counts[6..9].fill(2);
        counts[12..15].fill(1);
        let twice = scorer.values(&truth, &shares, &counts);
        assert_eq!(twice[0], Some(2.0 / 3.0));
    }

    /// As above, with `average="macro"`; the `log_loss` is the mean of those of the classes.
    #[test]
    fn of_several_classes_each_they_are_those_of_scikit_learn() {
        let truth = [
            [1, 0, 1],
            [0, 0, 0],
            [1, 1, 0],
            [0, 1, 0],
            [0, 0, 1],
            [1, 0, 0],
            [0, 1, 1],
            [1, 1, 1],
            [0, 0, 0],
        ];
        let shares = PROBABILITIES.as_flattened();
        let (scorer, truth) = scorer(&truth, shares, Some(0.5));
        let found = scorer.values(&truth, shares, &[1; 27]);
        let expected = [
            0.571_428_571_428_571_4,
            1.0,
            0.296_296_296_296_296_3,
            0.533_333_333_333_333_3,
            2.144_306_993_514_229_4,
        ];
        is_close(found, expected);
        let names = ["a", "b", "c"].map(ToOwned::to_owned);
        let classes = scorer.by_class(&names, &truth, shares);
        assert_eq!(
            classes[1],
            ClassMetrics {
                class: "b".to_owned(),
                rows: 4,
                predicted: 2,
                precision: Some(0.0),
                recall: Some(0.0),
                f1: Some(0.0),
                roc_auc: Some(0.5),
            }
        );
        assert_eq!(
            (classes[0].precision, classes[0].recall),
            (Some(0.4), Some(0.5))
        );
    }

    #[test]
    fn the_best_threshold_tells_most_apart() {
        let truth = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        let probability = [0.9, 0.6, 0.5, 0.4, 0.4, 0.1];
        // At 0.6: 2 of 2, of 3 (F1 0.8); at 0.4: 3 of 5, of 3 (F1 0.75).
        assert_eq!(best_threshold(&truth, &probability), 0.6);
        assert_eq!(best_threshold(&[0.0; 3], &[0.1, 0.2, 0.3]), 0.5);
    }
}
