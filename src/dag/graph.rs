//! The graph of a pipeline's tasks; one that exists is acyclic.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ExecutorKind, Mapping, RetryPolicy, Shard, TriggerRule, mapping};

/// One task of a [`Graph`]: an operator with its settings and when to run it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The task's id, unique in its graph.
    pub id: String,
    /// The operator's name.
    pub op: String,
    /// The ids of the tasks directly upstream.
    pub after: Vec<String>,
    /// When it may start.
    pub trigger: TriggerRule,
    /// How often it is tried again.
    pub retry: RetryPolicy,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// The pool whose slots limit how many such tasks run at once.
    pub pool: Option<String>,
    /// Among ready tasks of all runs the higher one starts first.
    #[serde(default)]
    pub priority: i32,
    /// Whether it prepares something for the tasks downstream, which a teardown puts away.
    #[serde(default)]
    pub setup: bool,
    /// Whether it puts away what a setup has prepared: it runs also when the run was cancelled.
    #[serde(default)]
    pub teardown: bool,
    /// Whether the run fails when this teardown does.
    #[serde(default)]
    pub fails_run: bool,
    /// Where its attempts run; `None` for where its operator is best off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorKind>,
    /// How long an attempt may get no further before it counts as crashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_timeout: Option<Duration>,
    /// How many bytes of memory the processes of an attempt may hold together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The operator's settings, all templates rendered.
    pub settings: Map<String, Value>,
    /// An expression; where it is false once the task could start, the task is skipped.
    #[serde(default)]
    pub when: Option<String>,
    /// What the task is done for, where that is more than one thing.
    #[serde(default)]
    pub map: Option<Mapping>,
    /// Which part of a mapped task this is, where it is one.
    #[serde(default)]
    pub shard: Option<Shard>,
}

/// The tasks of one run, in the order of the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Node>", into = "Vec<Node>")]
pub struct Graph {
    nodes: Vec<Node>,
    upstream: Vec<Vec<usize>>,
    downstream: Vec<Vec<usize>>,
    order: Vec<usize>,
    /// Whether a task has an expression; asked at every task's end.
    has_expressions: bool,
}

/// Why a list of tasks is not a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two tasks have one id.
    #[error("two tasks are called `{0}`; ids must differ")]
    Duplicate(String),
    /// A task comes after one that does not exist.
    #[error("task `{task}` comes after `{upstream}`, which is no task of this pipeline")]
    UnknownUpstream {
        /// The task with the wrong `after`.
        task: String,
        /// The name that is no task.
        upstream: String,
    },
    /// Tasks wait for each other. The first task is repeated at the end.
    #[error("tasks wait for each other: {}", .0.join(" → "))]
    Cycle(Vec<String>),
}

impl Graph {
    /// Checks ids and upstream names and refuses cycles.
    ///
    /// # Errors
    ///
    /// The first fault found, in the order of the list.
    pub fn new(nodes: Vec<Node>) -> Result<Self, GraphError> {
        let mut index = HashMap::with_capacity(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            if index.insert(node.id.clone(), position).is_some() {
                return Err(GraphError::Duplicate(node.id.clone()));
            }
        }
        let mut upstream = vec![Vec::new(); nodes.len()];
        let mut downstream = vec![Vec::new(); nodes.len()];
        for (position, node) in nodes.iter().enumerate() {
            for name in mapping::upstream_of(node, &nodes, &index).iter() {
                let &above = index.get(name).ok_or_else(|| GraphError::UnknownUpstream {
                    task: node.id.clone(),
                    upstream: name.clone(),
                })?;
                if !upstream[position].contains(&above) {
                    upstream[position].push(above);
                    downstream[above].push(position);
                }
            }
        }
        let order = topological_order(&upstream, &downstream).map_err(|stuck| {
            GraphError::Cycle(
                cycle_among(&upstream, &stuck)
                    .into_iter()
                    .map(|i| nodes[i].id.clone())
                    .collect(),
            )
        })?;
        let expressive = |node: &Node| node.when.is_some() || node.map.is_some();
        Ok(Self {
            has_expressions: nodes.iter().any(expressive),
            nodes,
            upstream,
            downstream,
            order,
        })
    }

    /// The tasks, in the order of the pipeline file.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether a task's start depends on more than its trigger rule: on an expression.
    pub fn must_decide(&self, position: usize) -> bool {
        let node = &self.nodes[position];
        node.when.is_some() || (node.map.is_some() && !node.is_expanded())
    }

    /// Whether any task's start depends on an expression, or any is mapped.
    pub const fn has_expressions(&self) -> bool {
        self.has_expressions
    }

    /// The position of the task with this id.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Positions of the tasks directly upstream of the one at `position`.
    pub fn upstream(&self, position: usize) -> &[usize] {
        &self.upstream[position]
    }

    /// Positions of the tasks directly downstream of the one at `position`.
    pub fn downstream(&self, position: usize) -> &[usize] {
        &self.downstream[position]
    }

    /// All positions, each after everything upstream of it.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Positions of all tasks upstream of the one at `position`, direct or not, ascending.
    pub fn ancestors(&self, position: usize) -> Vec<usize> {
        let above = self.with_ancestors([position]);
        (0..above.len())
            .filter(|&other| above[other] && other != position)
            .collect()
    }
}

impl TryFrom<Vec<Node>> for Graph {
    type Error = GraphError;

    fn try_from(nodes: Vec<Node>) -> Result<Self, GraphError> {
        Self::new(nodes)
    }
}

impl From<Graph> for Vec<Node> {
    fn from(graph: Graph) -> Self {
        graph.nodes
    }
}

/// Kahn's algorithm, ties by position; the error holds the positions that are left over.
fn topological_order(
    upstream: &[Vec<usize>],
    downstream: &[Vec<usize>],
) -> Result<Vec<usize>, Vec<usize>> {
    let mut missing: Vec<usize> = upstream.iter().map(Vec::len).collect();
    let mut ready: std::collections::BTreeSet<usize> =
        (0..upstream.len()).filter(|&i| missing[i] == 0).collect();
    let mut order = Vec::with_capacity(upstream.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for &below in &downstream[next] {
            missing[below] -= 1;
            if missing[below] == 0 {
                ready.insert(below);
            }
        }
    }
    if order.len() == upstream.len() {
        Ok(order)
    } else {
        Err((0..upstream.len()).filter(|&i| missing[i] > 0).collect())
    }
}

/// Walks upstream among `stuck` positions until one repeats; the cycle in the direction of work.
fn cycle_among(upstream: &[Vec<usize>], stuck: &[usize]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut current = stuck[0];
    loop {
        if let Some(start) = path.iter().position(|&seen| seen == current) {
            let mut cycle = path.split_off(start);
            cycle.reverse();
            cycle.insert(0, cycle[cycle.len() - 1]);
            return cycle;
        }
        path.push(current);
        current = *upstream[current]
            .iter()
            .find(|above| stuck.contains(above))
            .expect("a task left over by the sort waits for another one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Result<Graph, GraphError> {
        let node = |(id, after): &(&str, &[&str])| Node {
            id: (*id).to_owned(),
            op: "noop".to_owned(),
            after: after.iter().map(|&name| name.to_owned()).collect(),
            ..Node::default()
        };
        Graph::new(edges.iter().map(node).collect())
    }

    #[test]
    fn orders_and_reaches() {
        let graph = graph(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])]).unwrap();
        assert_eq!(graph.order(), [3, 1, 2, 0]);
        assert_eq!(graph.ancestors(0), [1, 2, 3]);
    }

    #[test]
    fn prints_a_cycle_in_the_direction_of_work() {
        let error = graph(&[("x", &[]), ("a", &["c"]), ("b", &["a"]), ("c", &["b", "x"])]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "tasks wait for each other: a → b → c → a"
        );
    }

    #[test]
    fn refuses_unknown_and_doubled_names() {
        assert!(matches!(
            graph(&[("a", &["z"])]),
            Err(GraphError::UnknownUpstream { .. })
        ));
        assert!(matches!(
            graph(&[("a", &[]), ("a", &[])]),
            Err(GraphError::Duplicate(_))
        ));
    }
}
