//! Principal components of some columns of a design.

use rand::RngExt as _;

use super::{
    Error,
    design::{Designed, Group},
    linalg::{Matrix, dot},
    seeds,
};

/// The most rows that components are found on, spread evenly over all.
const MOST_ROWS: usize = 2_048;
/// How often the subspace is multiplied; the spectra of embeddings fall quickly.
const ITERATIONS: usize = 12;
/// How many directions more than wanted are followed, so that the wanted ones settle.
const SPARE: usize = 8;

/// The `count` directions in which the columns of `group` vary most over `rows`, row-major
/// `[count, width]`, each of length 1 over the square root of its variance: components have about
/// unit variance.
///
/// Found by subspace iteration on the smaller of the two Gram matrices (Halko, Martinsson and
/// Tropp 2011, algorithm 4.4), then rotated onto the axes by Jacobi's method.
///
/// # Errors
///
/// [`Error::Numerics`] where the columns are not finite.
pub(crate) fn components(
    design: &Designed,
    rows: &[usize],
    group: &Group,
    count: usize,
) -> Result<Vec<f32>, Error> {
    let step = rows.len().div_ceil(MOST_ROWS).max(1);
    let columns = group.start..group.start + group.width;
    let values: Vec<f64> = rows
        .iter()
        .step_by(step)
        .flat_map(|&row| &design.row(row)[columns.clone()])
        .map(|&value| f64::from(value))
        .collect();
    let width = group.width;
    let sampled = values.len() / width;
    let sample = Matrix::new(sampled, width, values);
    let by_rows = sampled < width;
    let gram = if by_rows {
        sample.clone().outer_gram()
    } else {
        sample.clone().gram()
    };
    let (directions, strengths) = leading(gram, count)?;
    // Of `AAᵀ`, with `v` its direction, that of `AᵀA` is `Aᵀv`.
    let directions = if by_rows {
        directions.times(sample)
    } else {
        directions
    };
    let mut basis = Vec::with_capacity(count * width);
    for (at, strength) in strengths.iter().enumerate() {
        let direction = directions.row(at);
        let length = dot(direction, direction).sqrt();
        // Rounding, not a direction: a component that is 0 for every row.
        let scale = if *strength > 1e-9 * strengths[0] && length > 0.0 {
            (sampled as f64 / strength).sqrt() / length
        } else {
            0.0
        };
        basis.extend(direction.iter().map(|value| (value * scale) as f32));
    }
    Ok(basis)
}

/// The leading eigenvectors of a symmetric positive semidefinite matrix as rows, and their
/// eigenvalues, descending. At most as many as it has rows.
fn leading(gram: Matrix, count: usize) -> Result<(Matrix, Vec<f64>), Error> {
    let size = gram.rows;
    let (count, followed) = (count.min(size), (count + SPARE).min(size));
    let mut generator = seeds::generator(0, "components");
    let values = (0..followed * size).map(|_| generator.random::<f64>() - 0.5);
    let mut space = Matrix::new(followed, size, values.collect());
    orthonormal(&mut space);
    for _ in 0..ITERATIONS {
        // The matrix is symmetric: rows may be multiplied from the left.
        space = space.times(gram.clone());
        orthonormal(&mut space);
    }
    let pushed = space.clone().times(gram);
    let small: Vec<f64> = (0..followed)
        .flat_map(|i| (0..followed).map(move |j| (i, j)))
        .map(|(i, j)| dot(space.row(i), pushed.row(j)))
        .collect();
    if small.iter().any(|value| !value.is_finite()) {
        return Err(Error::Numerics(
            "the components of a block are not finite; look at its vectors".to_owned(),
        ));
    }
    let (strengths, turns) = jacobi(followed, small);
    let mut order: Vec<usize> = (0..followed).collect();
    order.sort_by(|&a, &b| strengths[b].total_cmp(&strengths[a]));
    order.truncate(count);
    let turned: Vec<f64> = order
        .iter()
        .flat_map(|&at| (0..followed).map(move |row| (row, at)))
        .map(|(row, at)| turns[row * followed + at])
        .collect();
    let mut found = Matrix::new(order.len(), followed, turned).times(space);
    for row in found.values.chunks_mut(size) {
        // Both directions of an axis are one: the greatest number is positive.
        let greatest = row
            .iter()
            .copied()
            .reduce(|a, b| if b.abs() > a.abs() { b } else { a });
        if greatest < Some(0.0) {
            row.iter_mut().for_each(|value| *value = -*value);
        }
    }
    Ok((
        found,
        order.iter().map(|&at| strengths[at].max(0.0)).collect(),
    ))
}

/// Makes the rows orthonormal (Gram and Schmidt, twice, which is enough); a row that the others
/// span becomes zero.
fn orthonormal(rows: &mut Matrix) {
    let width = rows.columns;
    for at in 0..rows.rows {
        let (before, rest) = rows.values.split_at_mut(at * width);
        let row = &mut rest[..width];
        let length = dot(row, row).sqrt();
        for _ in 0..2 {
            for other in before.chunks(width) {
                let along = dot(other, row);
                for (value, other) in row.iter_mut().zip(other) {
                    *value -= along * other;
                }
            }
        }
        let left = dot(row, row).sqrt();
        let scale = if left > 1e-12 * length {
            left.recip()
        } else {
            0.0
        };
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

/// The eigenvalues of a symmetric matrix and its eigenvectors as columns, by cyclic rotations
/// (Golub and Van Loan, algorithm 8.5.3).
fn jacobi(size: usize, mut values: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; size * size];
    (0..size).for_each(|at| vectors[at * size + at] = 1.0);
    let total: f64 = values.iter().map(|value| value * value).sum();
    for _ in 0..60 {
        let mut off = 0.0;
        for p in 0..size {
            for q in p + 1..size {
                let apq = values[p * size + q];
                off += apq * apq;
                if apq == 0.0 {
                    continue;
                }
                let tau = (values[q * size + q] - values[p * size + p]) / (2.0 * apq);
                let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
                let c = (1.0 + t * t).sqrt().recip();
                let s = t * c;
                for k in 0..size {
                    let (a, b) = (values[k * size + p], values[k * size + q]);
                    values[k * size + p] = c * a - s * b;
                    values[k * size + q] = s * a + c * b;
                }
                for k in 0..size {
                    let (a, b) = (values[p * size + k], values[q * size + k]);
                    values[p * size + k] = c * a - s * b;
                    values[q * size + k] = s * a + c * b;
                }
                for k in 0..size {
                    let (a, b) = (vectors[k * size + p], vectors[k * size + q]);
                    vectors[k * size + p] = c * a - s * b;
                    vectors[k * size + q] = s * a + c * b;
                }
            }
        }
        if off <= 1e-24 * total {
            break;
        }
    }
    (
        (0..size).map(|at| values[at * size + at]).collect(),
        vectors,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that vary along known axes: 9, 4 and 1 times a unit, and a little noise.
    fn design(rows: usize, width: usize) -> Designed {
        let mut generator = seeds::generator(1, "design");
        let mut values = vec![0.0; rows * width];
        for row in values.chunks_mut(width) {
            for (axis, size) in [(3, 9.0), (0, 4.0), (5, 1.0)] {
                row[axis] = size * (generator.random::<f32>() - 0.5);
            }
            row.iter_mut()
                .for_each(|value| *value += 0.01 * (generator.random::<f32>() - 0.5));
        }
        Designed {
            rows,
            width,
            values,
        }
    }

    #[test]
    fn the_axes_of_most_variance_come_first_in_both_forms() {
        for (rows, width) in [(500, 7), (40, 61)] {
            let design = design(rows, width);
            let group = Group {
                name: String::new(),
                start: 0,
                width,
            };
            let all: Vec<usize> = (0..rows).collect();
            let basis = components(&design, &all, &group, 3).unwrap();
            for (direction, axis) in basis.chunks(width).zip([3, 0, 5]) {
                let length: f32 = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
                let share = direction[axis].abs() / length;
                assert!(share > 0.98, "{rows}×{width}: {direction:?}");
                let along = |row: &[f32]| -> f64 {
                    row.iter()
                        .zip(direction)
                        .map(|(a, b)| f64::from(a * b))
                        .sum()
                };
                let square: f64 = all.iter().map(|&row| along(design.row(row)).powi(2)).sum();
                assert!((square / rows as f64 - 1.0).abs() < 0.01, "{square}");
            }
        }
    }

    #[test]
    fn more_components_than_directions_are_zero() {
        let design = Designed {
            rows: 3,
            width: 5,
            values: [1.0, 2.0, 0.0, 0.0, 0.0].repeat(3),
        };
        let group = Group {
            name: String::new(),
            start: 0,
            width: 5,
        };
        let basis = components(&design, &[0, 1, 2], &group, 3).unwrap();
        assert!(
            basis[0] > 0.1 && basis[5..].iter().all(|value| *value == 0.0),
            "{basis:?}"
        );
    }
}
