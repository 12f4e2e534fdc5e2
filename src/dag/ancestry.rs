//! Who lies upstream of whom, for graphs in which that is asked of every task.

use super::Graph;

/// All pairs of a task and one upstream of it, direct or not: one bit each.
#[derive(Clone, Debug)]
pub struct Ancestry {
    words: usize,
    bits: Vec<u64>,
}

impl Ancestry {
    /// Reads them off a graph; costs one word operation per edge and 64 tasks.
    pub fn new(graph: &Graph) -> Self {
        let count = graph.nodes().len();
        let words = count.div_ceil(64);
        let mut bits = vec![0_u64; words * count];
        for &task in graph.order() {
            for &above in graph.upstream(task) {
                bits[task * words + above / 64] |= 1 << (above % 64);
                for word in 0..words {
                    bits[task * words + word] |= bits[above * words + word];
                }
            }
        }
        Self { words, bits }
    }

    /// Whether the task at `above` lies upstream of the one at `task`.
    pub fn is_upstream(&self, above: usize, task: usize) -> bool {
        self.bits[task * self.words + above / 64] & (1 << (above % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::Node;

    #[test]
    fn agrees_with_the_graph() {
        let nodes: Vec<Node> = (0..150)
            .map(|i: usize| Node {
                id: format!("t{i}"),
                op: "noop".to_owned(),
                after: [i / 2, i.saturating_sub(7)]
                    .iter()
                    .filter(|&&above| above < i)
                    .map(|above| format!("t{above}"))
                    .collect(),
                ..Node::default()
            })
            .collect();
        let graph = Graph::new(nodes).unwrap();
        let ancestry = Ancestry::new(&graph);
        for task in 0..150 {
            let found: Vec<usize> = (0..150)
                .filter(|&above| ancestry.is_upstream(above, task))
                .collect();
            assert_eq!(found, graph.ancestors(task));
        }
    }
}
