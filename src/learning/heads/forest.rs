//! Boosted trees as a part of a head.

use rayon::prelude::*;
use safetensors::Dtype;

use super::{
    Linear,
    bundle::{Stored, bytes_of},
};
use crate::learning::{
    Error,
    design::{Designed, Group},
    trees::{Boosted, Inputs, Tree},
};

/// Trees, what they are asked about, and how much of their answer counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forest {
    pub(crate) inputs: Inputs,
    pub(crate) boosted: Boosted,
    /// What the sum of the trees is multiplied with.
    pub(crate) share: f64,
}

impl Forest {
    /// What is added to the line's values of all rows.
    pub(super) fn predict_all(&self, design: &Designed, linear: &Linear) -> Vec<f64> {
        (0..design.rows)
            .into_par_iter()
            .map(|row| {
                let row = self.inputs.row(design.row(row), linear);
                self.share * self.boosted.predict(&row)
            })
            .collect()
    }

    /// Adds what is to be stored: of all trees the sizes, shapes and numbers, and the components.
    pub(super) fn push_tensors(&self, tensors: &mut Vec<Stored>) {
        let (mut sizes, mut shapes, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for tree in &self.boosted.trees {
            let (shape, values) = tree.to_parts();
            // A tree has a few dozen leaves.
            sizes.push(i32::try_from(values.len()).unwrap_or(i32::MAX));
            shapes.extend(shape);
            numbers.extend(values);
        }
        for (name, values) in [("sizes", &sizes), ("shapes", &shapes)] {
            let bytes = values.iter().flat_map(|value: &i32| value.to_le_bytes());
            let name = format!("forest.{name}");
            tensors.push((name, Dtype::I32, values.len(), bytes.collect()));
        }
        let name = "forest.numbers".to_owned();
        tensors.push((name, Dtype::F32, numbers.len(), bytes_of(&numbers)));
        for (group, basis) in self.inputs.bases() {
            let name = basis_name(group);
            tensors.push((name, Dtype::F32, basis.len(), bytes_of(basis)));
        }
    }

    /// The trees that were stored; `read` finds the bytes of a tensor.
    pub(super) fn read<'a>(
        groups: Vec<Group>,
        share: f64,
        trees: usize,
        read: impl Fn(&str, Dtype) -> Result<&'a [u8], Error>,
    ) -> Result<Self, Error> {
        let inputs = Inputs::restore(groups, |group| {
            let basis = floats(read(&basis_name(&group.name), Dtype::F32)?);
            if basis.is_empty() || !basis.len().is_multiple_of(group.width) {
                let name = &group.name;
                return Err(Error::Format(format!(
                    "its components of `{name}` are torn"
                )));
            }
            Ok(basis)
        })?;
        let sizes = whole(read("forest.sizes", Dtype::I32)?);
        let shapes = whole(read("forest.shapes", Dtype::I32)?);
        let numbers = floats(read("forest.numbers", Dtype::F32)?);
        let torn = || Error::Format("its trees are torn".to_owned());
        let mut boosted = Boosted::default();
        let mut at = 0;
        for size in sizes {
            let next = at + usize::try_from(size).map_err(|_| torn())?;
            let shape = shapes.get(2 * at..2 * next).ok_or_else(torn)?;
            let values = numbers.get(at..next).ok_or_else(torn)?;
            let tree = Tree::from_parts(shape, values, inputs.width()).ok_or_else(torn)?;
            boosted.trees.push(tree);
            at = next;
        }
        if at != numbers.len() || boosted.trees.len() != trees {
            return Err(torn());
        }
        Ok(Self {
            inputs,
            boosted,
            share,
        })
    }
}

fn basis_name(group: &str) -> String {
    format!("forest.components.{group}")
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

fn whole(bytes: &[u8]) -> Vec<i32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers
        .iter()
        .map(|bytes| i32::from_le_bytes(*bytes))
        .collect()
}
