//! Columns cut into bins.

use rayon::prelude::*;

/// The most bins of a column, so that one is told by a byte.
const MOST_BINS: usize = 255;

/// Columns as bins: value `v` lies in the bin whose number is how many cuts lie below `v`.
#[derive(Debug)]
pub(super) struct Bins {
    /// Of each column the bin of each row.
    pub(super) columns: Vec<Vec<u8>>,
    /// Of each column the values between bins, ascending: bin `b` holds what is at most `cuts[b]`.
    pub(super) cuts: Vec<Vec<f32>>,
}

impl Bins {
    /// Cuts `columns`, each with all rows, so that each bin has about as many rows.
    pub(super) fn new(columns: &[Vec<f32>]) -> Self {
        let cuts: Vec<Vec<f32>> = columns.par_iter().map(|column| cuts_of(column)).collect();
        let columns = columns
            .par_iter()
            .zip(&cuts)
            .map(|(column, cuts)| column.iter().map(|&value| bin_of(cuts, value)).collect())
            .collect();
        Self { columns, cuts }
    }
}

/// The bin of a value.
fn bin_of(cuts: &[f32], value: f32) -> u8 {
    cuts.partition_point(|&cut| cut < value) as u8
}

/// Boundaries between different neighbours in the order of values.
fn cuts_of(column: &[f32]) -> Vec<f32> {
    let mut sorted = column.to_vec();
    sorted.sort_by(f32::total_cmp);
    // `==`, so that the two zeros are one value.
    let groups: Vec<(f32, usize)> = sorted
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0], same.len()))
        .collect();
    let mut cuts = Vec::new();
    let (mut in_bin, mut left) = (0, sorted.len());
    for pair in groups.windows(2) {
        let ((value, count), (next, _)) = (pair[0], pair[1]);
        in_bin += count;
        let bins = MOST_BINS - cuts.len();
        // What is left is spread over the bins that are left; few values have a bin each.
        if groups.len() <= MOST_BINS || in_bin * bins >= left {
            cuts.push(between(value, next));
            left -= in_bin;
            in_bin = 0;
            if cuts.len() == MOST_BINS - 1 {
                break;
            }
        }
    }
    cuts
}

/// A value from `low` on and below `high`.
fn between(low: f32, high: f32) -> f32 {
    let middle = f32::midpoint(low, high);
    if middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bins_keep_the_order_and_are_about_equal(
            column in prop::collection::vec(prop_oneof![-1e3_f32..1e3, Just(0.0)], 1..2000)
        ) {
            let bins = Bins::new(std::slice::from_ref(&column));
            let (of, cuts) = (&bins.columns[0], &bins.cuts[0]);
            prop_assert!(cuts.len() < MOST_BINS && cuts.is_sorted_by(|a, b| a < b));
            for (a, &bin_a) in column.iter().zip(of) {
                for (b, &bin_b) in column.iter().zip(of).step_by(17) {
                    prop_assert!(a > b || bin_a <= bin_b);
                }
                // What a tree asks of a row, `value <= cut`, is what the bin says.
                for (at, cut) in cuts.iter().enumerate() {
                    prop_assert_eq!(a <= cut, usize::from(bin_a) <= at);
                }
            }
        }
    }

    #[test]
    fn few_values_have_a_bin_each_and_many_share() {
        let few = cuts_of(&[3.0, 1.0, 3.0, 2.0, 1.0]);
        assert_eq!(few, [1.5, 2.5]);
        assert!(cuts_of(&[4.0; 9]).is_empty());
        let many: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
        let bins = Bins::new(&[many]);
        let mut counts = [0_usize; 256];
        for &bin in &bins.columns[0] {
            counts[usize::from(bin)] += 1;
        }
        assert!(
            counts[..255].iter().all(|count| (38..=41).contains(count)),
            "{counts:?}"
        );
        assert_eq!(counts[255], 0);
    }
}
