//! Token vectors → one vector per text, in plain Rust: the same bytes on every device.

use super::Pooling;

/// One vector per row.
///
/// # Shapes
/// - states: `[rows, tokens, hidden]`, row-major
/// - output: `rows` vectors of `hidden` numbers
pub(in crate::encoders) fn pool(
    states: &[f32],
    [rows, tokens, hidden]: [usize; 3],
    pooling: Pooling,
    normalize: bool,
) -> Vec<Vec<f32>> {
    debug_assert_eq!(states.len(), rows * tokens * hidden);
    states
        .chunks_exact(tokens * hidden)
        .map(|row| {
            let mut vector = match pooling {
                Pooling::Cls => row[..hidden].to_vec(),
                Pooling::Mean => mean(row, hidden),
            };
            if normalize {
                scale_to_unit(&mut vector);
            }
            vector
        })
        .collect()
}

fn mean(row: &[f32], hidden: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; hidden];
    for token in row.chunks_exact(hidden) {
        for (sum, value) in sum.iter_mut().zip(token) {
            *sum += value;
        }
    }
    let count = (row.len() / hidden) as f32;
    for value in &mut sum {
        *value /= count;
    }
    sum
}

/// Scales to length one; a vector of zeros stays.
fn scale_to_unit(vector: &mut [f32]) {
    let square: f64 = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    // The reference divides by at least this much.
    let length = square.sqrt().max(1e-12);
    for value in vector {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the result is a 32-bit float"
        )]
        let scaled = (f64::from(*value) / length) as f32;
        *value = scaled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_each_row_alone() {
        let states = [1.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0];
        let shape = [2, 2, 2];
        assert_eq!(
            pool(&states, shape, Pooling::Cls, false),
            [[1.0, 0.0], [0.0, 0.0]]
        );
        assert_eq!(
            pool(&states, shape, Pooling::Mean, false),
            [[2.0, 2.0], [0.0, 0.0]]
        );
        let unit = pool(&states, shape, Pooling::Mean, true);
        assert!((unit[0][0] - 0.5_f32.sqrt()).abs() < 1e-7);
        assert_eq!(unit[1], [0.0, 0.0]);
    }
}
