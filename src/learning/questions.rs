//! What heads are asked of rows, and what is right.

use super::{
    Error, TrainSettings,
    bootstrap::{Bootstrap, Drawn},
    class_metrics::ClassQuestions,
    heads::Head,
    metrics::{Inverse, Scorer},
};
use crate::corpus::Row;

/// The share of resamples that the interval of a metric holds.
const METRIC_COVERAGE: f64 = 0.95;

/// What a head is asked of labelled rows, and what is right: a question for each row, or, of a head
/// of classes, one for each class of each row, whose community then is the class.
pub(super) struct Questions {
    /// By question: the row, with what is right as its target.
    pub(super) rows: Vec<Row>,
    /// By question: what is right.
    pub(super) targets: Vec<f64>,
    pub(super) bootstrap: Bootstrap,
    inverse: Inverse,
    classes: Option<ClassQuestions>,
}

impl Questions {
    /// What `head` is asked of `rows`, all of which have a label.
    pub(super) fn new(head: &Head, rows: &[Row], settings: &TrainSettings) -> Self {
        let classes = head.membership().map(|_| ClassQuestions {
            per_record: head.classes().len(),
            threshold: head.threshold(),
            belongs: rows.iter().map(|row| !row.classes.is_empty()).collect(),
        });
        Self::of(head.asked(rows), classes, settings)
    }

    fn of(rows: Vec<Row>, classes: Option<ClassQuestions>, settings: &TrainSettings) -> Self {
        let of: Vec<&Row> = rows.iter().collect();
        let bootstrap = Bootstrap::new(&of, settings.resamples, METRIC_COVERAGE, settings.seed);
        let targets = rows.iter().filter_map(|row| Some(row.label?.target));
        Self {
            targets: targets.collect(),
            rows,
            bootstrap,
            inverse: settings.inverse,
            classes,
        }
    }

    /// Some of the questions by themselves: those of one community, or about one class.
    pub(super) fn only(&self, places: &[usize], settings: &TrainSettings) -> Self {
        let rows = places.iter().map(|&at| self.rows[at].clone());
        Self::of(rows.collect(), None, settings)
    }

    /// What answers are worth.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where one is not finite.
    pub(super) fn scorer(&self, answers: &[f64]) -> Result<Scorer, Error> {
        let rows: Vec<&Row> = self.rows.iter().collect();
        let scorer = Scorer::new(&self.targets, answers, &rows, self.inverse)?;
        Ok(match &self.classes {
            Some(classes) => scorer.with_classes(classes.clone()),
            None => scorer,
        })
    }

    /// The metrics of `scorer` for all questions and for each sample of them.
    pub(super) fn draw(&self, scorer: &Scorer) -> Drawn {
        self.bootstrap.draw(scorer)
    }
}
