//! What each input is worth, where several tell the same.

use std::collections::HashMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{
    Error, Fitted, HeadKind, TrainSettings,
    heads::Products,
    judge::Judge,
    rank::{Ranked, spearman},
    seeds,
    train::train_from,
    watch::{Progress, Watch},
};

/// The most inputs of which every order is taken.
const ALL_ORDERS: usize = 4;
/// How many orders of more inputs are drawn; as many more are these backwards.
const DRAWN: usize = 12;

/// What an input is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// The input, or those that tell of one modality.
    pub input: String,
    /// The rank correlation of a ridge regression on it alone; nothing where it is not defined.
    pub alone: Option<f64>,
    /// The share of the variance of the target's ranks that it tells in a ridge regression on all
    /// inputs: all parts together make up the square of the rank correlation of that.
    pub part: f64,
}

/// What each input is worth to a ridge regression, the most first; nothing with a single input, and
/// for classes.
///
/// What an input adds depends on what is known already: a community adds nothing where the titles
/// name it, and much where they are left out. Its part is the mean of what it adds over the orders in
/// which inputs can be taken in, its Shapley value (Lipovetsky and Conklin, "Analysis of regression in
/// game theory approach", 2001), here on rows that were not learned. Of more than four inputs 24
/// orders are drawn.
pub(super) fn worth(
    judge: &Judge<'_>,
    (fitted, settings): (&Fitted, &TrainSettings),
    modalities: &[Vec<String>],
    products: &mut Option<Products>,
    device: &Device,
    watch: &dyn Watch,
) -> Result<Vec<Worth>, Error> {
    let groups = grouped(&fitted.head.inputs(), modalities);
    let has_line = settings.head != HeadKind::Mmrl && settings.classes.is_none();
    if !settings.ablation || !has_line || !(2..=64).contains(&groups.len()) {
        return Ok(Vec::new());
    }
    watch.progress(&Progress::Stage("what inputs are worth".to_owned()));
    let targets = Ranked::new(judge.targets());
    let once = vec![1; judge.targets().len()];
    let of_groups = |taken: u64| {
        let left_out = groups.iter().enumerate();
        let left_out = left_out.filter(|(at, _)| taken >> at & 1 == 0);
        let mut ridge = TrainSettings {
            head: HeadKind::Ridge,
            ..settings.clone()
        };
        ridge
            .without
            .extend(left_out.flat_map(|(_, names)| names.iter().cloned()));
        let known = Some(&fitted.choices);
        let head = train_from(judge.matrix, &ridge, known, products, device, watch)?.head;
        Ok(spearman(
            &targets,
            &Ranked::new(&judge.values(&head)?),
            &once,
        ))
    };
    let mut values = Values {
        known: HashMap::new(),
        of_groups,
    };
    let parts = values.parts(&orders(groups.len(), settings.seed), groups.len())?;
    let mut worth = Vec::with_capacity(groups.len());
    for (at, (names, part)) in groups.iter().zip(parts).enumerate() {
        worth.push(Worth {
            input: names.join(" + "),
            alone: values.of(1 << at)?,
            part,
        });
    }
    worth.sort_by(|a, b| b.part.total_cmp(&a.part));
    Ok(worth)
}

/// What sets of inputs, as bits, reach.
struct Values<F> {
    known: HashMap<u64, Option<f64>>,
    of_groups: F,
}

impl<F: FnMut(u64) -> Result<Option<f64>, Error>> Values<F> {
    fn of(&mut self, taken: u64) -> Result<Option<f64>, Error> {
        if taken == 0 {
            return Ok(None);
        }
        if let Some(value) = self.known.get(&taken) {
            return Ok(*value);
        }
        let value = (self.of_groups)(taken)?;
        self.known.insert(taken, value);
        Ok(value)
    }

    /// What each of `count` inputs adds, in the mean over orders.
    fn parts(&mut self, orders: &[Vec<usize>], count: usize) -> Result<Vec<f64>, Error> {
        let mut parts = vec![0.0; count];
        for order in orders {
            let (mut taken, mut before) = (0, 0.0);
            for &at in order {
                taken |= 1 << at;
                let value = told(self.of(taken)?);
                parts[at] += (value - before) / orders.len() as f64;
                before = value;
            }
        }
        Ok(parts)
    }
}

/// The share of the variance of ranks that a rank correlation tells; one that points the other way
/// takes from it, one that is not defined orders no two rows.
fn told(correlation: Option<f64>) -> f64 {
    correlation.map_or(0.0, |of| of * of.abs())
}

/// Inputs by what they tell of: those of one modality together, any other alone.
fn grouped(inputs: &[String], modalities: &[Vec<String>]) -> Vec<Vec<String>> {
    let mut groups: Vec<(Option<usize>, Vec<String>)> = Vec::new();
    for input in inputs {
        let of = modalities
            .iter()
            .position(|modality| modality.contains(input));
        let known = groups
            .iter_mut()
            .find(|(other, _)| of.is_some() && *other == of);
        match known {
            Some((_, names)) => names.push(input.clone()),
            None => groups.push((of, vec![input.clone()])),
        }
    }
    groups.into_iter().map(|(_, names)| names).collect()
}

/// The orders in which `count` inputs are taken in: all of them, or some that are drawn.
fn orders(count: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    if count <= ALL_ORDERS {
        for _ in 0..count {
            let longer = |order: &Vec<usize>| {
                let order = order.clone();
                let others = (0..count).filter(|at| !order.contains(at));
                let with = |at| [order.as_slice(), &[at]].concat();
                others.map(with).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        return all;
    }
    let mut generator = seeds::generator(seed, "orders of inputs");
    let mut order: Vec<usize> = (0..count).collect();
    let mut draw = || {
        seeds::shuffle(&mut order, &mut generator);
        let backwards = order.iter().rev().copied().collect();
        [order.clone(), backwards]
    };
    (0..DRAWN).flat_map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(count: usize, value: impl Fn(u64) -> f64) -> Vec<f64> {
        let mut values = Values {
            known: HashMap::new(),
            of_groups: |taken| Ok(Some(value(taken).sqrt())),
        };
        values.parts(&orders(count, 3), count).unwrap()
    }

    #[test]
    fn what_two_tell_is_shared_and_all_parts_make_the_whole() {
        // The first and the second tell the same, the third something of its own.
        let value = |taken: u64| {
            let same = if taken.trailing_zeros() < 2 { 0.4 } else { 0.0 };
            same + if taken & 0b100 == 0 { 0.0 } else { 0.1 }
        };
        let found = parts(3, value);
        for (found, expected) in found.iter().zip([0.2, 0.2, 0.1]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        // With many inputs, orders are drawn: what does not depend on the others is as exact.
        let sizes = [0.3, 0.2, 0.1, 0.0, 0.05, 0.25, 0.15];
        let sum =
            |taken: u64| -> f64 { (0..7).map(|at| (taken >> at & 1) as f64 * sizes[at]).sum() };
        for (found, expected) in parts(7, sum).iter().zip(sizes) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn orders_are_all_or_drawn_in_pairs() {
        let all: std::collections::HashSet<_> = orders(4, 0).into_iter().collect();
        assert_eq!(all.len(), 24);
        let drawn = orders(6, 0);
        assert_eq!(drawn.len(), 2 * DRAWN);
        for pair in drawn.chunks(2) {
            let backwards: Vec<usize> = pair[1].iter().rev().copied().collect();
            assert_eq!(pair[0], backwards);
        }
        assert_eq!(drawn, orders(6, 0));
        assert_ne!(drawn, orders(6, 1));
    }

    #[test]
    fn inputs_of_one_modality_stand_together() {
        let names =
            |of: &[&str]| -> Vec<String> { of.iter().map(|&name| name.to_owned()).collect() };
        let inputs = names(&["title", "image", "caption", "numbers"]);
        let modalities = [names(&["image", "caption", "visual"])];
        let expected = [&["title"][..], &["image", "caption"], &["numbers"]].map(names);
        assert_eq!(grouped(&inputs, &modalities), expected);
    }
}
