//! Symmetric positive definite systems in `f64`.
//!
//! The large products run through Burn on Flex, whatever device trains the network: they are
//! exact to rounding and the same everywhere.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

use super::Error;

/// The columns that [`Matrix::factor`] eliminates at a time.
const PANEL: usize = 64;

/// A matrix in `f64`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f64>,
}

impl Matrix {
    pub(crate) fn new(rows: usize, columns: usize, values: Vec<f64>) -> Self {
        debug_assert_eq!(values.len(), rows * columns);
        Self {
            rows,
            columns,
            values,
        }
    }

    pub(crate) fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }

    /// `A·Aᵀ`, shape `[rows, rows]`.
    pub(crate) fn outer_gram(self) -> Self {
        let rows = self.rows;
        let a = self.into_tensor();
        from_tensor(rows, rows, a.clone().matmul(a.transpose()))
    }

    /// `Aᵀ·A`, shape `[columns, columns]`.
    pub(crate) fn gram(self) -> Self {
        let columns = self.columns;
        let a = self.into_tensor();
        from_tensor(columns, columns, a.clone().transpose().matmul(a))
    }

    /// `A·B`, shape `[rows of A, columns of B]`.
    pub(crate) fn times(self, other: Self) -> Self {
        let (rows, columns) = (self.rows, other.columns);
        from_tensor(
            rows,
            columns,
            self.into_tensor().matmul(other.into_tensor()),
        )
    }

    fn into_tensor(self) -> Tensor<2> {
        let data = TensorData::new(self.values, [self.rows, self.columns]);
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    /// Turns a symmetric positive definite matrix into its lower Cholesky factor, in place; what
    /// lies above the diagonal is left as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where the matrix is not positive definite.
    pub(crate) fn factor(mut self) -> Result<Factor, Error> {
        let n = self.rows;
        for start in (0..n).step_by(PANEL) {
            let end = (start + PANEL).min(n);
            self.factor_diagonal(start, end)?;
            self.solve_panel(start, end);
            self.eliminate(start, end);
        }
        Ok(Factor(self))
    }

    fn factor_diagonal(&mut self, start: usize, end: usize) -> Result<(), Error> {
        let n = self.columns;
        for i in start..end {
            for j in start..=i {
                let (row_i, row_j) = (&self.values[i * n..], &self.values[j * n..]);
                let rest = row_i[j] - dot(&row_i[start..j], &row_j[start..j]);
                self.values[i * n + j] = if i != j {
                    rest / self.values[j * n + j]
                } else if rest > 0.0 && rest.is_finite() {
                    rest.sqrt()
                } else {
                    return Err(Error::Numerics(format!(
                        "the normal equations are singular at column {i}; use a greater penalty"
                    )));
                };
            }
        }
        Ok(())
    }

    /// The rows below the diagonal block: `L₂₁ = A₂₁·L₁₁⁻ᵀ`.
    fn solve_panel(&mut self, start: usize, end: usize) {
        let n = self.columns;
        let (above, below) = self.values.split_at_mut(end * n);
        below.par_chunks_mut(n).for_each(|row| {
            for j in start..end {
                let pivot = &above[j * n..];
                let rest = row[j] - dot(&row[start..j], &pivot[start..j]);
                row[j] = rest / pivot[j];
            }
        });
    }

    /// `A₂₂ -= L₂₁·L₂₁ᵀ`.
    fn eliminate(&mut self, start: usize, end: usize) {
        let n = self.columns;
        let below = n - end;
        if below == 0 {
            return;
        }
        let panel: Vec<f64> = (end..n)
            .flat_map(|i| &self.values[i * n + start..i * n + end])
            .copied()
            .collect();
        let product = Self::new(below, end - start, panel).outer_gram();
        self.values[end * n..]
            .par_chunks_mut(n)
            .enumerate()
            .for_each(|(i, row)| {
                for (value, update) in row[end..=end + i].iter_mut().zip(product.row(i)) {
                    *value -= update;
                }
            });
    }
}

/// The lower Cholesky factor of a matrix.
#[derive(Debug)]
pub(crate) struct Factor(Matrix);

impl Factor {
    /// Solves `L·Lᵀ·X = B`, shape of `b`: `[rows, k]`.
    pub(crate) fn solve(&self, b: &Matrix) -> Matrix {
        let (n, k) = (self.0.rows, b.columns);
        let l = &self.0.values;
        let mut solved = b.clone();
        for at in 0..k {
            let mut x: Vec<f64> = (0..n).map(|i| b.values[i * k + at]).collect();
            for i in 0..n {
                x[i] = (x[i] - dot(&l[i * n..i * n + i], &x[..i])) / l[i * n + i];
            }
            for i in (0..n).rev() {
                x[i] /= l[i * n + i];
                let pivot = x[i];
                for (value, factor) in x[..i].iter_mut().zip(&l[i * n..i * n + i]) {
                    *value -= pivot * factor;
                }
            }
            for (i, value) in x.into_iter().enumerate() {
                solved.values[i * k + at] = value;
            }
        }
        solved
    }
}

/// The scalar product, in eight partial sums that the processor can add at once.
pub(crate) fn dot<T: Copy + Into<f64>>(a: &[f64], b: &[T]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            let value: f64 = b[lane].into();
            sums[lane] += a[lane] * value;
        }
    }
    let rest = a_rest.iter().zip(b_rest);
    let rest: f64 = rest.map(|(a, &b)| a * Into::<f64>::into(b)).sum();
    sums.iter().sum::<f64>() + rest
}

fn from_tensor(rows: usize, columns: usize, tensor: Tensor<2>) -> Matrix {
    let values = tensor
        .into_data()
        .try_into_vec::<f64>()
        .expect("a product of f64 is f64");
    Matrix::new(rows, columns, values)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::learning::seeds;

    fn random(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut generator = seeds::generator(seed, "test");
        let values = (0..rows * columns)
            .map(|_| generator.random::<f64>() - 0.5)
            .collect();
        Matrix::new(rows, columns, values)
    }

    /// Sizes around the panel's, so that every path is taken.
    #[test]
    fn a_solution_solves() {
        for n in [1, 5, PANEL - 1, PANEL, PANEL + 1, 3 * PANEL + 7] {
            let mut system = random(n, n + 3, 1).outer_gram();
            for i in 0..n {
                system.values[i * n + i] += 0.1;
            }
            let b = random(n, 2, 2);
            let x = system.clone().factor().unwrap().solve(&b);
            for (i, expected) in b.values.iter().enumerate() {
                let column: Vec<f64> = (0..n).map(|row| x.values[row * 2 + i % 2]).collect();
                let error = (dot(system.row(i / 2), &column) - expected).abs();
                assert!(error < 1e-9, "{n}: {error}");
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        let zeros = Matrix::new(3, 3, vec![0.0; 9]);
        assert!(zeros.factor().unwrap_err().to_string().contains("singular"));
    }

    #[test]
    fn products_are_products() {
        let a = Matrix::new(2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(a.clone().outer_gram().values, [14.0, 32.0, 32.0, 77.0]);
        assert_eq!(a.clone().gram().values[..4], [17.0, 22.0, 27.0, 22.0]);
        let b = Matrix::new(3, 1, vec![1.0, -1.0, 2.0]);
        assert_eq!(a.times(b).values, [5.0, 11.0]);
        assert_eq!(dot(&[1.0; 19], &[2.0_f64; 19]), 38.0);
        assert_eq!(dot(&[1.0; 19], &[2.0_f32; 19]), 38.0);
    }
}
