//! What is trained, saved and asked.

mod attention;
mod average;
mod bundle;
mod checkpoint;
mod classifier;
mod course;
mod forest;
mod fusion;
mod mmrl;
mod network;
mod parts;
mod products;
mod ridge;
mod scaled;
mod training;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use classifier::ClassProbability;
pub(crate) use classifier::Classifier;
pub(crate) use forest::Forest;
pub(crate) use mmrl::{Mmrl, train_mmrl};
pub(crate) use network::{Answer, Network};
pub use parts::Parts;
pub(crate) use products::Products;
pub(crate) use ridge::{Choice, Linear, Problem, Strength};
pub use training::Epoch;
pub(crate) use training::{Learned, Stop, Task, Wanted, train as train_network};

use super::{
    Error, HeadKind, TrainSettings,
    design::{Design, Designed},
    reference::{Reference, targets},
    smearing::Smearing,
    target::{Curve, Reach, TargetScale},
};
use crate::corpus::{FeatureMatrix, Row};

/// How far from what is expected of each row its interval's ends lie, in the mean of what networks
/// say; 0 where they do not tell.
pub(crate) fn mean_spread(members: &[Vec<Answer>], rows: usize) -> Vec<[f64; 2]> {
    let mean = |row: usize, end: usize| {
        let ends = members.iter().map(|answers| answers[row].spread[end]);
        ends.sum::<f64>() / members.len().max(1) as f64
    };
    (0..rows)
        .map(|row| [0, 1].map(|end| mean(row, end)))
        .collect()
}

/// A prediction on the training scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The expected target.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// A trained head with everything that was fitted for it: scalers, vocabularies, weights, the way
/// back to the target and the width of intervals.
///
/// The value of a row is `ridge(row) + blend · mean of members(row) + share · trees(row)` on the
/// scale that was learned, then led back to the target; that of the original's network is its own.
/// It depends on that row alone, bit for bit, whatever else is in the matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub(crate) kind: HeadKind,
    pub(crate) design: Design,
    pub(crate) scale: TargetScale,
    /// The way back, where the scale is a rank.
    pub(crate) curve: Option<Curve>,
    pub(crate) reach: Reach,
    /// The way on to the number that people know, where the target is another.
    pub(crate) smearing: Option<Smearing>,
    /// What relative targets are measured by.
    pub(crate) reference: Option<Reference>,
    pub(crate) linear: Linear,
    /// What the mean of the members is multiplied with.
    pub(crate) blend: f64,
    pub(crate) members: Vec<Network>,
    /// The trees, where the learner has some.
    pub(crate) forest: Option<Forest>,
    /// The original's network, which then is all there is.
    pub(crate) mmrl: Option<Mmrl>,
    /// The heads of other classes, where it predicts classes: then it is that of the first.
    pub(crate) classifier: Option<Classifier>,
}

impl Head {
    /// A head that is the original's network.
    pub(crate) fn of_mmrl(design: Design, mmrl: Mmrl, reach: Reach) -> Self {
        Self {
            kind: HeadKind::Mmrl,
            scale: TargetScale::plain(),
            curve: None,
            reach,
            smearing: None,
            reference: None,
            linear: Linear {
                weights: vec![0.0; design.width()],
                intercept: 0.0,
            },
            design,
            blend: 0.0,
            members: Vec::new(),
            forest: None,
            mmrl: Some(mmrl),
            classifier: None,
        }
    }

    /// Learns the way to the number that people know from what it says of rows that it has not seen,
    /// on the scale that is learned, and their targets.
    pub(crate) fn learn_smearing(
        &mut self,
        settings: &TrainSettings,
        unseen: &[f64],
        truth: &[f64],
    ) {
        let missed =
            |(&scaled, target): (&f64, &f64)| target - self.prediction(scaled, [0.0; 2]).value;
        let residuals: Vec<f64> = unseen.iter().zip(truth).map(missed).collect();
        self.smearing = match &self.reference {
            None => Smearing::fit(settings.inverse, &residuals),
            Some(_) => None,
        };
    }

    /// The targets of rows as this head was to learn them; of those without a label, none. A head of
    /// classes has several of each row: see [`Head::asked`].
    pub fn targets(&self, rows: &[Row]) -> Vec<Option<f64>> {
        targets(self.reference.as_ref(), rows)
    }

    /// The expected number that people know, as a score, and the ends of its interval; nothing where
    /// it is the prediction itself, or the target says how a row stands among others.
    ///
    /// It is the mean over what targets of unseen rows were off by, more than the number at the
    /// expected target where the curve bends upwards.
    pub fn original(&self, prediction: &Prediction) -> Option<Prediction> {
        Some(self.smearing.as_ref()?.back(prediction))
    }

    /// Which learner it is.
    pub const fn kind(&self) -> HeadKind {
        self.kind
    }

    /// The names of the blocks and categories that it uses.
    pub fn inputs(&self) -> Vec<String> {
        let groups = self.design.groups().into_iter();
        groups.map(|group| group.name).collect()
    }

    /// Whether vectors are among its inputs.
    pub(crate) fn has_vectors(&self) -> bool {
        !self.design.vectors().is_empty()
    }

    /// The predictions of all rows of `matrix`, in its order; of a head of classes, the probability of
    /// each class of each row, row by row.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] where the matrix lacks a block or category, or has other columns.
    pub fn predict(&self, matrix: &FeatureMatrix) -> Result<Vec<Prediction>, Error> {
        let design = self.design.apply(matrix)?;
        if let Some(of) = &self.classifier {
            return Ok(self.class_answers(of, &design));
        }
        let scaled = self.scaled(&design).into_par_iter();
        Ok(scaled
            .map(|(value, spread)| self.prediction(value, spread))
            .collect())
    }

    /// The values of all rows of a design, on the scale that was learned, and how far from them the
    /// members say that the ends of intervals lie.
    fn scaled(&self, design: &Designed) -> Vec<(f64, [f64; 2])> {
        let rows: Vec<usize> = (0..design.rows).collect();
        if let Some(mmrl) = &self.mmrl {
            let values = mmrl.predict_all(design, &rows).into_iter();
            return values.map(|value| (value, [0.0; 2])).collect();
        }
        let mut values = self.linear.predict_all(design, &rows);
        let members = self.members.iter();
        let members: Vec<Vec<Answer>> = members.map(|of| of.answers(design, &rows)).collect();
        for (row, value) in values.iter_mut().enumerate() {
            let sum: f64 = members.iter().map(|answers| answers[row].value).sum();
            *value += self.blend * (sum / members.len().max(1) as f64);
        }
        if let Some(forest) = &self.forest {
            let added = forest.predict_all(design, &self.linear);
            for (value, added) in values.iter_mut().zip(added) {
                *value += added;
            }
        }
        values
            .into_iter()
            .zip(mean_spread(&members, rows.len()))
            .collect()
    }

    /// From the scale that was learned to the target.
    pub(crate) fn prediction(&self, scaled: f64, spread: [f64; 2]) -> Prediction {
        let value = match &self.curve {
            Some(curve) => curve.target(scaled),
            None => self.scale.target(scaled),
        };
        let (low, high) = self.reach.around(scaled, spread);
        let (least, greatest) = match &self.reference {
            Some(reference) => reference.bounds(),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Prediction {
            value: value.clamp(least, greatest),
            // A mean can lie outside the quantiles of a skewed target.
            low: self.scale.target(low).min(value).clamp(least, greatest),
            high: self.scale.target(high).max(value).clamp(least, greatest),
        }
    }
}
