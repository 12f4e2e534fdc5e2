//! The test rows of one matrix, and what is needed to judge predictions of them.

use std::collections::{HashMap, HashSet};

use super::{
    Error, Split, SplitBasis, TrainSettings,
    bootstrap::{Drawn, Intervals},
    evaluate::{Judged, LabelAges, SplitSizes},
    heads::{Head, Prediction},
    metrics::{Metrics, Scorer},
    questions::Questions,
    train::Fitted,
};
use crate::corpus::{FeatureMatrix, LabelAge, Row};

/// The test rows of one matrix, and what is needed to judge predictions of them.
pub(super) struct Judge<'a> {
    pub(super) matrix: &'a FeatureMatrix,
    basis: SplitBasis,
    settings: &'a TrainSettings,
    head: &'a Head,
    parts: Vec<Option<Split>>,
    pub(super) test: FeatureMatrix,
    /// What is asked of the test rows.
    pub(super) questions: Questions,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        matrix: &'a FeatureMatrix,
        fitted: &'a Fitted,
        settings: &'a TrainSettings,
    ) -> Result<Self, Error> {
        let by_id: HashMap<&str, Split> = fitted
            .split
            .iter()
            .map(|(id, part)| (id.as_str(), *part))
            .collect();
        let parts: Vec<Option<Split>> = matrix
            .rows
            .iter()
            .map(|row| by_id.get(row.id.as_str()).copied())
            .collect();
        let test: Vec<usize> = (0..parts.len())
            .filter(|&row| parts[row] == Some(Split::Test) && matrix.rows[row].label.is_some())
            .collect();
        if parts.iter().flatten().count() != fitted.split.len() || test.is_empty() {
            return Err(Error::Schema(
                "its rows are not those that the head was trained on".to_owned(),
            ));
        }
        let test = matrix.select(&test);
        Ok(Self {
            matrix,
            basis: fitted.basis,
            settings,
            head: &fitted.head,
            parts,
            questions: Questions::new(&fitted.head, &test.rows, settings),
            test,
        })
    }

    /// Judges these of the test rows alone.
    pub(super) fn of_rows(&self, rows: &[usize]) -> Self {
        let test = self.test.select(rows);
        Self {
            matrix: self.matrix,
            basis: self.basis,
            settings: self.settings,
            head: self.head,
            parts: self.parts.clone(),
            questions: Questions::new(self.head, &test.rows, self.settings),
            test,
        }
    }

    /// Those of the questions that are about one community, or one class, by themselves.
    pub(super) fn only(&self, questions: &[usize]) -> Questions {
        self.questions.only(questions, self.settings)
    }

    pub(super) fn part(&self, part: Split) -> Vec<usize> {
        (0..self.parts.len())
            .filter(|&row| self.parts[row] == Some(part))
            .collect()
    }

    /// The labelled test rows.
    pub(super) fn tested(&self) -> Vec<usize> {
        let mut tested = self.part(Split::Test);
        tested.retain(|&row| self.matrix.rows[row].label.is_some());
        tested
    }

    /// The newest training rows, a share of them, and as large a share of the validation rows.
    pub(super) fn newest(&self, share: f64) -> (Vec<usize>, Vec<usize>) {
        let newest = |part| {
            let mut rows = self.part(part);
            let at = |&row: &usize| {
                let row = &self.matrix.rows[row];
                (row.created_at, row.id.as_str())
            };
            rows.sort_by(|a, b| at(a).cmp(&at(b)));
            let count = (rows.len() as f64 * share).ceil() as usize;
            rows.split_off(rows.len() - count.min(rows.len()))
        };
        (newest(Split::Train), newest(Split::Validation))
    }

    /// The test rows of authors of whom no learned row is, and how many authors were learned of.
    pub(super) fn of_new_authors(&self) -> (FeatureMatrix, usize) {
        let learned = [Split::Train, Split::Validation]
            .map(|part| self.part(part))
            .concat();
        let known: HashSet<&str> = learned
            .iter()
            .filter_map(|&row| self.matrix.rows[row].author.as_deref())
            .collect();
        let is_new = |row: &Row| row.author.as_deref().is_some_and(|of| !known.contains(of));
        let new: Vec<usize> = (0..self.test.rows.len())
            .filter(|&row| is_new(&self.test.rows[row]))
            .collect();
        (self.test.select(&new), known.len())
    }

    /// What is asked of the test rows, in their order.
    pub(super) fn targets(&self) -> &[f64] {
        &self.questions.targets
    }

    pub(super) fn values(&self, head: &Head) -> Result<Vec<f64>, Error> {
        Ok(values(&head.predict(&self.test)?))
    }

    pub(super) fn scorer(&self, predictions: &[f64]) -> Result<Scorer, Error> {
        self.questions.scorer(predictions)
    }

    /// Judges other predictions of the test rows than those of the head, whose metrics are `own`.
    pub(super) fn judge(&self, predictions: &[f64], own: &Drawn) -> Result<Judged, Error> {
        let scorer = self.scorer(predictions)?;
        let drawn = self.questions.draw(&scorer);
        Ok(Judged {
            metrics: scorer.metrics(),
            intervals: drawn.intervals(),
            difference: own.more_than(&drawn),
        })
    }

    pub(super) fn coverage(&self, predictions: &[Prediction]) -> Option<f64> {
        let inside = predictions
            .iter()
            .zip(&self.questions.targets)
            .filter(|(p, target)| (p.low..=p.high).contains(target))
            .count();
        (!predictions.is_empty()).then(|| inside as f64 / predictions.len() as f64)
    }

    pub(super) fn sizes(&self) -> SplitSizes {
        let labelled = self
            .matrix
            .rows
            .iter()
            .filter(|row| row.label.is_some())
            .count();
        SplitSizes {
            basis: self.basis,
            train: self.part(Split::Train).len(),
            validation: self.part(Split::Validation).len(),
            test: self.part(Split::Test).len(),
            unused: labelled - self.parts.iter().flatten().count(),
        }
    }

    pub(super) fn label_ages(&self) -> LabelAges {
        let mut ages = LabelAges::default();
        for label in self.matrix.rows.iter().filter_map(|row| row.label) {
            match label.age {
                LabelAge::Known(_) => ages.known += 1,
                LabelAge::Unknown => ages.unknown += 1,
            }
        }
        ages
    }

    pub(super) fn first_line(&self, settings: &TrainSettings) -> String {
        let (sizes, ages) = (self.sizes(), self.label_ages());
        let by = match self.basis {
            SplitBasis::Time => {
                let times = self.test.rows.iter().filter_map(|row| row.created_at);
                let (first, last) = (times.clone().min(), times.max());
                match (first, last) {
                    (Some(first), Some(last)) => {
                        format!(
                            "the last {} by creation time, {first} to {last}",
                            settings.test
                        )
                    }
                    _ => format!("the last {} by creation time", settings.test),
                }
            }
            SplitBasis::Order => format!(
                "the last {} by the source's order (the rows have no creation times)",
                settings.test
            ),
            SplitBasis::Author => {
                "chosen by a hash of the author (the rows have neither times nor an order)"
                    .to_owned()
            }
            SplitBasis::Id => {
                "chosen by a hash of the id (the rows have neither times, order nor authors)"
                    .to_owned()
            }
        };
        let labels = match (ages.known, ages.unknown) {
            (_, 0) => "every label was read at a known age".to_owned(),
            (0, _) => "the age of the labels is unknown".to_owned(),
            (known, unknown) => format!(
                "of {} labels {unknown} were read at an unknown age",
                known + unknown
            ),
        };
        format!(
            "tested on {} rows, {by}; learned from {} + {} rows; {labels}",
            sizes.test, sizes.train, sizes.validation
        )
    }
}

/// The metrics of a head on labelled rows, with their intervals.
///
/// # Errors
///
/// [`Error::Schema`] where the rows are not of the head's kind; [`Error::Numerics`] where a number is
/// not finite.
pub(super) fn judged(
    rows: &FeatureMatrix,
    head: &Head,
    settings: &TrainSettings,
) -> Result<(Metrics, Intervals), Error> {
    let questions = Questions::new(head, &rows.rows, settings);
    let scorer = questions.scorer(&values(&head.predict(rows)?))?;
    Ok((scorer.metrics(), questions.draw(&scorer).intervals()))
}

/// The values of predictions.
pub(super) fn values(predictions: &[Prediction]) -> Vec<f64> {
    predictions
        .iter()
        .map(|prediction| prediction.value)
        .collect()
}
