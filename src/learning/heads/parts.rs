//! What each input adds to a prediction.

use super::{Designed, Error, Head};
use crate::corpus::FeatureMatrix;

/// What each input adds to one prediction, on the scale of the target.
///
/// An input is left out by giving each of its columns the mean that it had in training, which is
/// also what a row without it has. `prediction = base + Σ inputs + joint`.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The prediction where all inputs are left out.
    pub base: f64,
    /// By block and category: the prediction less the one where this input alone is left out.
    pub inputs: Vec<(String, f64)>,
    /// The rest: what inputs do together only, and the bend of the way back to the target. 0, but
    /// for rounding, where the head is a line and the way back is one.
    pub joint: f64,
}

impl Head {
    /// What each input adds to the prediction of each row of `matrix`, in its order; of a head of
    /// classes, to the probability of the most probable one.
    ///
    /// # Errors
    ///
    /// As [`Head::predict`].
    pub fn parts(&self, matrix: &FeatureMatrix) -> Result<Vec<Parts>, Error> {
        if self.membership().is_some() {
            return self.class_parts(matrix);
        }
        self.own_parts(matrix)
    }

    /// The same of this head alone, though it be that of one class of several.
    pub(super) fn own_parts(&self, matrix: &FeatureMatrix) -> Result<Vec<Parts>, Error> {
        let whole = self.design.apply(matrix)?;
        let groups = self.design.groups();
        let values = self.values(&whole);
        let mut without = Vec::with_capacity(groups.len());
        for group in &groups {
            let mut rest = whole.clone();
            for row in rest.values.chunks_mut(whole.width.max(1)) {
                row[group.start..group.start + group.width].fill(0.0);
            }
            without.push(self.values(&rest));
        }
        let base = self.values(&Designed {
            rows: 1,
            width: whole.width,
            values: vec![0.0; whole.width],
        })[0];
        let of_row = |(row, value): (usize, f64)| {
            let without = without.iter().map(|values| value - values[row]);
            let names = groups.iter().map(|group| group.name.clone());
            let inputs: Vec<(String, f64)> = names.zip(without).collect();
            let told: f64 = inputs.iter().map(|(_, adds)| adds).sum();
            Parts {
                base,
                joint: value - base - told,
                inputs,
            }
        };
        Ok(values.into_iter().enumerate().map(of_row).collect())
    }

    /// The predictions of all rows of a design.
    fn values(&self, design: &Designed) -> Vec<f64> {
        let scaled = self.scaled(design).into_iter();
        scaled
            .map(|(value, spread)| self.prediction(value, spread).value)
            .collect()
    }
}
