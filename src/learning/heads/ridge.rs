//! Ridge regression in closed form, with a weight for each group of columns.
//!
//! With `n` rows and `d` columns the normal equations are solved in the smaller of the two forms:
//! `(AᵀA + αI)w = Aᵀy` (`d × d`) or `w = Aᵀ(AAᵀ + αI)⁻¹y` (`n × n`). The columns of each group are
//! divided by the square root of the group's width, so that a vector of 1280 numbers and a dozen
//! numbers of metadata weigh the same at first. Groups differ in how much they tell of the target;
//! a search then gives each its own weight, which is the same as its own penalty.

#[cfg(test)]
mod tests;

use std::ops::Range;

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
        let sum: f64 = self
            .weights
            .iter()
            .zip(row)
            .map(|(weight, &value)| weight * f64::from(value))
            .sum();
        self.intercept + sum
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
pub(crate) struct Problem {
    rows: Matrix,
    groups: Vec<Range<usize>>,
    folds: Vec<Range<usize>>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// `AᵀA` of each fold.
    Primal(Vec<Matrix>),
    /// `AAᵀ` of each group's columns, of all rows.
    Dual(Vec<Matrix>),
}

impl Problem {
    /// Prepares the rows at `indices`, in that order: neighbours share a fold.
    pub(crate) fn new(design: &Designed, groups: &[Group], indices: &[usize]) -> Self {
        let groups: Vec<Range<usize>> = groups
            .iter()
            .map(|group| group.start..group.start + group.width)
            .collect();
        let scale = |group: &Range<usize>| 1.0 / (group.len() as f64).sqrt();
        let scales: Vec<f64> = groups
            .iter()
            .flat_map(|group| vec![scale(group); group.len()])
            .collect();
        let values = indices
            .iter()
            .flat_map(|&i| design.row(i).iter().zip(&scales))
            .map(|(&value, scale)| f64::from(value) * scale)
            .collect();
        let rows = Matrix::new(indices.len(), design.width, values);
        let count = FOLDS.min(rows.rows);
        let folds: Vec<Range<usize>> = (0..count)
            .map(|fold| fold * rows.rows / count..(fold + 1) * rows.rows / count)
            .collect();
        let form = if rows.columns <= rows.rows {
            Form::Primal(
                folds
                    .iter()
                    .map(|fold| rows.cut(fold, &(0..rows.columns)).gram())
                    .collect(),
            )
        } else {
            Form::Dual(
                groups
                    .iter()
                    .map(|g| rows.cut(&(0..rows.rows), g).outer_gram())
                    .collect(),
            )
        };
        Self {
            rows,
            groups,
            folds,
            form,
        }
    }

    /// Fits all rows.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where the equations are singular.
    pub(crate) fn fit(&self, target: &[f64], strength: &Strength) -> Result<Linear, Error> {
        let mut fitted = self.solve(&[target], strength, None)?;
        let mut linear = fitted.pop().expect("one target has one solution");
        for group in &self.groups {
            let scale = 1.0 / (group.len() as f64).sqrt();
            linear.weights[group.clone()]
                .iter_mut()
                .for_each(|weight| *weight *= scale);
        }
        Ok(linear)
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
            tried[open] = Some(self.left_out(&targets, &strength, cancelled)?);
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
        for _ in 0..ROUNDS {
            let before = choice.error;
            for group in 0..self.groups.len() {
                for up in [true, false] {
                    let mut moved = false;
                    while let Some(strength) = step(&choice.strength, group, up) {
                        let other = self.left_out(&[target], &strength, cancelled)?.remove(0);
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

    /// The predictions of each fold by a fit of the others.
    fn left_out(
        &self,
        targets: &[&[f64]],
        strength: &Strength,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Choice>, Error> {
        let mut unseen = vec![vec![0.0; self.rows.rows]; targets.len()];
        for (at, fold) in self.folds.iter().enumerate() {
            if cancelled() {
                return Err(Error::Cancelled);
            }
            let fitted = self.solve(targets, strength, Some(at))?;
            for (unseen, linear) in unseen.iter_mut().zip(&fitted) {
                for row in fold.clone() {
                    unseen[row] = linear.intercept + dot(&linear.weights, self.rows.row(row));
                }
            }
        }
        let choices = unseen
            .into_iter()
            .zip(targets)
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

    /// The weights of the scaled columns, one solution per target, of all rows but one fold's.
    fn solve(
        &self,
        targets: &[&[f64]],
        strength: &Strength,
        left_out: Option<usize>,
    ) -> Result<Vec<Linear>, Error> {
        let hole = left_out.map_or(0..0, |fold| self.folds[fold].clone());
        let rows: Vec<usize> = (0..self.rows.rows)
            .filter(|row| !hole.contains(row))
            .collect();
        let means: Vec<f64> = targets
            .iter()
            .map(|target| rows.iter().map(|&row| target[row]).sum::<f64>() / rows.len() as f64)
            .collect();
        let count = targets.len();
        let centred: Vec<f64> = rows
            .iter()
            .flat_map(|&row| {
                targets
                    .iter()
                    .zip(&means)
                    .map(move |(t, mean)| t[row] - mean)
            })
            .collect();
        let factors: Vec<f64> = self
            .groups
            .iter()
            .zip(&strength.weights)
            .flat_map(|(group, &weight)| vec![weight; group.len()])
            .collect();
        let width = self.rows.columns;
        let mut solutions = match &self.form {
            Form::Primal(grams) => {
                let mut system = Matrix::new(width, width, vec![0.0; width * width]);
                for (fold, gram) in grams.iter().enumerate() {
                    if Some(fold) != left_out {
                        add(&mut system.values, &gram.values, 1.0);
                    }
                }
                for (row, factor) in system.values.chunks_mut(width).zip(&factors) {
                    for (value, other) in row.iter_mut().zip(&factors) {
                        *value *= factor * other;
                    }
                }
                let mut right = self.combine(&rows, &centred, count);
                scale_rows(&mut right, &factors);
                penalised(system, strength.penalty).factor()?.solve(&right)
            }
            Form::Dual(kernels) => {
                let mut system = Matrix::new(rows.len(), rows.len(), vec![0.0; rows.len().pow(2)]);
                for (kernel, weight) in kernels.iter().zip(&strength.weights) {
                    for (sums, &row) in system.values.chunks_mut(rows.len()).zip(&rows) {
                        let kernel = kernel.row(row);
                        let (before, after) = sums.split_at_mut(hole.start.min(rows.len()));
                        add(before, &kernel[..hole.start], weight * weight);
                        add(after, &kernel[hole.end..], weight * weight);
                    }
                }
                let right = Matrix::new(rows.len(), count, centred);
                let duals = penalised(system, strength.penalty).factor()?.solve(&right);
                let mut sums = self.combine(&rows, &duals.values, count);
                scale_rows(&mut sums, &factors);
                sums
            }
        };
        scale_rows(&mut solutions, &factors);
        Ok(means
            .into_iter()
            .enumerate()
            .map(|(at, intercept)| Linear {
                weights: (0..width)
                    .map(|column| solutions.values[column * count + at])
                    .collect(),
                intercept,
            })
            .collect())
    }

    /// `Aᵀ·C` of the rows at `rows`; `factors` is `C`, shape `[rows, count]`.
    fn combine(&self, rows: &[usize], factors: &[f64], count: usize) -> Matrix {
        let mut sums = vec![0.0; self.rows.columns * count];
        for (&row, factors) in rows.iter().zip(factors.chunks(count)) {
            for (sums, value) in sums.chunks_mut(count).zip(self.rows.row(row)) {
                for (sum, factor) in sums.iter_mut().zip(factors) {
                    *sum += value * factor;
                }
            }
        }
        Matrix::new(self.rows.columns, count, sums)
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

fn add(sums: &mut [f64], values: &[f64], factor: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value * factor;
    }
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
