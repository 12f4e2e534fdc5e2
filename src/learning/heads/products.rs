//! The products of a problem's rows, which serve every problem of the same rows.

use super::scaled::Scaled;
use crate::learning::{design::Group, linalg::Matrix};

/// `AᵀA` of some rows, and the sum of each column.
pub(super) type Moments = (Matrix, Vec<f64>);

/// The products of a problem, which are also those of a problem with the same rows and fewer
/// groups.
#[derive(Debug)]
pub(crate) struct Products {
    groups: Vec<Group>,
    folds: Vec<Moments>,
}

impl Products {
    pub(super) fn new(groups: &[Group], folds: Vec<Moments>) -> Self {
        Self {
            groups: groups.to_vec(),
            folds,
        }
    }

    /// The products for some of the groups; `None` where one of them is not known.
    pub(super) fn of(&self, groups: &[Group]) -> Option<Vec<Moments>> {
        let mut columns = Vec::new();
        for group in groups {
            let known = self.groups.iter().find(|known| known.name == group.name)?;
            if known.width != group.width {
                return None;
            }
            columns.extend(known.start..known.start + known.width);
        }
        let folds = self.folds.iter().map(|(gram, sums)| {
            let mut values = Vec::with_capacity(columns.len().pow(2));
            for &row in &columns {
                let row = gram.row(row);
                values.extend(columns.iter().map(|&column| row[column]));
            }
            let gram = Matrix::new(columns.len(), columns.len(), values);
            (gram, columns.iter().map(|&column| sums[column]).collect())
        });
        Some(folds.collect())
    }
}

/// Of some rows `AᵀA`, and the sum of each column.
pub(super) fn moments(columns: &Scaled<'_>, rows: &[usize]) -> Moments {
    let ones = vec![1.0; rows.len()];
    (columns.gram(rows), columns.combine(rows, &ones, 1).values)
}
