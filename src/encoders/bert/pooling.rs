//! Token vectors → one vector per text, in plain Rust: the same bytes on every device.

use std::str::FromStr;

/// How the vectors of a text's tokens become one.
///
/// The words are those of sentence-transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The vector of the first token.
    Cls,
    /// The greatest of each number.
    Max,
    /// The mean over all tokens.
    Mean,
    /// Their sum, divided by the root of their count.
    MeanSqrtLen,
    /// The mean in which the n-th token counts n times.
    WeightedMean,
    /// The vector of the last token.
    LastToken,
}

/// All of them, in the order in which sentence-transformers joined them before version 6.
pub(super) const ALL: [Pooling; 6] = [
    Pooling::Cls,
    Pooling::Max,
    Pooling::Mean,
    Pooling::MeanSqrtLen,
    Pooling::WeightedMean,
    Pooling::LastToken,
];

impl Pooling {
    /// The word on the command line and in fingerprints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
        }
    }

    /// The vector of one row, of whose tokens the first ones are left out.
    ///
    /// Source: `Pooling` of sentence-transformers, whose weights count the tokens that are left
    /// out.
    fn of_row(self, row: &[f32], hidden: usize, left_out: usize) -> Vec<f32> {
        let count = row.len() / hidden;
        // Never all of them: what ends a text is no part of what is in front of it.
        let first = left_out.min(count.saturating_sub(1));
        let tokens = row[first * hidden..].chunks_exact(hidden);
        match self {
            Self::Cls => row[first * hidden..(first + 1) * hidden].to_vec(),
            Self::LastToken => row[row.len() - hidden..].to_vec(),
            Self::Max => {
                let mut most = vec![f32::NEG_INFINITY; hidden];
                for token in tokens {
                    for (most, value) in most.iter_mut().zip(token) {
                        *most = most.max(*value);
                    }
                }
                most
            }
            Self::Mean => sum(tokens, hidden, |_| 1.0, |count, _| count),
            Self::MeanSqrtLen => sum(tokens, hidden, |_| 1.0, |count, _| count.sqrt()),
            Self::WeightedMean => sum(
                tokens,
                hidden,
                |place| (first + place + 1) as f32,
                |_, weights| weights,
            ),
        }
    }
}

/// The weighted sum of tokens, divided by what is made of their count and the sum of their weights.
fn sum<'a>(
    tokens: impl Iterator<Item = &'a [f32]>,
    hidden: usize,
    weight: impl Fn(usize) -> f32,
    divisor: impl Fn(f32, f32) -> f32,
) -> Vec<f32> {
    let mut sum = vec![0.0_f32; hidden];
    let (mut count, mut weights) = (0.0, 0.0);
    for (place, token) in tokens.enumerate() {
        let weight = weight(place);
        for (sum, value) in sum.iter_mut().zip(token) {
            *sum += weight * value;
        }
        count += 1.0;
        weights += weight;
    }
    let divisor = divisor(count, weights);
    for value in &mut sum {
        *value /= divisor;
    }
    sum
}

impl FromStr for Pooling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = ALL.into_iter().find(|pooling| pooling.name() == text);
        found.ok_or_else(|| {
            let known = ALL.map(Self::name).join("`, `");
            format!("`{text}` is no pooling; write one of `{known}`")
        })
    }
}

/// One vector per row; where there are several ways, their vectors one behind the other. The first
/// `left_out` tokens of each row are not pooled. Rows of no tokens are zeros.
///
/// Source: `Pooling` of sentence-transformers, whose means are zeros for a text of no tokens beside
/// others of some; alone it gives none.
///
/// # Shapes
/// - states: `[rows, tokens, hidden]`, row-major
/// - output: `rows` vectors of `hidden` numbers for each way
pub(super) fn pool_ways(
    states: &[f32],
    [rows, tokens, hidden]: [usize; 3],
    ways: &[Pooling],
    left_out: usize,
) -> Vec<Vec<f32>> {
    debug_assert_eq!(states.len(), rows * tokens * hidden);
    if tokens == 0 {
        return vec![vec![0.0; hidden * ways.len()]; rows];
    }
    let of_row = |row: &[f32]| {
        let vectors = ways.iter().map(|way| way.of_row(row, hidden, left_out));
        vectors.collect::<Vec<_>>().concat()
    };
    states.chunks_exact(tokens * hidden).map(of_row).collect()
}

/// One vector per row.
///
/// # Shapes
/// - states: `[rows, tokens, hidden]`, row-major
/// - output: `rows` vectors of `hidden` numbers
pub(in crate::encoders) fn pool(
    states: &[f32],
    shape: [usize; 3],
    pooling: Pooling,
    normalize: bool,
) -> Vec<Vec<f32>> {
    let mut vectors = pool_ways(states, shape, &[pooling], 0);
    if normalize {
        for vector in &mut vectors {
            scale_to_unit(vector);
        }
    }
    vectors
}

/// Scales to length one; a vector of zeros stays.
pub(super) fn scale_to_unit(vector: &mut [f32]) {
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

    #[test]
    fn pools_in_every_way() {
        let states = [1.0, 6.0, 4.0];
        for (way, all, without_first) in [
            (Pooling::Cls, 1.0, 6.0),
            (Pooling::Max, 6.0, 6.0),
            (Pooling::Mean, 11.0 / 3.0, 5.0),
            (
                Pooling::MeanSqrtLen,
                11.0 / 3.0_f32.sqrt(),
                10.0 / 2.0_f32.sqrt(),
            ),
            // A token that is left out keeps its place.
            (Pooling::WeightedMean, 25.0 / 6.0, 24.0 / 5.0),
            (Pooling::LastToken, 4.0, 4.0),
        ] {
            assert_eq!(way.name().parse(), Ok(way));
            for (left_out, expected) in [(0, all), (1, without_first), (9, 4.0)] {
                let found = pool_ways(&states, [1, 3, 1], &[way], left_out)[0][0];
                let expected = match (left_out, way) {
                    (9, Pooling::MeanSqrtLen) => 4.0,
                    _ => expected,
                };
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{way:?} {left_out}: {found}"
                );
            }
        }
        let both = pool_ways(&states, [1, 3, 1], &[Pooling::Max, Pooling::Cls], 0);
        assert_eq!(both, [[6.0, 1.0]]);
        let none = pool_ways(&[], [2, 0, 1], &[Pooling::Cls, Pooling::Max], 0);
        assert_eq!(none, [[0.0, 0.0], [0.0, 0.0]]);
    }
}
