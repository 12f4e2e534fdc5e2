//! A task and what is upstream of it, without all the rest of its graph.

use super::{Graph, GraphError, Node, shard_id};

/// A task and what is upstream of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// The task.
    pub node: Node,
    /// The positions and ids of what is upstream of it, direct or not, the nearest first; what is
    /// joined of a mapped task stands for its shards.
    pub above: Vec<(usize, String)>,
}

impl Lineage {
    /// Finds it in a part of a graph, in the graph's order: the task itself, every task that is no
    /// shard, and the last shard of every mapped task. The other shards change nothing: all shards
    /// come after the same tasks, and what they are shards of follows the last of them.
    ///
    /// `None`, if the task is not in that part.
    ///
    /// # Errors
    ///
    /// Where the part is of no graph.
    pub fn new(part: &[(usize, Node)], position: usize) -> Result<Option<Self>, GraphError> {
        let Some(node) = part.iter().find(|(at, _)| *at == position) else {
            return Ok(None);
        };
        let node = node.1.clone();
        let shards_of = |id: &str| {
            let mapped = part.iter().find(|(_, node)| node.id == id);
            mapped.and_then(|(_, node)| node.map.as_ref()?.shards)
        };
        // Of a mapped task, the shard that it follows; others are of an earlier expansion.
        let takes_part = |at: usize, node: &Node| {
            node.shard
                .as_ref()
                .is_none_or(|shard| at == position || shards_of(&shard.of) == Some(shard.index + 1))
        };
        let plain = |node: &Node| {
            let shards = node.map.as_ref().and_then(|map| map.shards);
            let last =
                shards.map(|count| count.checked_sub(1).map(|last| shard_id(&node.id, last)));
            Node {
                id: node.id.clone(),
                after: last.map_or_else(|| node.after.clone(), |last| last.into_iter().collect()),
                ..Node::default()
            }
        };
        let known: Vec<&(usize, Node)> = part
            .iter()
            .filter(|(at, node)| takes_part(*at, node))
            .collect();
        let graph = Graph::new(known.iter().map(|(_, node)| plain(node)).collect())?;
        let above = known
            .iter()
            .position(|(at, _)| *at == position)
            .map_or_else(Vec::new, |own| graph.ancestors(own));
        Ok(Some(Self {
            node,
            above: graph
                .order()
                .iter()
                .rev()
                .filter(|place| above.binary_search(place).is_ok())
                .map(|&place| known[place])
                .filter(|(_, node)| node.shard.is_none())
                .map(|(at, node)| (*at, node.id.clone()))
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::dag::{Mapping, NewShard};

    fn node(id: &str, after: &[&str], mapped: bool) -> Node {
        Node {
            id: id.to_owned(),
            after: after.iter().map(|&name| name.to_owned()).collect(),
            map: mapped.then(Mapping::default),
            ..Node::default()
        }
    }

    fn shards(count: usize) -> Vec<NewShard> {
        let shard = NewShard {
            item: Value::Null,
            settings: Map::new(),
        };
        vec![shard; count]
    }

    /// What [`Lineage::new`] takes of a whole graph.
    fn part(graph: &Graph, position: usize) -> Vec<(usize, Node)> {
        let wanted = |at: usize, node: &Node| {
            at == position
                || node
                    .shard
                    .as_ref()
                    .is_none_or(|shard| shard.index + 1 == shard.count)
        };
        graph
            .nodes()
            .iter()
            .cloned()
            .enumerate()
            .filter(|(at, node)| wanted(*at, node))
            .collect()
    }

    #[test]
    fn a_part_of_the_graph_tells_the_same_as_the_whole() {
        let graph = Graph::new(vec![
            node("first", &["last", "left"], true),
            node("last", &["list"], false),
            node("list", &[], false),
            node("left", &["list"], true),
            node("right", &["list"], true),
            node("none", &["list"], true),
            node("end", &["left", "first", "none", "right"], false),
            node("apart", &[], false),
        ])
        .unwrap();
        // Left grows, right shrinks, and one has nothing to do.
        let graph = graph
            .expanded(3, shards(2))
            .expanded(4, shards(5))
            .expanded(3, shards(4))
            .expanded(4, shards(1))
            .expanded(5, shards(0))
            .expanded(0, shards(3));
        for graph in [graph.folded(&[0]), graph] {
            for position in (0..graph.nodes().len()).filter(|&at| !graph.is_dormant(at)) {
                let above = graph.ancestors(position);
                let expected: Vec<(usize, String)> = graph
                    .order()
                    .iter()
                    .rev()
                    .filter(|at| above.contains(at) && graph.nodes()[**at].shard.is_none())
                    .map(|&at| (at, graph.nodes()[at].id.clone()))
                    .collect();
                let lineage = Lineage::new(&part(&graph, position), position);
                let lineage = lineage.unwrap().unwrap();
                assert_eq!(lineage.node, graph.nodes()[position]);
                assert_eq!(lineage.above, expected, "of {}", lineage.node.id);
            }
        }
        assert_eq!(Lineage::new(&[], 0), Ok(None));
    }
}
