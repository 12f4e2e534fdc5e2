//! What trees are asked about: columns, components of vectors, and what the line makes of each.

use rayon::prelude::*;

use super::Lesson;
use crate::learning::{
    Error,
    components::components,
    design::{Designed, Group},
    heads::Linear,
    linalg::dot,
};

/// Groups with more columns are reduced to their components.
const MOST_COLUMNS: usize = 64;

/// From the columns of a design to those that trees ask about.
///
/// Of each group there is first what the ridge regression adds for it, one number: of a category
/// that is the mean target of its value, drawn in and freed of what the other groups explain; of a
/// vector it is a model of that vector alone. Rows that the regression has learned take it from
/// folds that had not seen them. Then come the columns, or the leading components of many.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inputs {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    group: Group,
    /// Components `[count, width]`, row-major; none where the columns are asked themselves.
    basis: Option<Vec<f32>>,
}

impl Part {
    fn columns(&self) -> usize {
        let width = self.group.width;
        1 + self
            .basis
            .as_ref()
            .map_or(width, |basis| basis.len() / width)
    }

    fn push(&self, row: &[f32], linear: &Linear, out: &mut Vec<f32>) {
        let columns = self.group.start..self.group.start + self.group.width;
        let row = &row[columns.clone()];
        out.push(dot(&linear.weights[columns], row) as f32);
        match &self.basis {
            None => out.extend_from_slice(row),
            Some(basis) => {
                let components = basis.chunks_exact(row.len());
                out.extend(components.map(|component| product(component, row)));
            }
        }
    }
}

/// The scalar product, in eight partial sums that the processor can add at once.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

impl Inputs {
    /// Finds the components of the groups with many columns, on `rows`.
    ///
    /// # Errors
    ///
    /// [`Error::Numerics`] where columns are not finite.
    pub(crate) fn fit(
        design: &Designed,
        groups: &[Group],
        rows: &[usize],
        count: usize,
    ) -> Result<Self, Error> {
        let part = |group: &Group| {
            let wide = group.width > MOST_COLUMNS;
            let basis = wide.then(|| components(design, rows, group, count));
            Ok(Part {
                group: group.clone(),
                basis: basis.transpose()?,
            })
        };
        let parts: Result<Vec<Part>, Error> = groups.iter().map(part).collect();
        Ok(Self { parts: parts? })
    }

    /// The number of columns.
    pub(crate) fn width(&self) -> usize {
        self.parts.iter().map(Part::columns).sum()
    }

    /// What one row of a design becomes.
    pub(crate) fn row(&self, row: &[f32], linear: &Linear) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.width());
        for part in &self.parts {
            part.push(row, linear, &mut out);
        }
        out
    }

    /// The lesson of some rows, of which each has a line that had not learned it.
    pub(crate) fn lesson(
        &self,
        design: &Designed,
        rows: &[(usize, &Linear)],
        wanted: &[f64],
    ) -> Lesson {
        let values: Vec<Vec<f32>> = rows
            .par_iter()
            .map(|&(row, linear)| self.row(design.row(row), linear))
            .collect();
        Lesson {
            values: values.concat(),
            width: self.width(),
            wanted: wanted.to_vec(),
        }
    }

    /// The components by the name of their group, to be stored.
    pub(crate) fn bases(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.parts
            .iter()
            .filter_map(|part| Some((part.group.name.as_str(), part.basis.as_deref()?)))
    }

    /// Puts stored components back; `read` finds those of a group.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub(crate) fn restore(
        groups: Vec<Group>,
        read: impl Fn(&Group) -> Result<Vec<f32>, Error>,
    ) -> Result<Self, Error> {
        let part = |group: Group| {
            let wide = group.width > MOST_COLUMNS;
            let basis = if wide { Some(read(&group)?) } else { None };
            Ok(Part { group, basis })
        };
        let parts: Result<Vec<Part>, Error> = groups.into_iter().map(part).collect();
        Ok(Self { parts: parts? })
    }
}
