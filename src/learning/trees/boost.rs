//! Trees that learn, one after the other, what those before leave over.

use std::ops::Range;

use rand::RngExt as _;
use rayon::prelude::*;

use super::{TreeSettings, bins::Bins, grow::Ground, tree::Tree};
use crate::learning::{Error, seeds, watch::Watch};

/// Rows with what is wanted of each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    /// The numbers of each row, row-major `[rows, width]`.
    pub(crate) values: Vec<f32>,
    /// The number of columns.
    pub(crate) width: usize,
    /// What is wanted of each row.
    pub(crate) wanted: Vec<f64>,
}

impl Lesson {
    /// These rows, and then those of `more`.
    #[must_use]
    pub(crate) fn and(mut self, more: &Self) -> Self {
        self.values.extend_from_slice(&more.values);
        self.wanted.extend_from_slice(&more.wanted);
        self
    }

    /// The rows outside of a range of rows, and those inside.
    pub(crate) fn parted(&self, inside: &Range<usize>) -> (Self, Self) {
        let take = |rows: Range<usize>| Self {
            values: self.values[rows.start * self.width..rows.end * self.width].to_vec(),
            width: self.width,
            wanted: self.wanted[rows].to_vec(),
        };
        let outside = take(0..inside.start).and(&take(inside.end..self.wanted.len()));
        (outside, take(inside.clone()))
    }

    fn columns(&self) -> Vec<Vec<f32>> {
        (0..self.width)
            .into_par_iter()
            .map(|column| {
                let values = self.values.iter().skip(column);
                values.step_by(self.width).copied().collect()
            })
            .collect()
    }
}

/// Trees whose values are added.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Boosted {
    /// The trees.
    pub(crate) trees: Vec<Tree>,
}

impl Boosted {
    /// The value of one row.
    pub(crate) fn predict(&self, row: &[f32]) -> f64 {
        self.trees.iter().map(|tree| tree.predict(row)).sum()
    }

    /// The values of the rows of a lesson.
    pub(crate) fn predict_all(&self, lesson: &Lesson) -> Vec<f64> {
        let rows = lesson.values.par_chunks_exact(lesson.width.max(1));
        rows.map(|row| self.predict(row)).collect()
    }
}

/// Trees that learn `lesson`. With `unseen`, the number of trees that predicts those rows best,
/// else as many as the settings allow.
///
/// # Errors
///
/// [`Error::Cancelled`].
pub(crate) fn boost(
    lesson: &Lesson,
    unseen: Option<&Lesson>,
    settings: &TreeSettings,
    seed: u64,
    watch: &dyn Watch,
) -> Result<Boosted, Error> {
    let bins = Bins::new(&lesson.columns());
    let mut generator = seeds::generator(seed, "trees");
    let mut left = lesson.wanted.clone();
    let mut left_unseen = unseen
        .map(|unseen| unseen.wanted.clone())
        .unwrap_or_default();
    let mut trees: Vec<Tree> = Vec::new();
    // No tree at all is an answer too.
    let (mut best, mut least) = (0, square(&left_unseen));
    let column_count = share_of(lesson.width, settings.column_share);
    let row_count = share_of(left.len(), settings.row_share);
    while trees.len() < settings.count {
        if watch.cancelled() {
            return Err(Error::Cancelled);
        }
        let mut rows = sample(left.len(), row_count, &mut generator);
        let columns = sample(lesson.width, column_count, &mut generator);
        let columns: Vec<usize> = columns.into_iter().map(|column| column as usize).collect();
        let ground = Ground {
            bins: &bins,
            wanted: &left,
            columns: &columns,
            settings,
        };
        let tree = ground.grow(&mut rows);
        take(&tree, lesson, &mut left);
        if let Some(unseen) = unseen {
            take(&tree, unseen, &mut left_unseen);
        }
        trees.push(tree);
        if unseen.is_some() {
            let error = square(&left_unseen);
            if error < least {
                (best, least) = (trees.len(), error);
            } else if trees.len() - best >= settings.patience {
                break;
            }
        }
    }
    if unseen.is_some() {
        trees.truncate(best);
    }
    Ok(Boosted { trees })
}

/// Takes what a tree says of each row from what was left of it.
fn take(tree: &Tree, lesson: &Lesson, left: &mut [f64]) {
    let rows = lesson.values.par_chunks_exact(lesson.width);
    left.par_iter_mut()
        .zip(rows)
        .for_each(|(left, row)| *left -= tree.predict(row));
}

fn square(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

fn share_of(count: usize, share: f64) -> usize {
    ((count as f64 * share).ceil() as usize).clamp(1, count.max(1))
}

/// `count` of the numbers below `of`, ascending.
fn sample(of: usize, count: usize, generator: &mut rand_chacha::ChaCha8Rng) -> Vec<u32> {
    if count >= of {
        return (0..of as u32).collect();
    }
    // Selection sampling (Knuth, 3.4.2 S): each set of this size is as likely.
    let mut chosen = Vec::with_capacity(count);
    for number in 0..of {
        let (needed, remaining) = (count - chosen.len(), of - number);
        if generator.random_range(0..remaining) < needed {
            chosen.push(number as u32);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::watch::Unwatched;

    /// A step, a product and a column that says nothing.
    fn lesson(rows: usize, seed: u64) -> Lesson {
        let mut generator = seeds::generator(seed, "lesson");
        let mut lesson = Lesson {
            width: 4,
            ..Lesson::default()
        };
        for _ in 0..rows {
            let row: [f32; 4] = std::array::from_fn(|_| generator.random::<f32>() - 0.5);
            let step = if row[0] > 0.2 { 1.0 } else { 0.0 };
            lesson.values.extend(row);
            lesson.wanted.push(step + 8.0 * f64::from(row[1] * row[2]));
        }
        lesson
    }

    #[test]
    fn a_step_and_a_product_are_learned() {
        let settings = TreeSettings {
            rate: 0.1,
            column_share: 1.0,
            ..TreeSettings::default()
        };
        let (learned, unseen) = (lesson(3_000, 1), lesson(700, 2));
        let boosted = boost(&learned, Some(&unseen), &settings, 3, &Unwatched).unwrap();
        let found = boosted.predict_all(&unseen);
        let mean = unseen.wanted.iter().sum::<f64>() / unseen.wanted.len() as f64;
        let spread: f64 = unseen.wanted.iter().map(|w| (w - mean).powi(2)).sum();
        let error: f64 = unseen
            .wanted
            .iter()
            .zip(&found)
            .map(|(w, f)| (w - f).powi(2))
            .sum();
        assert!(error < 0.05 * spread, "{error} of {spread}");
        let again = boost(&learned, Some(&unseen), &settings, 3, &Unwatched).unwrap();
        assert_eq!(boosted, again);
        let other = boost(&learned, Some(&unseen), &settings, 4, &Unwatched).unwrap();
        assert_ne!(boosted, other);
    }

    #[test]
    fn noise_grows_no_forest() {
        let mut generator = seeds::generator(7, "noise");
        let mut noise = |rows: usize| Lesson {
            values: (0..rows * 3).map(|_| generator.random()).collect(),
            width: 3,
            wanted: (0..rows).map(|_| generator.random::<f64>() - 0.5).collect(),
        };
        let (learned, unseen) = (noise(400), noise(400));
        let boosted = boost(
            &learned,
            Some(&unseen),
            &TreeSettings::default(),
            0,
            &Unwatched,
        )
        .unwrap();
        assert!(boosted.trees.len() < 40, "{}", boosted.trees.len());
    }

    #[test]
    fn samples_are_of_their_size() {
        let mut generator = seeds::generator(0, "sample");
        let chosen = sample(10, 4, &mut generator);
        assert!(chosen.len() == 4 && chosen.is_sorted() && chosen[3] < 10);
        assert_eq!(sample(3, 9, &mut generator), [0, 1, 2]);
    }
}
