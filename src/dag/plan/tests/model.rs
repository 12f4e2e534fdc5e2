//! A small model of a run for the test of the planner: rules by their words, no counts, no queues.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule is told by the cases in which it says something of its own"
)]

use std::{collections::BTreeMap, sync::Arc};

use proptest::sample::Index;

use crate::dag::{Graph, Node, RunState, TriggerRule, shard_id};

/// How often a task of the model is tried again.
pub(super) const RETRIES: u32 = 1;

/// How many shards the next expansion of a task has.
pub(super) fn shards_of(expansions: &mut u32) -> usize {
    *expansions += 1;
    [4, 3, 2][*expansions as usize % 3]
}

/// How an attempt ends, as far as the model cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Skipped,
    Retry,
    Failed,
    Deferred,
    Stopped,
}

/// A task of the model: its state by name, and what counts towards the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) state: &'static str,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) told: bool,
}

/// The model: tasks by id, each with the name of its state; everything else is looked up.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) graph: Arc<Graph>,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) tasks: BTreeMap<String, Known>,
    /// Mapped tasks that have shards: how many.
    pub(super) mapped: BTreeMap<String, usize>,
    /// How often each was given shards.
    expansions: BTreeMap<String, u32>,
    pub(super) cancelled: bool,
}

pub(super) const FINAL: [&str; 5] = [
    "succeeded",
    "failed",
    "upstream_failed",
    "skipped",
    "cancelled",
];

impl Model {
    pub(super) fn new(graph: Graph) -> Self {
        let waiting = Known {
            state: "waiting",
            ..Known::default()
        };
        let ids = graph.nodes().iter().map(|node| node.id.clone());
        let mut model = Self {
            tasks: ids.map(|id| (id, waiting.clone())).collect(),
            nodes: graph
                .nodes()
                .iter()
                .map(|node| (node.id.clone(), node.clone()))
                .collect(),
            graph: Arc::new(graph),
            mapped: BTreeMap::new(),
            expansions: BTreeMap::new(),
            cancelled: false,
        };
        model.settle();
        model
    }

    pub(super) fn state(&self, id: &str) -> &'static str {
        self.tasks[id].state
    }

    pub(super) fn is(&self, id: &str, states: &[&str]) -> bool {
        states.contains(&self.state(id))
    }

    pub(super) fn parent(&self, id: &str) -> Option<String> {
        let (parent, index) = id.strip_suffix(']')?.split_once('[')?;
        let index: usize = index.parse().ok()?;
        let count = self.mapped.get(parent)?;
        (index < *count).then(|| parent.to_owned())
    }

    pub(super) fn is_shard(id: &str) -> bool {
        id.ends_with(']')
    }

    pub(super) fn node(&self, id: &str) -> &Node {
        &self.nodes[id.split('[').next().unwrap_or(id)]
    }

    pub(super) fn shards(&self, id: &str) -> Vec<String> {
        let count = self.mapped.get(id).copied().unwrap_or(0);
        (0..count).map(|nth| shard_id(id, nth)).collect()
    }

    pub(super) fn tidies_up(&self, id: &str) -> bool {
        self.node(id).teardown && self.follows_work(id)
    }

    /// Whether work above a teardown has begun; teardowns in between are no work.
    fn follows_work(&self, id: &str) -> bool {
        let above = if self.mapped.contains_key(id) {
            self.shards(id)
        } else {
            self.node(id).after.clone()
        };
        above.iter().any(|above| {
            let mut parts = self.shards(above);
            parts.push(above.clone());
            let begun = parts.iter().any(|part| self.tasks[part].attempts > 0);
            begun || (self.node(above).teardown && self.follows_work(above))
        })
    }

    pub(super) fn is_running(&self) -> bool {
        self.tasks.values().any(|task| !FINAL.contains(&task.state))
    }

    pub(super) fn running(&self) -> Vec<String> {
        let running = self
            .tasks
            .iter()
            .filter(|(_, task)| task.state == "running");
        running.map(|(id, _)| id.clone()).collect()
    }

    /// What a rule says, in the words of its documentation.
    pub(super) fn rule(&self, id: &str) -> &'static str {
        let node = self.node(id);
        let above: Vec<&String> = node.after.iter().collect();
        let all = |states: &[&str]| above.iter().all(|id| self.is(id, states));
        let any = |states: &[&str]| above.iter().any(|id| self.is(id, states));
        let failed = ["failed", "upstream_failed", "cancelled"];
        let ended = all(&FINAL);
        let setups: Vec<&&String> = above.iter().filter(|id| self.node(id).setup).collect();
        let decide = |holds: bool, otherwise: &'static str| if holds { "start" } else { otherwise };
        if above.is_empty() || node.trigger == TriggerRule::Always {
            return "start";
        }
        match node.trigger {
            TriggerRule::OneSuccess if any(&["succeeded"]) => return "start",
            TriggerRule::OneFailed if any(&failed) => return "start",
            TriggerRule::OneDone if any(&["succeeded"]) || any(&failed) => return "start",
            TriggerRule::AllSuccess
            | TriggerRule::NoneFailed
            | TriggerRule::NoneFailedMinOneSuccess
                if any(&failed) =>
            {
                return "upstream_failed";
            }
            TriggerRule::AllFailed if any(&["succeeded", "skipped"]) => return "skipped",
            TriggerRule::NoneSkipped if any(&["skipped"]) => return "skipped",
            TriggerRule::AllSkipped if any(&["succeeded"]) || any(&failed) => return "skipped",
            _ if !ended => return "wait",
            _ => {}
        }
        let lacking = if any(&failed) {
            "upstream_failed"
        } else {
            "skipped"
        };
        match node.trigger {
            TriggerRule::AllSuccess => decide(all(&["succeeded"]), "skipped"),
            TriggerRule::OneFailed | TriggerRule::OneDone => "skipped",
            TriggerRule::OneSuccess
            | TriggerRule::AllDoneMinOneSuccess
            | TriggerRule::NoneFailedMinOneSuccess => decide(any(&["succeeded"]), lacking),
            TriggerRule::AllDoneSetupSuccess if setups.is_empty() => "start",
            TriggerRule::AllDoneSetupSuccess => {
                let good = setups.iter().any(|id| self.is(id, &["succeeded"]));
                let skipped = setups.iter().all(|id| self.is(id, &["skipped"]));
                decide(
                    good,
                    if skipped {
                        "skipped"
                    } else {
                        "upstream_failed"
                    },
                )
            }
            _ => "start",
        }
    }

    pub(super) fn set(&mut self, id: &str, state: &'static str) {
        self.tasks.get_mut(id).unwrap().state = state;
    }

    /// Applies the rules until nothing changes any more. Slots are never short here.
    pub(super) fn settle(&mut self) {
        loop {
            let before: Vec<&str> = self.tasks.values().map(|task| task.state).collect();
            let count = before.len();
            let ids: Vec<String> = self.tasks.keys().cloned().collect();
            for id in ids {
                if self.state(&id) == "waiting" {
                    self.judge(&id);
                }
                if self.state(&id) == "ready" {
                    self.set(&id, "running");
                    self.tasks.get_mut(&id).unwrap().attempts += 1;
                }
            }
            let after: Vec<&str> = self.tasks.values().map(|task| task.state).collect();
            if before == after && after.len() == count {
                return;
            }
        }
    }

    pub(super) fn judge(&mut self, id: &str) {
        if self.mapped.contains_key(id) {
            let shards = self.shards(id);
            if !shards.iter().all(|shard| self.is(shard, &FINAL)) {
                return;
            }
            let any = |states: &[&str]| shards.iter().any(|shard| self.is(shard, states));
            let joined = if any(&["failed", "upstream_failed"]) {
                "failed"
            } else if any(&["cancelled"]) {
                "cancelled"
            } else if any(&["succeeded"]) {
                "succeeded"
            } else {
                "skipped"
            };
            return self.set(id, joined);
        }
        if self.cancelled && !self.tidies_up(id) {
            return;
        }
        match self.rule(id) {
            "wait" => {}
            "start" if Self::is_shard(id) => self.set(id, "ready"),
            "start" if self.node(id).when.is_some() => self.set(id, "skipped"),
            "start" if self.node(id).map.is_some() => self.expand(id),
            "start" => self.set(id, "ready"),
            state => self.set(id, state),
        }
    }

    pub(super) fn expand(&mut self, id: &str) {
        let count = shards_of(self.expansions.entry(id.to_owned()).or_default());
        self.mapped.insert(id.to_owned(), count);
        for shard in self.shards(id) {
            let task = self.tasks.entry(shard).or_default();
            task.state = "waiting";
            task.failures = 0;
            task.told = false;
        }
    }

    pub(super) fn cancel_task(&mut self, id: &str) {
        if self.mapped.contains_key(id) {
            self.tasks.get_mut(id).unwrap().told = true;
            for shard in self.shards(id) {
                self.cancel_task(&shard);
            }
        } else if self.state(id) == "running" {
            self.tasks.get_mut(id).unwrap().told = true;
        } else if !FINAL.contains(&self.state(id)) {
            self.set(id, "cancelled");
        }
    }

    pub(super) fn end(&mut self, id: &str, end: End) {
        let told = |id: &str| self.tasks[id].told;
        let parent_told = self.parent(id).is_some_and(|parent| told(&parent));
        let cancelled = told(id) || parent_told || (self.cancelled && !self.tidies_up(id));
        let task = self.tasks.get_mut(id).unwrap();
        task.state = match end {
            End::Succeeded => "succeeded",
            End::Skipped => "skipped",
            _ if cancelled => "cancelled",
            End::Failed => "failed",
            End::Deferred | End::Stopped => "delayed",
            End::Retry => {
                task.failures += 1;
                if task.failures > RETRIES {
                    "failed"
                } else {
                    "delayed"
                }
            }
        };
    }

    pub(super) fn outcome(&self) -> RunState {
        if self.is_running() {
            return RunState::Running;
        }
        let cancelled = self.tasks.values().any(|task| task.state == "cancelled");
        let failed = self.tasks.iter().any(|(id, task)| {
            ["failed", "upstream_failed"].contains(&task.state) && !self.node(id).teardown
        });
        if self.cancelled && cancelled {
            RunState::Cancelled
        } else if failed || cancelled {
            RunState::Failed
        } else {
            RunState::Succeeded
        }
    }

    /// What is cleared where these tasks are asked for: whole mapped tasks with their shards.
    pub(super) fn clearing(&self, picks: &[Index]) -> Option<Vec<String>> {
        let ids: Vec<&String> = self.nodes.keys().collect();
        let mut chosen: Vec<String> = picks.iter().map(|pick| (*pick.get(&ids)).clone()).collect();
        chosen.sort();
        chosen.dedup();
        let shards = chosen.iter().flat_map(|id| self.shards(id));
        let all: Vec<String> = shards.chain(chosen.iter().cloned()).collect();
        let runs = all.iter().any(|id| self.state(id) == "running");
        (!runs && !chosen.is_empty()).then_some(chosen)
    }

    pub(super) fn wake(&mut self) {
        for task in self
            .tasks
            .values_mut()
            .filter(|task| task.state == "delayed")
        {
            task.state = "ready";
        }
    }
}
