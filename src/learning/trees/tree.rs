//! One tree.

use serde::{Deserialize, Serialize};

/// A binary tree of questions `row[column] <= cut`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tree {
    /// The nodes, the root first.
    pub(super) nodes: Vec<Node>,
}

/// A question, or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Node {
    /// Which of two nodes a row goes to.
    Split {
        /// The column that is asked.
        column: u32,
        /// Rows with at most this go left.
        cut: f32,
        /// The place of the left node; the right one follows it.
        left: u32,
    },
    /// The value of the rows that end here.
    Leaf(f32),
}

impl Tree {
    /// The value of one row.
    pub(super) fn predict(&self, row: &[f32]) -> f64 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(value) => return f64::from(value),
                Node::Split { column, cut, left } => {
                    at = left as usize + usize::from(row[column as usize] > cut);
                }
            }
        }
    }

    /// The nodes as numbers, to be stored: column (or −1), left node, and cut or value.
    pub(crate) fn to_parts(&self) -> (Vec<i32>, Vec<f32>) {
        let mut shape = Vec::with_capacity(2 * self.nodes.len());
        let mut numbers = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            match *node {
                Node::Leaf(value) => {
                    shape.extend([-1, 0]);
                    numbers.push(value);
                }
                Node::Split { column, cut, left } => {
                    shape.extend([column.cast_signed(), left.cast_signed()]);
                    numbers.push(cut);
                }
            }
        }
        (shape, numbers)
    }

    /// The tree of which [`to_parts`](Self::to_parts) told; `None` where they are of no tree over
    /// `columns` columns: each question leads on, so that every row comes to an answer.
    pub(crate) fn from_parts(shape: &[i32], numbers: &[f32], columns: usize) -> Option<Self> {
        let (pairs, rest) = shape.as_chunks::<2>();
        if !rest.is_empty() || pairs.len() != numbers.len() || numbers.is_empty() {
            return None;
        }
        let nodes = pairs.iter().zip(numbers).enumerate();
        let nodes: Option<Vec<Node>> = nodes
            .map(|(at, (&[column, left], &number))| {
                if column < 0 {
                    return Some(Node::Leaf(number));
                }
                let (column, left) = (column.cast_unsigned(), u32::try_from(left).ok()?);
                let leads_on = left as usize > at && (left as usize) + 1 < numbers.len();
                (leads_on && (column as usize) < columns).then_some(Node::Split {
                    column,
                    cut: number,
                    left,
                })
            })
            .collect();
        Some(Self { nodes: nodes? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let split = |column, cut, left| Node::Split { column, cut, left };
        Tree {
            nodes: vec![
                split(1, 0.5, 1),
                Node::Leaf(-1.0),
                split(0, 2.0, 3),
                Node::Leaf(3.0),
                Node::Leaf(4.0),
            ],
        }
    }

    #[test]
    fn a_row_ends_where_its_answers_lead() {
        for (row, value) in [([9.0, 0.5], -1.0), ([2.0, 0.6], 3.0), ([2.1, 7.0], 4.0)] {
            assert!((tree().predict(&row) - value).abs() < 1e-12);
        }
    }

    #[test]
    fn what_is_no_tree_is_not_read() {
        let (shape, numbers) = tree().to_parts();
        assert_eq!(Tree::from_parts(&shape, &numbers, 2), Some(tree()));
        assert_eq!(Tree::from_parts(&shape, &numbers, 1), None);
        assert_eq!(Tree::from_parts(&shape[..8], &numbers, 2), None);
        assert_eq!(Tree::from_parts(&[0, 0], &[0.5], 2), None);
        assert_eq!(
            Tree::from_parts(&[0, 0, -1, 0, -1, 0], &[0.5, 1.0, 2.0], 2),
            None
        );
        assert_eq!(Tree::from_parts(&[], &[], 2), None);
    }
}
