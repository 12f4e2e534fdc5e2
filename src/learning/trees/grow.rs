//! How one tree is grown: the leaf whose split gains most is split first.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    TreeSettings,
    bins::Bins,
    tree::{Node, Tree},
};

/// A split that gains less than this share of what a row's square is gains nothing.
const LEAST_GAIN: f64 = 1e-9;

/// The sum of what is wanted of some rows, and their number.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: f64,
    rows: u32,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.rows += other.rows;
    }

    fn minus(self, other: Self) -> Self {
        Self {
            total: self.total - other.total,
            rows: self.rows - other.rows,
        }
    }

    /// By how much a leaf of these rows lessens the squared error.
    fn score(self, shrinkage: f64) -> f64 {
        self.total.powi(2) / (f64::from(self.rows) + shrinkage)
    }

    fn value(self, shrinkage: f64) -> f64 {
        self.total / (f64::from(self.rows) + shrinkage)
    }
}

/// Per column the sums of its bins.
type Histogram = Vec<Vec<Sum>>;

#[derive(Clone, Copy, Debug)]
struct Best {
    gain: f64,
    /// The place of the column among those that this tree sees.
    place: usize,
    bin: u8,
}

/// A leaf that may still be split.
struct Open {
    node: usize,
    rows: Range<usize>,
    sum: Sum,
    histogram: Histogram,
    best: Option<Best>,
}

/// What a tree is grown on.
pub(super) struct Ground<'a> {
    pub(super) bins: &'a Bins,
    /// What is wanted of each row.
    pub(super) wanted: &'a [f64],
    /// The columns that the tree sees, ascending.
    pub(super) columns: &'a [usize],
    pub(super) settings: &'a TreeSettings,
}

impl Ground<'_> {
    /// Grows a tree on `rows`, which it puts into the order of leaves.
    pub(super) fn grow(&self, rows: &mut [u32]) -> Tree {
        let mut nodes = vec![Node::Leaf(0.0)];
        let mut open = vec![self.open(0, 0..rows.len(), self.histogram(rows))];
        let mut leaves = 1;
        while leaves < self.settings.leaves {
            let gains = open.iter().enumerate().filter_map(|(at, leaf)| {
                let best = leaf.best?;
                Some((at, best))
            });
            // The first of equals, so that the order is fixed.
            let chosen = gains.reduce(|a, b| if b.1.gain > a.1.gain { b } else { a });
            let Some((at, best)) = chosen else { break };
            let leaf = open.swap_remove(at);
            let column = self.columns[best.place];
            let bins = &self.bins.columns[column];
            let part = &mut rows[leaf.rows.clone()];
            let left = partition(part, |&row| bins[row as usize] <= best.bin);
            let middle = leaf.rows.start + left;
            let sides = [leaf.rows.start..middle, middle..leaf.rows.end];
            // The smaller side is counted, the other is what remains.
            let smaller = usize::from(sides[0].len() > sides[1].len());
            let counted = self.histogram(&rows[sides[smaller].clone()]);
            let rest = subtract(leaf.histogram, &counted);
            let histograms = if smaller == 0 {
                [counted, rest]
            } else {
                [rest, counted]
            };
            let first = nodes.len();
            nodes[leaf.node] = Node::Split {
                column: column as u32,
                cut: self.bins.cuts[column][usize::from(best.bin)],
                left: first as u32,
            };
            for (side, (rows, histogram)) in sides.into_iter().zip(histograms).enumerate() {
                nodes.push(Node::Leaf(0.0));
                open.push(self.open(first + side, rows, histogram));
            }
            leaves += 1;
        }
        for leaf in open {
            let value = leaf.sum.value(self.settings.shrinkage) * self.settings.rate;
            nodes[leaf.node] = Node::Leaf(value as f32);
        }
        Tree { nodes }
    }

    fn histogram(&self, rows: &[u32]) -> Histogram {
        self.columns
            .par_iter()
            .map(|&column| {
                let bins = &self.bins.columns[column];
                let mut sums = vec![Sum::default(); self.bins.cuts[column].len() + 1];
                for &row in rows {
                    let sum = &mut sums[usize::from(bins[row as usize])];
                    sum.total += self.wanted[row as usize];
                    sum.rows += 1;
                }
                sums
            })
            .collect()
    }

    fn open(&self, node: usize, rows: Range<usize>, histogram: Histogram) -> Open {
        let mut sum = Sum::default();
        if let Some(first) = histogram.first() {
            first.iter().for_each(|bin| sum.add(*bin));
        }
        let best = histogram
            .par_iter()
            .enumerate()
            .filter_map(|(place, bins)| self.best(place, bins, sum))
            .reduce_with(|a, b| {
                if (b.gain, a.place) > (a.gain, b.place) {
                    b
                } else {
                    a
                }
            });
        Open {
            node,
            rows,
            sum,
            histogram,
            best,
        }
    }

    /// The best boundary of one column.
    fn best(&self, place: usize, bins: &[Sum], all: Sum) -> Option<Best> {
        let least = self.settings.least_rows as u32;
        let shrinkage = self.settings.shrinkage;
        let whole = all.score(shrinkage);
        let mut left = Sum::default();
        let mut best: Option<Best> = None;
        for (bin, sum) in bins.iter().enumerate().take(bins.len().saturating_sub(1)) {
            left.add(*sum);
            let right = all.minus(left);
            if sum.rows == 0 || left.rows < least {
                continue;
            }
            if right.rows < least {
                break;
            }
            let gain = left.score(shrinkage) + right.score(shrinkage) - whole;
            if gain > best.map_or(LEAST_GAIN, |best| best.gain) {
                let bin = bin as u8;
                best = Some(Best { gain, place, bin });
            }
        }
        best
    }
}

fn subtract(mut from: Histogram, part: &Histogram) -> Histogram {
    for (from, part) in from.iter_mut().zip(part) {
        for (from, part) in from.iter_mut().zip(part) {
            *from = from.minus(*part);
        }
    }
    from
}

/// Puts those of `rows` that go left before the others, each in their order; how many go left.
fn partition(rows: &mut [u32], goes_left: impl Fn(&u32) -> bool) -> usize {
    let (mut left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|row| goes_left(row));
    let count = left.len();
    left.extend(right);
    rows.copy_from_slice(&left);
    count
}
