//! The run that encodes what is stored and lacks a result: an ordinary one, of a part of the
//! pipeline.
//!
//! It goes on after a crash as every run does, and computes what is missing then. Its tasks start
//! after those of other runs that wait, and are done in parts: another run that wants the device
//! waits for the end of a part, not of the whole.

use serde_json::{Map, json};

use super::plan::{PlannedEncoding, dataset_of, source_of};
use crate::{
    app::{App, Error, Prepared, request::whole},
    clock::Timestamp,
    dag::{Graph, Mapping, Node, TriggerRule},
    engine::{self, Interval},
    store::EncodedKind,
};

/// Before this every other task starts.
const LOW: i32 = -1000;
/// About how many texts, or captions, make a part.
const TEXTS: u64 = 4096;
/// About how many images make a part.
const IMAGES: u64 = 512;
/// How many times as much on a graphics card.
const CARD: u64 = 16;
/// The most parts.
const PARTS: u64 = 1000;
/// Where the interval of such a run begins: it is of all times.
const BEGINNING: Timestamp = Timestamp::from_millis(0);

impl App {
    /// What the engine is asked for to encode what is stored and lacks a result; an unfinished run
    /// that does so under the same profile goes on.
    ///
    /// # Errors
    ///
    /// Where no task encodes anything, or the store fails.
    pub(in crate::app) async fn fill_request(
        &self,
        prepared: Prepared,
    ) -> Result<engine::RunRequest, Error> {
        let pipeline = prepared.compiled.pipeline.clone();
        let (Some(dataset), Some(source)) = (dataset_of(&prepared)?, source_of(&prepared)) else {
            return Err(Error::wrong(
                format!("`{pipeline}` reads no source, so nothing of it is stored"),
                None,
            ));
        };
        let now = self.clock().now();
        let as_of = now.max(prepared.as_of);
        let plan = self
            .plan_at(&prepared, Some(dataset.clone()), as_of, false)
            .await?;
        if plan.tasks.is_empty() {
            return Err(Error::wrong(
                format!("no task of `{pipeline}` encodes anything with this profile"),
                None,
            ));
        }
        let stored = Map::from_iter([
            ("dataset".to_owned(), json!(dataset)),
            ("source".to_owned(), json!(source)),
        ]);
        let graph = graph_of(&prepared.compiled.graph, &plan.tasks, &stored);
        let mut request = whole(prepared, false);
        request.graph = graph;
        request.interval = Interval {
            start: BEGINNING,
            end: now,
        };
        request.scheduled_for = now;
        request.as_of = as_of;
        let unfinished = self.store().unfinished_runs(None).await?;
        if let Some(same) = unfinished.into_iter().find(|run| {
            run.pipeline == request.pipeline
                && run.interval_start == BEGINNING
                && run.source == request.source
                && run.profile == request.profile
        }) {
            request.interval.end = same.interval_end;
        }
        Ok(request)
    }
}

/// The tasks that encode with the filters above them, and in place of the source what is stored.
fn graph_of(
    graph: &Graph,
    tasks: &[PlannedEncoding],
    stored: &Map<String, serde_json::Value>,
) -> Graph {
    let planned = |node: &Node| tasks.iter().find(|task| task.task == node.id);
    let nodes = graph.nodes();
    let encoding = (0..nodes.len()).filter(|&at| planned(&nodes[at]).is_some());
    let needed = graph.with_ancestors(encoding);
    let kept: Vec<bool> = (0..nodes.len())
        .map(|at| {
            let source = matches!(nodes[at].op.as_str(), "scrape" | "stored" | "filter");
            needed[at] && (source || planned(&nodes[at]).is_some())
        })
        .collect();
    let part = nodes.iter().enumerate().filter(|&(at, _)| kept[at]);
    let part = part.map(|(at, node)| {
        let mut node = Node {
            after: kept_above(graph, &kept, at),
            trigger: TriggerRule::default(),
            priority: LOW,
            setup: false,
            teardown: false,
            when: None,
            map: None,
            ..node.clone()
        };
        if node.op == "scrape" {
            "stored".clone_into(&mut node.op);
            node.settings.clone_from(stored);
        }
        if let Some(task) = planned(&node) {
            node.settings.shift_remove("shard");
            node.map = mapping(parts(task));
        }
        node
    });
    Graph::new(part.collect()).expect("a part of a graph has no cycle")
}

/// The nearest tasks above one that are kept.
fn kept_above(graph: &Graph, kept: &[bool], position: usize) -> Vec<String> {
    let mut found: Vec<usize> = Vec::new();
    let mut open: Vec<usize> = graph.upstream(position).to_vec();
    while let Some(at) = open.pop() {
        if !kept[at] {
            open.extend(graph.upstream(at));
        } else if !found.contains(&at) {
            found.push(at);
        }
    }
    found.sort_unstable();
    let ids = found.iter().map(|&at| graph.nodes()[at].id.clone());
    ids.collect()
}

fn parts(task: &PlannedEncoding) -> u64 {
    let texts = matches!(task.input.as_str(), "title" | "caption");
    let most = if texts || task.makes == EncodedKind::Captions {
        TEXTS
    } else {
        IMAGES
    };
    // A graphics card does as much in a moment as cores do in a part.
    let more = if task.device.contains("cuda") {
        CARD
    } else {
        1
    };
    task.missing.div_ceil(most * more).clamp(1, PARTS)
}

/// So many parts, one after the other.
fn mapping(parts: u64) -> Option<Mapping> {
    (parts > 1).then(|| Mapping {
        expression: parts.to_string(),
        max_active: Some(1),
        templates: Map::from_iter([(
            "shard".to_owned(),
            json!("{{ shard.index }}/{{ shard.count }}"),
        )]),
        scope: json!({}),
        shards: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, op: &str, after: &[&str]) -> Node {
        Node {
            id: id.to_owned(),
            op: op.to_owned(),
            after: after.iter().map(|&id| id.to_owned()).collect(),
            trigger: TriggerRule::NoneFailed,
            settings: Map::from_iter([("shard".to_owned(), json!("1/2"))]),
            ..Node::default()
        }
    }

    fn task(id: &str, missing: u64) -> PlannedEncoding {
        serde_json::from_value(json!({
            "task": id, "encoder": "e", "fingerprint": "", "input": "image", "makes": "vectors",
            "device": "flex", "contents": missing, "present": 0, "missing": missing, "to_come": 0,
            "sampled": 0, "rows_per_second": null, "hours": null, "bytes": null,
        }))
        .unwrap()
    }

    #[test]
    fn it_is_the_tasks_that_encode_and_what_they_need() {
        let graph = Graph::new(vec![
            node("scrape", "scrape", &[]),
            node("refresh", "refresh", &["scrape"]),
            node("filter", "filter", &["refresh"]),
            node("images", "fetch_images", &["filter"]),
            node("one", "embed", &["images"]),
            node("skipped", "embed", &["images"]),
            node("two", "embed", &["one", "images"]),
            node("merge", "merge", &["one", "two", "skipped"]),
        ])
        .unwrap();
        let part = graph_of(&graph, &[task("one", 10), task("two", 1025)], &Map::new());
        let shown: Vec<String> = part
            .nodes()
            .iter()
            .map(|node| {
                let map = node.map.as_ref().map(|map| map.expression.as_str());
                format!("{} {} {} {map:?}", node.id, node.op, node.after.join(","))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "scrape stored  None",
                "filter filter scrape None",
                "one embed filter None",
                "two embed filter,one Some(\"3\")",
            ]
        );
        assert!(part.nodes().iter().all(|node| node.priority == LOW));
        assert!(!part.nodes()[2].settings.contains_key("shard"));
    }
}
