//! Ridge regression in closed form, with a weight for each group of columns.
//!
//! With `n` rows and `d` columns the normal equations are solved in the smaller of the two forms:
//! `(AᵀA + αI)w = Aᵀy` (`d × d`) or `w = Aᵀ(AAᵀ + αI)⁻¹y` (`n × n`). Rows that come in addition for
//! the last fit keep the form that was chosen without them.
//!
//! The columns of each group are divided by the square root of the group's width, so that a vector
//! of 1280 numbers and a dozen numbers of metadata weigh the same at first. Groups differ in how
//! much they tell of the target; a search then gives each its own weight, which is the same as its
//! own penalty.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    products::{Moments, Products, moments},
    scaled::{Scaled, add},
};
use crate::learning::{
    Error,
    design::{Designed, Group},
    linalg::{Matrix, dot},
};

/// The penalties that are tried, ascending, and the one to begin with.
const PENALTIES: [f64; 8] = [0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];
const FIRST: usize = 3;
/// The weights that a group can get.
const WEIGHTS: [f64; 6] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0];
/// How often the search goes over all groups.
const ROUNDS: usize = 2;
/// By which share the error must fall for a weight to change; less is noise.
const GAIN: f64 = 5e-4;
/// Into how many parts, each of neighbouring rows, the rows are folded to choose a penalty.
const FOLDS: usize = 4;

/// A linear function of the columns of a design.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Linear {
    /// One per column.
    pub(crate) weights: Vec<f64>,
    /// What is added.
    pub(crate) intercept: f64,
}

impl Linear {
    /// The value for one row of a design.
    pub(crate) fn predict(&self, row: &[f32]) -> f64 {
        self.intercept + dot(&self.weights, row)
    }

    /// The values for the rows at `rows`.
    pub(crate) fn predict_all(&self, design: &Designed, rows: &[usize]) -> Vec<f64> {
        rows.par_iter()
            .map(|&row| self.predict(design.row(row)))
            .collect()
    }
}

/// How strongly a fit is held back: all of it, and each group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strength {
    pub(crate) penalty: f64,
    /// One per group.
    pub(crate) weights: Vec<f64>,
}

/// The best strength for one target, and what the folds that were left out looked like under it.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) strength: Strength,
    /// The prediction of each row by the fit that had not seen its fold.
    pub(crate) unseen: Vec<f64>,
    /// The sum of the squared errors of `unseen`.
    pub(crate) error: f64,
}

/// Rows of a design, prepared so that many strengths and folds are cheap.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    columns: Scaled<'a>,
    rows: Vec<usize>,
    folds: Vec<Range<usize>>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Of each fold `AᵀA`, and the sum of each column.
    Primal(Vec<Moments>),
    /// `AAᵀ` of each group's columns, of all rows.
    Dual(Vec<Matrix>),
}

/// What is to be predicted, and its products with the rows of each fold.
struct Wanted<'t> {
    targets: &'t [&'t [f64]],
    /// In the primal form: of each fold `AᵀY`, and the sum of each target.
    folds: Vec<(Matrix, Vec<f64>)>,
}

impl<'a> Problem<'a> {
    /// Prepares the rows at `indices`, in that order: neighbours share a fold. `known` has the
    /// products of a problem of the same rows, where there are some.
    pub(crate) fn new(
        design: &'a Designed,
        groups: &[Group],
        indices: &[usize],
        known: Option<&Products>,
    ) -> Self {
        let columns = Scaled::new(design, groups);
        let count = FOLDS.min(indices.len());
        let folds: Vec<Range<usize>> = (0..count)
            .map(|fold| fold * indices.len() / count..(fold + 1) * indices.len() / count)
            .collect();
        let form = if columns.width() <= indices.len() {
            let known = known.and_then(|known| known.of(groups));
            Form::Primal(known.unwrap_or_else(|| {
                let of_fold = |fold: &Range<usize>| moments(&columns, &indices[fold.clone()]);
                folds.iter().map(of_fold).collect()
            }))
        } else {
            Form::Dual(columns.kernels(indices))
        };
        Self {
            columns,
            rows: indices.to_vec(),
            folds,
            form,
        }
    }

    /// The same rows and `more`, which come after them.
    pub(crate) fn with_rows(mut self, more: &[usize]) -> Self {
        let before = self.rows.len();
        self.rows.extend_from_slice(more);
        match &mut self.form {
            Form::Primal(folds) => {
                // Known products may have held them from the start.
                if folds.len() == self.folds.len() {
                    folds.push(moments(&self.columns, more));
                }
                self.folds.push(before..self.rows.len());
            }
            Form::Dual(kernels) => *kernels = self.columns.kernels(&self.rows),
        }
        self
    }

    /// The products, for a problem of the same rows with fewer groups.
    pub(crate) fn into_products(self, groups: &[Group]) -> Option<Products> {
        match self.form {
            Form::Primal(folds) => Some(Products::new(groups, folds)),
            Form::Dual(_) => None,
        }
    }

    /// Fits all rows.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where the equations are singular.
    pub(crate) fn fit(&self, target: &[f64], strength: &Strength) -> Result<Linear, Error> {
        let mut fitted = self.solve(&self.wanted(&[target]), strength, None)?;
        Ok(fitted.pop().expect("one target has one solution"))
    }

    /// Multiplies targets with the rows, once for many strengths.
    fn wanted<'t>(&self, targets: &'t [&'t [f64]]) -> Wanted<'t> {
        let folds = match &self.form {
            Form::Dual(_) => Vec::new(),
            Form::Primal(_) => self
                .folds
                .iter()
                .map(|fold| self.sums(targets, fold))
                .collect(),
        };
        Wanted { targets, folds }
    }

    fn sums(&self, targets: &[&[f64]], fold: &Range<usize>) -> (Matrix, Vec<f64>) {
        let factors: Vec<f64> = fold
            .clone()
            .flat_map(|row| targets.iter().map(move |target| target[row]))
            .collect();
        let rows = &self.rows[fold.clone()];
        let totals = targets
            .iter()
            .map(|target| target[fold.clone()].iter().sum());
        (
            self.columns.combine(rows, &factors, targets.len()),
            totals.collect(),
        )
    }

    /// For each target the penalty with the least squared error over folds that were left out,
    /// with `weights` for the groups.
    ///
    /// The search walks from the middle of the grid to where the error grows again; `cancelled` is
    /// asked between two solutions.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where the equations are singular, [`Error::Cancelled`].
    pub(crate) fn choose(
        &self,
        targets: &[Vec<f64>],
        weights: &[f64],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Choice>, Error> {
        let targets: Vec<&[f64]> = targets.iter().map(Vec::as_slice).collect();
        let wanted = self.wanted(&targets);
        let mut tried: [Option<Vec<Choice>>; PENALTIES.len()] = Default::default();
        let mut best = vec![FIRST; targets.len()];
        loop {
            let around = |at: usize| at.saturating_sub(1)..(at + 2).min(PENALTIES.len());
            let open = best
                .iter()
                .flat_map(|&at| around(at))
                .find(|&at| tried[at].is_none());
            let Some(open) = open else { break };
            let strength = Strength {
                penalty: PENALTIES[open],
                weights: weights.to_vec(),
            };
            tried[open] = Some(self.left_out(&wanted, &strength, cancelled)?);
            for (target, best) in best.iter_mut().enumerate() {
                let error = |at: usize| {
                    tried[at]
                        .as_ref()
                        .map_or(f64::INFINITY, |c| c[target].error)
                };
                if error(open) < error(*best) {
                    *best = open;
                }
            }
        }
        Ok(best
            .iter()
            .enumerate()
            .filter_map(|(target, &at)| tried[at].as_ref().map(|choices| choices[target].clone()))
            .collect())
    }

    /// Improves `choice` for `target` by giving each group its own weight.
    ///
    /// One group after the other is doubled or halved as long as the error falls.
    ///
    /// # Errors
    ///
    /// As [`choose`](Self::choose).
    pub(crate) fn refine(
        &self,
        target: &[f64],
        mut choice: Choice,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Choice, Error> {
        let targets = [target];
        let wanted = self.wanted(&targets);
        for _ in 0..ROUNDS {
            let before = choice.error;
            for group in 0..self.columns.groups.len() {
                for up in [true, false] {
                    let mut moved = false;
                    while let Some(strength) = step(&choice.strength, group, up) {
                        let other = self.left_out(&wanted, &strength, cancelled)?.remove(0);
                        if other.error >= choice.error * (1.0 - GAIN) {
                            break;
                        }
                        choice = other;
                        moved = true;
                    }
                    if moved {
                        break;
                    }
                }
            }
            if choice.error >= before * (1.0 - GAIN) {
                break;
            }
        }
        Ok(choice)
    }

    /// The rows of each fold, as places among all, with the fit of the others.
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit).
    pub(crate) fn fits_of_others(
        &self,
        target: &[f64],
        strength: &Strength,
    ) -> Result<Vec<(Range<usize>, Linear)>, Error> {
        let targets = [target];
        let wanted = self.wanted(&targets);
        let folds = self.folds.iter().cloned().enumerate();
        folds
            .map(|(at, fold)| Ok((fold, self.solve(&wanted, strength, Some(at))?.remove(0))))
            .collect()
    }

    /// The predictions of each fold by a fit of the others.
    fn left_out(
        &self,
        wanted: &Wanted<'_>,
        strength: &Strength,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Choice>, Error> {
        let mut unseen = vec![vec![0.0; self.rows.len()]; wanted.targets.len()];
        for (at, fold) in self.folds.iter().enumerate() {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            let fitted = self.solve(wanted, strength, Some(at))?;
            let rows = &self.rows[fold.clone()];
            for (unseen, linear) in unseen.iter_mut().zip(&fitted) {
                let values = linear.predict_all(self.columns.design, rows);
                unseen[fold.clone()].copy_from_slice(&values);
            }
        }
        let choices = unseen
            .into_iter()
            .zip(wanted.targets)
            .map(|(unseen, target)| Choice {
                error: unseen
                    .iter()
                    .zip(*target)
                    .map(|(a, b)| (a - b).powi(2))
                    .sum(),
                strength: strength.clone(),
                unseen,
            });
        Ok(choices.collect())
    }

    /// The weights of the columns, one solution per target, of all rows but one fold's.
    fn solve(
        &self,
        wanted: &Wanted<'_>,
        strength: &Strength,
        left_out: Option<usize>,
    ) -> Result<Vec<Linear>, Error> {
        let factors: Vec<f64> = self
            .columns
            .groups
            .iter()
            .zip(&strength.weights)
            .flat_map(|(group, &weight)| vec![weight; group.len()])
            .collect();
        let (mut solutions, means) = match &self.form {
            Form::Primal(folds) => {
                self.solve_primal(folds, wanted, &factors, strength.penalty, left_out)?
            }
            Form::Dual(kernels) => {
                self.solve_dual(kernels, wanted, &factors, strength, left_out)?
            }
        };
        scale_rows(&mut solutions, &factors);
        let count = means.len();
        Ok(means
            .into_iter()
            .enumerate()
            .map(|(at, intercept)| {
                let weights = solutions.values.iter().skip(at).step_by(count).copied();
                Linear {
                    weights: self.columns.unscaled(weights.collect()),
                    intercept,
                }
            })
            .collect())
    }

    fn solve_primal(
        &self,
        folds: &[Moments],
        wanted: &Wanted<'_>,
        factors: &[f64],
        penalty: f64,
        left_out: Option<usize>,
    ) -> Result<(Matrix, Vec<f64>), Error> {
        let (width, count) = (self.columns.width(), wanted.targets.len());
        let mut system = Matrix::new(width, width, vec![0.0; width * width]);
        let mut right = Matrix::new(width, count, vec![0.0; width * count]);
        let (mut columns, mut totals) = (vec![0.0; width], vec![0.0; count]);
        let mut rows = 0;
        let known = folds.iter().zip(&wanted.folds);
        for (fold, ((gram, column_sums), (crossed, target_sums))) in known.enumerate() {
            if Some(fold) != left_out {
                add(&mut system.values, &gram.values, 1.0);
                add(&mut right.values, &crossed.values, 1.0);
                add(&mut columns, column_sums, 1.0);
                add(&mut totals, target_sums, 1.0);
                rows += self.folds[fold].len();
            }
        }
        let means: Vec<f64> = totals
            .into_iter()
            .map(|total| total / rows as f64)
            .collect();
        for (right, column) in right.values.chunks_mut(count).zip(&columns) {
            add(right, &means, -column);
        }
        for (row, factor) in system.values.chunks_mut(width).zip(factors) {
            for (value, other) in row.iter_mut().zip(factors) {
                *value *= factor * other;
            }
        }
        scale_rows(&mut right, factors);
        Ok((penalised(system, penalty).factor()?.solve(&right), means))
    }

    fn solve_dual(
        &self,
        kernels: &[Matrix],
        wanted: &Wanted<'_>,
        factors: &[f64],
        strength: &Strength,
        left_out: Option<usize>,
    ) -> Result<(Matrix, Vec<f64>), Error> {
        let hole = left_out.map_or(0..0, |fold| self.folds[fold].clone());
        let places: Vec<usize> = (0..self.rows.len())
            .filter(|row| !hole.contains(row))
            .collect();
        let (targets, count) = (wanted.targets, wanted.targets.len());
        let means: Vec<f64> = targets
            .iter()
            .map(|target| places.iter().map(|&at| target[at]).sum::<f64>() / places.len() as f64)
            .collect();
        let centred: Vec<f64> = places
            .iter()
            .flat_map(|&at| {
                targets
                    .iter()
                    .zip(&means)
                    .map(move |(t, mean)| t[at] - mean)
            })
            .collect();
        let mut system = Matrix::new(places.len(), places.len(), vec![0.0; places.len().pow(2)]);
        for (kernel, weight) in kernels.iter().zip(&strength.weights) {
            for (sums, &at) in system.values.chunks_mut(places.len()).zip(&places) {
                let kernel = kernel.row(at);
                let (before, after) = sums.split_at_mut(hole.start.min(places.len()));
                add(before, &kernel[..hole.start], weight * weight);
                add(after, &kernel[hole.end..], weight * weight);
            }
        }
        let right = Matrix::new(places.len(), count, centred);
        let duals = penalised(system, strength.penalty).factor()?.solve(&right);
        let rows: Vec<usize> = places.iter().map(|&at| self.rows[at]).collect();
        let mut sums = self.columns.combine(&rows, &duals.values, count);
        scale_rows(&mut sums, factors);
        Ok((sums, means))
    }
}

/// The strength with the next weight for one group, where there is one.
fn step(strength: &Strength, group: usize, up: bool) -> Option<Strength> {
    let now = WEIGHTS
        .iter()
        .position(|weight| *weight == strength.weights[group])?;
    let next = if up { now + 1 } else { now.checked_sub(1)? };
    let mut other = strength.clone();
    other.weights[group] = *WEIGHTS.get(next)?;
    Some(other)
}

fn scale_rows(matrix: &mut Matrix, factors: &[f64]) {
    for (row, factor) in matrix.values.chunks_mut(matrix.columns).zip(factors) {
        row.iter_mut().for_each(|value| *value *= factor);
    }
}

fn penalised(mut system: Matrix, penalty: f64) -> Matrix {
    let step = system.columns + 1;
    for value in system.values.iter_mut().step_by(step) {
        *value += penalty;
    }
    system
}

#[cfg(test)]
mod tests;
