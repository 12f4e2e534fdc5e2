//! Rows that are too much like tested ones to be learned from: of the same author, or with nearly the
//! same image or text.
//!
//! A model that has seen a picture before need not know what makes a picture liked. Which rows are
//! nearly the same is found by their vectors: signs of 64 random projections (Charikar 2002,
//! "Similarity Estimation Techniques from Rounding Algorithms") in eight bands of eight, then the
//! cosine itself.

use std::collections::{HashMap, HashSet};

use rand::RngExt as _;
use rayon::prelude::*;

use super::{Error, seeds};
use crate::corpus::{Block, FeatureMatrix};

/// What stands for the author in the setting; every other name is that of a block.
const AUTHOR: &str = "author";
/// Vectors with a greater cosine are of nearly the same thing.
const NEARLY_THE_SAME: f64 = 0.97;
/// Signs per vector, and those that must agree for two vectors to be compared.
const SIGNS: usize = 64;
const BAND: usize = 8;

/// Those of `learned` that are in none of the ways of `names` like one of `tested`.
///
/// # Errors
///
/// [`Error::Schema`] for a name that is neither `author` nor a block of the matrix.
pub(super) fn keep_apart(
    matrix: &FeatureMatrix,
    names: &[String],
    tested: &[usize],
    learned: &[usize],
) -> Result<Vec<usize>, Error> {
    let mut kept = learned.to_vec();
    for name in names {
        let alike = if name == AUTHOR {
            of_their_authors(matrix, tested, &kept)
        } else {
            nearly(block(matrix, name)?, tested, &kept)
        };
        kept.retain(|row| !alike.contains(row));
    }
    Ok(kept)
}

fn block<'a>(matrix: &'a FeatureMatrix, name: &str) -> Result<&'a Block, Error> {
    matrix.block(name).ok_or_else(|| {
        let blocks = matrix.blocks.iter().map(|block| block.name.as_str());
        let known: Vec<&str> = std::iter::once(AUTHOR).chain(blocks).collect();
        Error::Schema(format!(
            "`apart` names `{name}`, which is no block of the rows; there are `{}`",
            known.join("`, `")
        ))
    })
}

/// Those of `rows` whose author has a tested row.
fn of_their_authors(matrix: &FeatureMatrix, tested: &[usize], rows: &[usize]) -> HashSet<usize> {
    let author = |&row: &usize| matrix.rows[row].author.as_deref();
    let authors: HashSet<&str> = tested.iter().filter_map(author).collect();
    let is_theirs = |row: &usize| author(row).is_some_and(|name| authors.contains(name));
    rows.iter().copied().filter(is_theirs).collect()
}

/// Those of `rows` whose vector is nearly that of a tested one.
fn nearly(block: &Block, tested: &[usize], rows: &[usize]) -> HashSet<usize> {
    let mut generator = seeds::generator(0, "apart");
    let mut plane = || -> Vec<f32> {
        let sign = |_| {
            if generator.random::<bool>() {
                1.0
            } else {
                -1.0
            }
        };
        (0..block.width).map(sign).collect()
    };
    let planes: Vec<Vec<f32>> = (0..SIGNS).map(|_| plane()).collect();
    let signature = |&row: &usize| {
        let sign = |plane: &Vec<f32>| u64::from(dot(plane, block.row(row)) > 0.0);
        let signs = planes.iter().map(sign);
        signs.fold(0, |signs, sign| signs << 1 | sign)
    };
    let has_vector = |row: &usize| block.present[*row];
    let signed = |rows: &[usize]| -> Vec<(usize, u64)> {
        let rows: Vec<usize> = rows.iter().copied().filter(has_vector).collect();
        rows.into_par_iter()
            .map(|row| (row, signature(&row)))
            .collect()
    };
    let mut by_band: HashMap<(usize, u64), Vec<usize>> = HashMap::new();
    for (row, signs) in signed(tested) {
        for band in bands(signs) {
            by_band.entry(band).or_default().push(row);
        }
    }
    let is_alike = |&(row, signs): &(usize, u64)| {
        let compared = bands(signs).filter_map(|band| by_band.get(&band)).flatten();
        let compared: HashSet<usize> = compared.copied().collect();
        compared
            .into_iter()
            .any(|other| cosine(block.row(row), block.row(other)) > NEARLY_THE_SAME)
    };
    let alike = signed(rows).into_par_iter().filter(is_alike);
    alike.map(|(row, _)| row).collect()
}

/// The bands of a signature, each with its place.
fn bands(signs: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..SIGNS / BAND).map(move |band| (band, signs >> (band * BAND) & ((1 << BAND) - 1)))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    products.sum()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 {
        dot(a, b) / length
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Row;

    /// Vectors of width 33 in which `pairs` of rows are nearly the same, and one row has none.
    fn matrix(rows: usize, pairs: &[(usize, usize)]) -> FeatureMatrix {
        let mut generator = seeds::generator(4, "vectors");
        let mut values: Vec<f32> = (0..rows * 33)
            .map(|_| generator.random::<f32>() - 0.5)
            .collect();
        for &(from, to) in pairs {
            for at in 0..33 {
                values[to * 33 + at] = 3.0 * values[from * 33 + at] + 0.05;
            }
        }
        let row = |at: usize| Row {
            id: format!("r{at}"),
            created_at: None,
            community: None,
            author: (!at.is_multiple_of(4)).then(|| format!("a{}", at % 50)),
            order: None,
            classes: Vec::new(),
            label: None,
        };
        FeatureMatrix {
            rows: (0..rows).map(row).collect(),
            blocks: vec![Block {
                name: "image".to_owned(),
                columns: Vec::new(),
                width: 33,
                values,
                present: (0..rows).map(|row| row != 7).collect(),
            }],
            categories: Vec::new(),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_nearly_a_tested_image_is_found_and_nothing_else() {
        let matrix = matrix(300, &[(250, 3), (251, 120), (252, 7)]);
        let tested: Vec<usize> = (240..300).collect();
        let learned: Vec<usize> = (0..240).collect();
        let kept = keep_apart(&matrix, &names(&["image"]), &tested, &learned).unwrap();
        let gone: Vec<usize> = learned
            .iter()
            .copied()
            .filter(|row| !kept.contains(row))
            .collect();
        // The one at 7 has no image.
        assert_eq!(gone, [3, 120]);
        assert_eq!(
            keep_apart(&matrix, &[], &tested, &learned).unwrap(),
            learned
        );
    }

    #[test]
    fn authors_of_tested_rows_are_not_learned_of() {
        let matrix = matrix(300, &[]);
        let learned: Vec<usize> = (0..240).collect();
        let kept = keep_apart(&matrix, &names(&["author"]), &[291, 292], &learned).unwrap();
        // 291 is of the author 41; 292 has none.
        let gone: Vec<usize> = learned
            .iter()
            .copied()
            .filter(|row| !kept.contains(row))
            .collect();
        assert_eq!(gone, [41, 91, 141, 191]);
    }

    #[test]
    fn a_name_that_is_none_is_told_with_those_there_are() {
        let error = keep_apart(&matrix(10, &[]), &names(&["picture"]), &[1], &[2]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`picture`") && text.contains("`author`, `image`"),
            "{text}"
        );
    }
}
