//! What is asked of the engine: a run, whole or from a task on.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value, json};

use super::{Error, Interval, TaskOutcome, files};
use crate::{
    clock::Timestamp,
    dag::{Graph, Node, TaskState},
    store::Store,
};

/// What made a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// A person.
    #[default]
    Manual,
    /// A tick of a schedule.
    Scheduled {
        /// When it is to have ended.
        deadline_at: Option<Timestamp>,
        /// The runs of earlier ticks that are cancelled once this one is there.
        replaces: Vec<String>,
    },
    /// A backfill.
    Backfill {
        /// The backfill's id.
        id: String,
        /// Which of its intervals.
        position: u32,
    },
}

impl Trigger {
    /// The name in the store and in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Scheduled { .. } => "scheduled",
            Self::Backfill { .. } => "backfill",
        }
    }
}

/// A run that is wanted.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The pipeline's name.
    pub pipeline: String,
    /// The pipeline's text, kept with the run.
    pub definition: String,
    /// Its tasks with rendered settings.
    pub graph: Graph,
    /// The data interval.
    pub interval: Interval,
    /// The moment it is for.
    pub scheduled_for: Timestamp,
    /// The moment whose knowledge it may use.
    pub as_of: Timestamp,
    /// The source, where it has one.
    pub source: Option<String>,
    /// The profile, where it has one.
    pub profile: Option<String>,
    /// The parameters.
    pub params: Map<String, Value>,
    /// Starts a new run even where an unfinished one is the same, and computes everything again.
    pub force: bool,
    /// The schedule that wants it.
    pub schedule: Option<String>,
    /// What wants it.
    pub trigger: Trigger,
    /// Which tasks are to run.
    pub selection: Selection,
    /// Why the run is not to start yet, in words: it stays queued until it is
    /// [promoted](super::Handle::promote). `None` for one that starts at once.
    pub hold: Option<String>,
}

/// Which tasks of a run are to run; the others are taken over from an earlier run.
#[derive(Clone, Debug, Default)]
pub enum Selection {
    /// All.
    #[default]
    All,
    /// One and all downstream of it.
    From {
        /// The task.
        task: String,
        /// Where the results of the others come from.
        earlier: Earlier,
    },
    /// One alone.
    Only {
        /// The task.
        task: String,
        /// Where the results of those upstream come from.
        earlier: Earlier,
    },
    /// Those that did not succeed, and all downstream of them.
    Failed {
        /// The run in which they did not.
        earlier: Earlier,
    },
}

impl Selection {
    /// The run from which results are taken over.
    pub fn earlier(&self) -> Option<&Earlier> {
        match self {
            Self::All => None,
            Self::From { earlier, .. } | Self::Only { earlier, .. } | Self::Failed { earlier } => {
                Some(earlier)
            }
        }
    }
}

/// The results of an earlier run, by task.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// The run.
    pub run_id: String,
    /// How each of its tasks ended that was skipped, or succeeded and has its files still.
    pub results: BTreeMap<String, EarlierResult>,
    /// With which settings each of its tasks ran.
    pub settings: BTreeMap<String, Map<String, Value>>,
}

/// How a task of an earlier run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum EarlierResult {
    /// It succeeded.
    Succeeded(Box<TaskOutcome>),
    /// It was skipped, for this reason.
    Skipped(String),
}

impl Earlier {
    /// The results of a run.
    ///
    /// # Errors
    ///
    /// Where the store fails or an outcome cannot be read.
    pub async fn load(store: &Store, data_dir: &Path, run_id: &str) -> Result<Self, Error> {
        let run_dir = files::run_dir(data_dir, run_id);
        let mut results = BTreeMap::new();
        for row in store.tasks(run_id).await? {
            let result = match &row.run.state {
                TaskState::Succeeded => {
                    let outcome = outcome(run_id, &row.task_id, row.outcome.as_deref())?;
                    if !files::are_there(&run_dir, &outcome) {
                        continue;
                    }
                    EarlierResult::Succeeded(Box::new(outcome))
                }
                TaskState::Skipped { reason } => EarlierResult::Skipped(reason.clone()),
                TaskState::Waiting
                | TaskState::Ready
                | TaskState::Running
                | TaskState::Delayed { .. }
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Cancelled => continue,
            };
            results.insert(row.task_id, result);
        }
        let nodes: Vec<Node> = store.run_graph(run_id).await?.into();
        Ok(Self {
            run_id: run_id.to_owned(),
            results,
            settings: nodes
                .into_iter()
                .map(|node| (node.id, node.settings))
                .collect(),
        })
    }
}

/// A stored outcome; an empty one where there is none.
pub(super) fn outcome(
    run_id: &str,
    task_id: &str,
    text: Option<&str>,
) -> Result<TaskOutcome, Error> {
    let Some(text) = text else {
        return Ok(TaskOutcome::default());
    };
    serde_json::from_str(text).map_err(|error| {
        Error::Store(crate::store::Error::Inconsistent {
            table: "tasks",
            column: "outcome",
            row: format!("{run_id}/{task_id}"),
            message: error.to_string(),
        })
    })
}

/// What a task starts as: to be run, or with the result that it is given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seat {
    Run,
    Taken(EarlierResult),
    LeftOut,
}

/// Which tasks run, by position.
struct Chosen {
    /// The one that the selection names.
    named: Option<usize>,
    /// The selected ones and all downstream.
    wanted: Vec<bool>,
    /// These, with the setups that they need once more.
    runs: Vec<bool>,
}

impl Chosen {
    /// Whether a task runs for the sake of others only.
    fn is_added(&self, position: usize) -> bool {
        self.runs[position] && !self.wanted[position]
    }
}

impl RunRequest {
    /// What makes two requests one and the same run to a person.
    pub fn identity(&self) -> String {
        let mut params: Vec<(&String, &Value)> = self.params.iter().collect();
        params.sort_by_key(|&(key, _)| key);
        let (which, task) = match &self.selection {
            Selection::All => ("all", None),
            Selection::From { task, .. } => ("from", Some(task)),
            Selection::Only { task, .. } => ("only", Some(task)),
            Selection::Failed { earlier } => ("failed", Some(&earlier.run_id)),
        };
        let schedule = match &self.trigger {
            // Each of its intervals is a run of its own, whatever else is like it.
            Trigger::Backfill { id, position } => Some(format!("{id}/{position}")),
            Trigger::Manual | Trigger::Scheduled { .. } => self.schedule.clone(),
        };
        json!([
            self.pipeline,
            schedule,
            self.interval,
            self.source,
            self.profile,
            params,
            which,
            task
        ])
        .to_string()
    }

    /// Whether the earlier run has what the selection leaves out.
    ///
    /// # Errors
    ///
    /// Where a task or a result does not exist, or a task left out would do something else now.
    pub fn check_selection(&self) -> Result<(), Error> {
        self.seats().map(drop)
    }

    /// Takes away the shards that an earlier run has, where a task is to be mapped anew: because
    /// it was asked for, or something upstream of it runs again.
    ///
    /// # Errors
    ///
    /// Where a task does not exist.
    pub(super) fn map_anew(&mut self) -> Result<(), Error> {
        let graph = &self.graph;
        if !graph.nodes().iter().any(Node::is_expanded) {
            return Ok(());
        }
        let chosen = self.chosen()?;
        let whole = matches!(self.selection, Selection::All);
        let anew = (0..graph.nodes().len()).filter(|&at| {
            let node = &graph.nodes()[at];
            let again = |name: &String| {
                let above = graph.position(name);
                above.is_some_and(|above| chosen.wanted[above])
            };
            node.is_expanded()
                && (whole
                    || chosen.named == Some(at)
                    || chosen.is_added(at)
                    || node.after.iter().any(again))
        });
        let anew: Vec<usize> = anew.collect();
        if !anew.is_empty() {
            self.graph = graph.without_shards(&anew);
        }
        Ok(())
    }

    /// What is to run by the selection.
    fn chosen(&self) -> Result<Chosen, Error> {
        let graph = &self.graph;
        let mut named = None;
        let wanted = match &self.selection {
            Selection::All => vec![true; graph.nodes().len()],
            Selection::From { task, .. } | Selection::Only { task, .. } => {
                let start = position_of(graph, task)?;
                named = Some(start);
                graph.with_descendants([start])
            }
            Selection::Failed { earlier } => {
                let tasks = graph.nodes().iter().enumerate();
                let missing = tasks.filter(|(_, node)| !earlier.results.contains_key(&node.id));
                graph.with_descendants(missing.map(|(position, _)| position))
            }
        };
        let mut runs = wanted.clone();
        if let (Selection::Only { .. }, Some(only)) = (&self.selection, named) {
            runs.fill(false);
            runs[only] = true;
        }
        if let Selection::From { earlier, .. } | Selection::Failed { earlier } = &self.selection {
            graph.choose_setups(&mut runs, |teardown| {
                // Without a result it may have begun: the setup is rather done twice than missed.
                let result = earlier.results.get(&graph.nodes()[teardown].id);
                !matches!(result, Some(EarlierResult::Skipped(_)))
            });
        }
        Ok(Chosen {
            named,
            wanted,
            runs,
        })
    }

    /// What each task starts as, by position.
    pub(super) fn seats(&self) -> Result<Vec<Seat>, Error> {
        let graph = &self.graph;
        let count = graph.nodes().len();
        let Some(earlier) = self.selection.earlier() else {
            return Ok(vec![Seat::Run; count]);
        };
        let chosen = self.chosen()?;
        let mut seats = vec![Seat::LeftOut; count];
        let mut missing = Vec::new();
        for at in (0..count).filter(|&at| chosen.runs[at]) {
            seats[at] = Seat::Run;
        }
        let needed = graph.with_ancestors((0..count).filter(|&at| chosen.runs[at]));
        for (position, node) in graph.nodes().iter().enumerate() {
            if seats[position] == Seat::Run {
                continue;
            }
            match earlier.results.get(&node.id) {
                Some(_) if earlier.settings.get(&node.id) != Some(&node.settings) => {
                    return Err(Error::OtherSettings {
                        task: node.id.clone(),
                        run_id: earlier.run_id.clone(),
                    });
                }
                Some(result) => seats[position] = Seat::Taken(result.clone()),
                None if needed[position] => missing.push(node.id.clone()),
                None => {}
            }
        }
        // What lies downstream of one that runs alone would show results that do not follow from it.
        for below in (0..count).filter(|&at| chosen.wanted[at] && !chosen.runs[at]) {
            seats[below] = Seat::LeftOut;
        }
        if missing.is_empty() {
            Ok(seats)
        } else {
            Err(Error::NoEarlierResult { tasks: missing })
        }
    }
}

/// The position of the task of this id.
///
/// # Errors
///
/// [`Error::UnknownTask`] where there is none.
pub fn position_of(graph: &Graph, task: &str) -> Result<usize, Error> {
    graph.position(task).ok_or_else(|| {
        let ids = graph.nodes().iter().map(|node| node.id.clone());
        unknown_task(task, ids)
    })
}

/// That there is no such task, and which there are.
pub(super) fn unknown_task(task: &str, allowed: impl Iterator<Item = String>) -> Error {
    Error::UnknownTask {
        task: task.to_owned(),
        allowed: allowed.collect(),
    }
}
