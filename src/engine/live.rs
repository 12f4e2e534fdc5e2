//! A run that this process is at work on.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
    time::Instant,
};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{Interval, Progress, hear::WaitReply, join::Rows};
use crate::{
    clock::Timestamp,
    dag::{Ancestry, Graph, Run},
    store::RunRow,
};

/// A run that this process is at work on: its pure state, and what surrounds it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) run: Run,
    pub(super) about: About,
    pub(super) fence: i64,
    pub(super) attempts: HashMap<usize, RunningAttempt>,
    /// What succeeded tasks left for those downstream; absent where that is nothing.
    pub(super) outputs: BTreeMap<usize, Value>,
    /// What they have counted, where expressions may ask.
    pub(super) rows: HashMap<usize, Rows>,
    pub(super) waiting: Vec<WaitReply>,
    pub(super) span: tracing::Span,
    ancestry: OnceLock<Ancestry>,
}

/// What every attempt of a run is told about it.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) identity: String,
    pub(super) pipeline: String,
    pub(super) scheduled_for: Timestamp,
    pub(super) interval: Interval,
    pub(super) as_of: Timestamp,
    pub(super) force: bool,
    pub(super) params: Map<String, Value>,
}

impl From<&RunRow> for About {
    fn from(row: &RunRow) -> Self {
        Self {
            identity: row.identity.clone(),
            pipeline: row.pipeline.clone(),
            scheduled_for: row.scheduled_for,
            interval: Interval {
                start: row.interval_start,
                end: row.interval_end,
            },
            as_of: row.as_of,
            force: row.force,
            params: row.params.clone(),
        }
    }
}

/// An attempt that is running.
#[derive(Debug)]
pub(super) struct RunningAttempt {
    pub(super) id: String,
    pub(super) number: u32,
    pub(super) began: Instant,
    pub(super) stop: CancellationToken,
    pub(super) progress: Progress,
}

impl Live {
    pub(super) fn new(run: Run, about: About, fence: i64) -> Self {
        let span = tracing::info_span!(
            parent: None,
            "run",
            run.id = run.id(),
            run.pipeline = about.pipeline
        );
        Self {
            span,
            run,
            about,
            fence,
            attempts: HashMap::new(),
            outputs: BTreeMap::new(),
            rows: HashMap::new(),
            waiting: Vec::new(),
            ancestry: OnceLock::new(),
        }
    }

    /// The outputs of all succeeded tasks upstream of one, direct or not, by task id; the nearest
    /// first.
    pub(super) fn upstream_of(&self, position: usize) -> Map<String, Value> {
        if self.outputs.is_empty() {
            return Map::new();
        }
        let graph = self.run.graph();
        let ancestry = self.ancestry.get_or_init(|| Ancestry::new(graph));
        let above = self
            .outputs
            .iter()
            .filter(|&(&above, _)| graph.nodes()[above].shard.is_none())
            .filter(|&(&above, _)| ancestry.is_upstream(above, position))
            .map(|(&above, output)| (above, output.clone()));
        nearest_first(graph, above)
    }

    /// The graph has changed.
    pub(super) fn regraphed(&mut self) {
        self.ancestry = OnceLock::new();
    }

    pub(super) fn graph(&self) -> Arc<Graph> {
        Arc::clone(self.run.graph())
    }
}

/// Outputs by task id, in the reverse of an order in which the tasks can run.
pub(super) fn nearest_first(
    graph: &Graph,
    outputs: impl Iterator<Item = (usize, Value)>,
) -> Map<String, Value> {
    let mut places = vec![0; graph.nodes().len()];
    for (place, &position) in graph.order().iter().enumerate() {
        places[position] = place;
    }
    let mut outputs: Vec<(usize, Value)> = outputs.collect();
    outputs.sort_by_key(|&(position, _)| std::cmp::Reverse(places[position]));
    outputs
        .into_iter()
        .map(|(position, output)| (graph.nodes()[position].id.clone(), output))
        .collect()
}
