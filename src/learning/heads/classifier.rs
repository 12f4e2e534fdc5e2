//! A head of classes: one head for each class, which tells how probable it is that a row belongs to
//! it.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::{Designed, Head, Parts, Prediction};
use crate::{
    corpus::{FeatureMatrix, Row},
    expression::Membership,
    learning::Error,
};

/// What makes a head one of classes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Classifier {
    pub(crate) membership: Membership,
    /// The classes, in the order of their names.
    pub(crate) names: Vec<String>,
    /// From which probability on a row counts as one of a class, where it may belong to several.
    pub(crate) threshold: f64,
    /// The heads of all classes but the first, which is that of the head that has this.
    pub(crate) others: Vec<Head>,
}

/// A class and how probable it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassProbability {
    /// The class.
    pub class: String,
    /// How probable it is that the row belongs to it; with the ends of the interval of that.
    pub probability: Prediction,
    /// Whether the row counts as one of it.
    pub chosen: bool,
}

impl Head {
    /// One head for each class, of equal designs.
    pub(crate) fn of_classes(
        (membership, threshold): (Membership, f64),
        heads: Vec<(String, Self)>,
    ) -> Self {
        let (names, heads): (Vec<String>, Vec<Self>) = heads.into_iter().unzip();
        let mut heads = heads.into_iter();
        let mut first = heads.next().expect("there is a class");
        first.classifier = Some(Classifier {
            membership,
            names,
            threshold,
            others: heads.collect(),
        });
        first
    }

    /// How many classes a row belongs to, where it predicts classes.
    pub fn membership(&self) -> Option<Membership> {
        Some(self.classifier.as_ref()?.membership)
    }

    /// The classes that it predicts, in the order of their names; none where it predicts a number.
    pub fn classes(&self) -> &[String] {
        self.classifier.as_ref().map_or(&[], |of| &of.names)
    }

    /// From which probability on a row counts as one of a class; nothing where it counts as one of
    /// the most probable class alone.
    pub fn threshold(&self) -> Option<f64> {
        let of = self.classifier.as_ref()?;
        (of.membership == Membership::Any).then_some(of.threshold)
    }

    /// The head of the class at a place.
    pub(crate) fn of_class(&self, place: usize) -> &Self {
        match (&self.classifier, place.checked_sub(1)) {
            (Some(of), Some(other)) => &of.others[other],
            _ => self,
        }
    }

    /// What it is asked of `rows`: each of them, with its target as this head was to learn it; of a
    /// head of classes, each row once for each class, with the class as its community, and 1 as its
    /// target where it belongs to it, else 0. [`Head::predict`] answers in this order.
    pub fn asked(&self, rows: &[Row]) -> Vec<Row> {
        let Some(of) = &self.classifier else {
            let mut asked = rows.to_vec();
            for (row, target) in asked.iter_mut().zip(self.targets(rows)) {
                if let (Some(label), Some(target)) = (&mut row.label, target) {
                    label.target = target;
                }
            }
            return asked;
        };
        let about = |row: &Row, class: &String| {
            let mut about = row.clone();
            about.community = Some(class.clone());
            about.author = None;
            about.classes = Vec::new();
            if let Some(label) = &mut about.label {
                label.target = f64::from(u8::from(row.classes.contains(class)));
            }
            about
        };
        let about_all = |row| of.names.iter().map(move |class| about(row, class));
        rows.iter().flat_map(about_all).collect()
    }

    /// How probable each class is of each row of a design, row by row.
    ///
    /// Each class is predicted by itself; of a row that belongs to one class the probabilities then
    /// are made to sum to 1.
    pub(super) fn class_answers(&self, of: &Classifier, design: &Designed) -> Vec<Prediction> {
        let own = std::iter::once(self).chain(&of.others);
        let columns: Vec<Vec<Prediction>> = own
            .map(|head| {
                let scaled = head.scaled(design).into_par_iter();
                scaled
                    .map(|(value, spread)| head.prediction(value, spread))
                    .collect()
            })
            .collect();
        let mut answers = Vec::with_capacity(design.rows * columns.len());
        for row in 0..design.rows {
            let whole: f64 = columns.iter().map(|column| column[row].value).sum();
            let part = |answer: Prediction| match of.membership {
                Membership::Any => answer,
                Membership::One if whole > 0.0 => Prediction {
                    value: answer.value / whole,
                    low: (answer.low / whole).min(1.0),
                    high: (answer.high / whole).min(1.0),
                },
                Membership::One => Prediction {
                    value: 1.0 / columns.len() as f64,
                    low: 0.0,
                    high: 1.0,
                },
            };
            answers.extend(columns.iter().map(|column| part(column[row])));
        }
        answers
    }

    /// As [`Head::predict`], but of the classes of `other`, in their order; one that this head has not
    /// learned is never so.
    ///
    /// # Errors
    ///
    /// As [`Head::predict`].
    pub fn predict_as(
        &self,
        other: &Self,
        matrix: &FeatureMatrix,
    ) -> Result<Vec<Prediction>, Error> {
        let answers = self.predict(matrix)?;
        let (own, wanted) = (self.classes(), other.classes());
        if own == wanted {
            return Ok(answers);
        }
        let never = Prediction {
            value: 0.0,
            low: 0.0,
            high: 0.0,
        };
        let places: Vec<Option<usize>> = wanted
            .iter()
            .map(|class| own.iter().position(|known| known == class))
            .collect();
        let of_row = |answers: &[Prediction]| -> Vec<Prediction> {
            let told = places
                .iter()
                .map(|place| place.map_or(never, |at| answers[at]));
            told.collect()
        };
        Ok(answers.chunks(own.len().max(1)).flat_map(of_row).collect())
    }

    /// The classes of each of `answers`, what [`Head::predict`] gave: the most probable first.
    ///
    /// A row counts as one of the classes whose probability is at least `threshold`; without one, as
    /// one of those that the head's own threshold gives, or of the most probable.
    pub fn class_probabilities(
        &self,
        answers: &[Prediction],
        threshold: Option<f64>,
    ) -> Vec<Vec<ClassProbability>> {
        let threshold = threshold.or(self.threshold());
        let names = self.classes();
        let of_row = |answers: &[Prediction]| {
            let mut order: Vec<usize> = (0..names.len()).collect();
            order.sort_by(|&a, &b| answers[b].value.total_cmp(&answers[a].value));
            let told = order
                .into_iter()
                .enumerate()
                .map(|(place, at)| ClassProbability {
                    class: names[at].clone(),
                    probability: answers[at],
                    chosen: threshold.map_or(place == 0, |least| answers[at].value >= least),
                });
            told.collect()
        };
        answers.chunks(names.len().max(1)).map(of_row).collect()
    }

    /// What each input adds to the probability of the most probable class of each row.
    pub(super) fn class_parts(&self, matrix: &FeatureMatrix) -> Result<Vec<Parts>, Error> {
        let answers = self.predict(matrix)?;
        let per_row = self.classes().len();
        let mut parts = Vec::with_capacity(matrix.rows.len());
        for (row, answers) in answers.chunks(per_row).enumerate() {
            let most = (0..per_row).max_by(|&a, &b| {
                let order = answers[a].value.total_cmp(&answers[b].value);
                order.then(Reverse(a).cmp(&Reverse(b)))
            });
            let most = most.expect("there is a class");
            let of_row = self.of_class(most).own_parts(&matrix.select(&[row]))?;
            parts.extend(of_row.into_iter().map(|part| {
                let told: f64 = part.inputs.iter().map(|(_, adds)| adds).sum();
                Parts {
                    joint: answers[most].value - part.base - told,
                    ..part
                }
            }));
        }
        Ok(parts)
    }
}
