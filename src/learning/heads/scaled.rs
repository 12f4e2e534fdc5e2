//! The rows of a design with their columns scaled, and the products of them that a fit needs.
//!
//! The rows stay where they are: scaled numbers in `f64` are only ever there for a few thousand
//! rows at a time, so that a long window costs no second copy of itself.

use std::ops::Range;

use rayon::prelude::*;

use crate::learning::{
    design::{Designed, Group},
    linalg::Matrix,
};

/// How many rows are multiplied at a time. Sums are taken over such pieces in order, so that the
/// number of threads does not change them.
const AT_ONCE: usize = 2048;

/// The rows of a design; the columns of each group are divided by the root of the group's width.
#[derive(Debug)]
pub(super) struct Scaled<'a> {
    pub(super) design: &'a Designed,
    /// The columns of each group.
    pub(super) groups: Vec<Range<usize>>,
    scales: Vec<f64>,
}

impl<'a> Scaled<'a> {
    pub(super) fn new(design: &'a Designed, groups: &[Group]) -> Self {
        let groups: Vec<Range<usize>> = groups
            .iter()
            .map(|group| group.start..group.start + group.width)
            .collect();
        Self {
            scales: groups
                .iter()
                .flat_map(|group| vec![scale_of(group); group.len()])
                .collect(),
            design,
            groups,
        }
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.design.width
    }

    /// Some rows and columns as they are multiplied.
    fn matrix(&self, rows: &[usize], columns: &Range<usize>) -> Matrix {
        let scales = &self.scales[columns.clone()];
        let mut values = Vec::with_capacity(rows.len() * columns.len());
        for &row in rows {
            let row = &self.design.row(row)[columns.clone()];
            values.extend(
                row.iter()
                    .zip(scales)
                    .map(|(&v, scale)| f64::from(v) * scale),
            );
        }
        Matrix::new(rows.len(), columns.len(), values)
    }

    /// `AᵀA` of some rows.
    pub(super) fn gram(&self, rows: &[usize]) -> Matrix {
        let width = self.width();
        let mut sum = Matrix::new(width, width, vec![0.0; width * width]);
        for rows in rows.chunks(AT_ONCE) {
            let part = self.matrix(rows, &(0..width)).gram();
            add(&mut sum.values, &part.values, 1.0);
        }
        sum
    }

    /// `AAᵀ` of each group's columns, of some rows.
    pub(super) fn kernels(&self, rows: &[usize]) -> Vec<Matrix> {
        let kernel = |group| self.matrix(rows, group).outer_gram();
        self.groups.iter().map(kernel).collect()
    }

    /// `Aᵀ·C` of some rows; `factors` is `C`, shape `[rows, count]`.
    pub(super) fn combine(&self, rows: &[usize], factors: &[f64], count: usize) -> Matrix {
        let width = self.width();
        // One sum of whole rows for each column of `C`, because long loops are quick.
        let parts: Vec<Vec<f64>> = rows
            .par_chunks(AT_ONCE)
            .zip(factors.par_chunks(AT_ONCE * count))
            .map(|(rows, factors)| {
                let mut sums = vec![0.0; width * count];
                for (&row, factors) in rows.iter().zip(factors.chunks_exact(count)) {
                    let row = self.design.row(row);
                    for (sums, &factor) in sums.chunks_exact_mut(width).zip(factors) {
                        for (sum, &value) in sums.iter_mut().zip(row) {
                            *sum += f64::from(value) * factor;
                        }
                    }
                }
                sums
            })
            .collect();
        let mut sums = vec![0.0; width * count];
        for part in parts {
            add(&mut sums, &part, 1.0);
        }
        let values = (0..width)
            .flat_map(|column| (0..count).map(move |at| (column, at)))
            .map(|(column, at)| sums[at * width + column] * self.scales[column])
            .collect();
        Matrix::new(width, count, values)
    }

    /// Weights of scaled columns as weights of the design's own.
    pub(super) fn unscaled(&self, mut weights: Vec<f64>) -> Vec<f64> {
        for (weight, scale) in weights.iter_mut().zip(&self.scales) {
            *weight *= scale;
        }
        weights
    }
}

fn scale_of(group: &Range<usize>) -> f64 {
    1.0 / (group.len() as f64).sqrt()
}

pub(super) fn add(sums: &mut [f64], values: &[f64], factor: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value * factor;
    }
}
