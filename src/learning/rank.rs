//! Rank correlations of rows that may be counted several times.
//!
//! A bootstrap sample is a list of counts per row. With the rows sorted once, a correlation of any
//! sample takes one pass, and none is sorted again.

/// Numbers with their order, sorted once.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    /// The rows from the least value to the greatest.
    order: Vec<u32>,
    /// For each row the number of its group of equal values, from 0 in ascending order.
    group: Vec<u32>,
}

impl Ranked {
    /// Sorts `values`, all of which are finite.
    pub(crate) fn new(values: &[f64]) -> Self {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        let mut group = vec![0; values.len()];
        let mut current = 0;
        for pair in order.windows(2) {
            let (before, after) = (pair[0] as usize, pair[1] as usize);
            // `==`, so that the two zeros are one value.
            if values[before] != values[after] {
                current += 1;
            }
            group[after] = current;
        }
        Self { order, group }
    }

    /// How many different values there are.
    fn groups(&self) -> usize {
        self.order
            .last()
            .map_or(0, |&row| self.group[row as usize] as usize + 1)
    }

    /// Which part of each row of a sample is among the `top` greatest: 1, 0, or what is left where
    /// equal values share the last places.
    fn in_top(&self, counts: &[u32], top: f64) -> Vec<f64> {
        let mut parts = vec![0.0; counts.len()];
        let mut left = top;
        for tied in self
            .order
            .chunk_by(|&a, &b| self.group[a as usize] == self.group[b as usize])
            .rev()
        {
            let size = |row: &u32| f64::from(counts[*row as usize]);
            let size: f64 = tied.iter().map(size).sum();
            if left <= 0.0 {
                break;
            }
            if size > 0.0 {
                let part = (left / size).min(1.0);
                for &row in tied {
                    parts[row as usize] = part;
                }
                left -= size;
            }
        }
        parts
    }

    /// The ranks of a sample in which row `i` occurs `counts[i]` times, from 1; equal values share
    /// the mean of their places.
    fn ranks(&self, counts: &[u32]) -> Vec<f64> {
        let mut ranks = vec![0.0; counts.len()];
        let mut before = 0.0;
        for tied in self
            .order
            .chunk_by(|&a, &b| self.group[a as usize] == self.group[b as usize])
        {
            let size: f64 = tied
                .iter()
                .map(|&row| f64::from(counts[row as usize]))
                .sum();
            for &row in tied {
                ranks[row as usize] = before + f64::midpoint(size, 1.0);
            }
            before += size;
        }
        ranks
    }
}

/// The share of the `top` greatest predictions of a sample that are among its `top` greatest
/// targets; where the last place is shared by equal values, each has its part of it. `None` for an
/// empty sample.
pub(crate) fn precision_at(
    truth: &Ranked,
    prediction: &Ranked,
    counts: &[u32],
    top: f64,
) -> Option<f64> {
    let (wanted, found) = (truth.in_top(counts, top), prediction.in_top(counts, top));
    let both = wanted.iter().zip(&found).zip(counts);
    let hits: f64 = both.map(|((w, f), &count)| w * f * f64::from(count)).sum();
    (top > 0.0).then(|| hits / top)
}

/// Pearson's correlation of a sample in which row `i` occurs `counts[i]` times; `None` where one
/// side is constant.
fn pearson(x: &[f64], y: &[f64], counts: &[u32]) -> Option<f64> {
    let total: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let mean = |values: &[f64]| -> f64 {
        let sum: f64 = values
            .iter()
            .zip(counts)
            .map(|(value, &count)| value * f64::from(count))
            .sum();
        sum / total
    };
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for ((x, y), &count) in x.iter().zip(y).zip(counts) {
        let (dx, dy, count) = (x - mean_x, y - mean_y, f64::from(count));
        xx += count * dx * dx;
        yy += count * dy * dy;
        xy += count * dx * dy;
    }
    // Ranks are multiples of one half, so that a constant side has no spread but rounding.
    (xx > 1e-9 && yy > 1e-9).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
}

/// Spearman's rank correlation; ties share the mean of their places. `None` where one side is
/// constant.
pub(crate) fn spearman(x: &Ranked, y: &Ranked, counts: &[u32]) -> Option<f64> {
    pearson(&x.ranks(counts), &y.ranks(counts), counts)
}

/// Kendall's τ-b in `O(n log n)`; `None` where one side is constant.
///
/// The rows are taken in the order of `x`, and a tree of counts over the groups of `y` tells how
/// many of those before lie below and above (Knight 1966, with a Fenwick tree for the sort).
pub(crate) fn kendall(x: &Ranked, y: &Ranked, counts: &[u32]) -> Option<f64> {
    let mut tree = Fenwick::new(y.groups());
    let mut seen = 0.0;
    let (mut balance, mut tied_x) = (0.0, 0.0);
    for tied in x
        .order
        .chunk_by(|&a, &b| x.group[a as usize] == x.group[b as usize])
    {
        let mut size = 0.0;
        for &row in tied {
            let (count, group) = (f64::from(counts[row as usize]), y.group[row as usize]);
            if count > 0.0 {
                let below = tree.sum_below(group as usize);
                let not_above = tree.sum_below(group as usize + 1);
                balance += count * (below - (seen - not_above));
                size += count;
            }
        }
        for &row in tied {
            tree.add(y.group[row as usize] as usize, counts[row as usize].into());
        }
        seen += size;
        tied_x += size * (size - 1.0) / 2.0;
    }
    let tied_y: f64 = y
        .order
        .chunk_by(|&a, &b| y.group[a as usize] == y.group[b as usize])
        .map(|tied| {
            let size: f64 = tied
                .iter()
                .map(|&row| f64::from(counts[row as usize]))
                .sum();
            size * (size - 1.0) / 2.0
        })
        .sum();
    let pairs = seen * (seen - 1.0) / 2.0;
    let scale = ((pairs - tied_x) * (pairs - tied_y)).sqrt();
    (scale > 0.0).then(|| (balance / scale).clamp(-1.0, 1.0))
}

/// Prefix sums that can be added to.
struct Fenwick(Vec<f64>);

impl Fenwick {
    fn new(size: usize) -> Self {
        Self(vec![0.0; size + 1])
    }

    fn add(&mut self, index: usize, value: f64) {
        let mut at = index + 1;
        while at < self.0.len() {
            self.0[at] += value;
            at += at & at.wrapping_neg();
        }
    }

    fn sum_below(&self, index: usize) -> f64 {
        let (mut at, mut sum) = (index, 0.0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_ranks(values: &[f64]) -> Vec<f64> {
        values
            .iter()
            .map(|v| {
                let below = values.iter().filter(|w| *w < v).count() as f64;
                let equal = values.iter().filter(|w| *w == v).count() as f64;
                below + f64::midpoint(equal, 1.0)
            })
            .collect()
    }

    fn slow_kendall(x: &[f64], y: &[f64]) -> Option<f64> {
        let (mut balance, mut free_x, mut free_y) = (0.0, 0.0, 0.0);
        let sign = |d: f64| if d == 0.0 { 0.0 } else { d.signum() };
        for i in 0..x.len() {
            for j in 0..i {
                let (dx, dy) = (sign(x[i] - x[j]), sign(y[i] - y[j]));
                balance += dx * dy;
                free_x += dx.abs();
                free_y += dy.abs();
            }
        }
        (free_x > 0.0 && free_y > 0.0).then(|| balance / f64::sqrt(free_x * free_y))
    }

    fn close(a: Option<f64>, b: Option<f64>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        }
    }

    proptest! {
        /// Counting a row twice equals having it twice, and both equal the definitions.
        #[test]
        fn counts_equal_repeated_rows(
            rows in prop::collection::vec((0_u8..12, 0_u8..12, 0_u32..4), 1..60)
        ) {
            let repeated: Vec<(f64, f64)> = rows
                .iter()
                .flat_map(|&(x, y, n)| (0..n).map(move |_| (f64::from(x), f64::from(y))))
                .collect();
            let (x, y): (Vec<f64>, Vec<f64>) = repeated.into_iter().unzip();
            let ones = vec![1; x.len()];

            let all_x = Ranked::new(&rows.iter().map(|r| f64::from(r.0)).collect::<Vec<_>>());
            let all_y = Ranked::new(&rows.iter().map(|r| f64::from(r.1)).collect::<Vec<_>>());
            let counts: Vec<u32> = rows.iter().map(|r| r.2).collect();

            let by_counts = spearman(&all_x, &all_y, &counts);
            prop_assert!(close(by_counts, pearson(&slow_ranks(&x), &slow_ranks(&y), &ones)));
            prop_assert!(close(kendall(&all_x, &all_y, &counts), slow_kendall(&x, &y)));
        }
    }

    #[test]
    fn a_constant_has_no_rank_correlation() {
        let (flat, steep) = (Ranked::new(&[2.0; 3]), Ranked::new(&[1.0, 2.0, 3.0]));
        assert_eq!(spearman(&flat, &steep, &[1; 3]), None);
        assert_eq!(kendall(&flat, &steep, &[1; 3]), None);
        assert_eq!(spearman(&steep, &steep, &[1; 3]), Some(1.0));
        let none = Ranked::new(&[]);
        assert_eq!(spearman(&none, &none, &[]), None);
    }
}
