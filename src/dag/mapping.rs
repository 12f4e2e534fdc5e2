//! Mapped tasks: one definition, as many shards as there is to do, joined after.
//!
//! The shards of a task `a` are tasks of their own, `a[0]`, `a[1]`, …, behind those of the pipeline
//! file. They come after what `a` comes after; `a` itself comes after its shards, and what comes
//! after `a` knows nothing of them.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Graph, Node};

/// The most shards that a task can have.
pub const MAX_SHARDS: usize = 10_000;

/// What a task is done for, where that is more than one thing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mapping {
    /// An expression that gives a list, or a number N for 0 to N − 1.
    pub expression: String,
    /// How many shards may run at once.
    pub max_active: Option<u32>,
    /// The settings with templates that name the shard, as the pipeline file has them.
    pub templates: Map<String, Value>,
    /// What these templates see beside `shard`.
    pub scope: Value,
    /// How many shards there are; `None` until the expression was evaluated.
    pub shards: Option<usize>,
}

/// Which part of a mapped task a task is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// The mapped task's id.
    pub of: String,
    /// Which one, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    /// What it is done for.
    pub item: Value,
}

/// A shard that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShard {
    /// What it is done for.
    pub item: Value,
    /// Its settings, all templates rendered.
    pub settings: Map<String, Value>,
}

/// The id of a shard.
pub fn shard_id(task: &str, index: usize) -> String {
    format!("{task}[{index}]")
}

/// The ids of the tasks directly upstream of a node.
pub(super) fn upstream_of<'a>(
    node: &'a Node,
    nodes: &[Node],
    index: &HashMap<String, usize>,
) -> Cow<'a, [String]> {
    if let Some(count) = node.map.as_ref().and_then(|map| map.shards) {
        return (0..count).map(|nth| shard_id(&node.id, nth)).collect();
    }
    let Some(shard) = &node.shard else {
        return Cow::Borrowed(&node.after);
    };
    let parent = index.get(&shard.of).map(|&parent| &nodes[parent]);
    let count = parent.and_then(|parent| parent.map.as_ref()?.shards);
    // A shard of an earlier expansion takes no part any more.
    if count.is_some_and(|count| shard.index < count) {
        Cow::Borrowed(&node.after)
    } else {
        Cow::Borrowed(&[])
    }
}

impl Node {
    /// Whether its shards exist.
    pub fn is_expanded(&self) -> bool {
        self.map.as_ref().is_some_and(|map| map.shards.is_some())
    }
}

impl Graph {
    /// The position of the mapped task that a shard is of.
    pub fn parent(&self, position: usize) -> Option<usize> {
        let shard = self.nodes()[position].shard.as_ref()?;
        // Whatever comes after a shard is what it is a shard of.
        match self.downstream(position) {
            [parent] => Some(*parent),
            _ => self.position(&shard.of),
        }
    }

    /// Whether a task is a shard of an earlier expansion, which takes no part any more.
    pub fn is_dormant(&self, position: usize) -> bool {
        self.nodes()[position].shard.is_some() && self.downstream(position).is_empty()
    }

    /// The positions of the shards of a mapped task; none where it is not expanded.
    pub fn shards(&self, position: usize) -> &[usize] {
        if self.nodes()[position].is_expanded() {
            self.upstream(position)
        } else {
            &[]
        }
    }

    /// This graph with these shards of a mapped task. Those of an earlier expansion are taken
    /// again as far as they are needed; new ones come last.
    pub(super) fn expanded(&self, position: usize, shards: Vec<NewShard>) -> Self {
        let mut nodes = self.nodes().to_vec();
        let mut template = nodes[position].clone();
        template.map = None;
        template.when = None;
        let count = shards.len();
        let known: HashMap<String, usize> = nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.shard.is_some())
            .map(|(at, node)| (node.id.clone(), at))
            .collect();
        for (index, NewShard { item, settings }) in shards.into_iter().enumerate() {
            let node = Node {
                id: shard_id(&template.id, index),
                settings,
                shard: Some(Shard {
                    of: template.id.clone(),
                    index,
                    count,
                    item,
                }),
                ..template.clone()
            };
            match known.get(&node.id) {
                Some(&at) => nodes[at] = node,
                None => nodes.push(node),
            }
        }
        if let Some(map) = &mut nodes[position].map {
            map.shards = Some(count);
        }
        Self::new(nodes).expect("shards come after what their task comes after")
    }

    /// This graph in which these mapped tasks have not been expanded; their shards stay, without
    /// a part in it.
    pub(super) fn folded(&self, tasks: &[usize]) -> Self {
        let mut nodes = self.nodes().to_vec();
        for &task in tasks {
            if let Some(map) = &mut nodes[task].map {
                map.shards = None;
            }
        }
        Self::new(nodes).expect("without its shards a graph has fewer edges")
    }

    /// This graph in which these mapped tasks have not been expanded, and without their shards.
    ///
    /// # Panics
    ///
    /// Never: without shards a graph has fewer edges.
    #[must_use]
    pub fn without_shards(&self, tasks: &[usize]) -> Self {
        let ids: Vec<&str> = tasks
            .iter()
            .map(|&task| self.nodes()[task].id.as_str())
            .collect();
        let mut nodes = self.folded(tasks).nodes().to_vec();
        nodes.retain(|node| {
            let shard = node.shard.as_ref();
            shard.is_none_or(|shard| !ids.contains(&shard.of.as_str()))
        });
        Self::new(nodes).expect("without its shards a graph has fewer edges")
    }
}
