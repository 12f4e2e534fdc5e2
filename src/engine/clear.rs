//! Tasks of a run that begin anew, within the same run.

use std::path::Path;

use tokio::sync::oneshot;

use super::{
    EngineEvent, Error,
    cancel::stored,
    dispatcher::Dispatcher,
    files,
    recovery::restore,
    request::position_of,
    step::{Act, Step},
};
use crate::{
    dag::{Event, Run, TaskState},
    store::Store,
};

/// Which tasks of a run are to begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClearSelection {
    /// Those that failed, were cancelled or lacked their upstream, and all downstream of them.
    Failed,
    /// This one and all downstream of it.
    From(String),
    /// This one alone.
    Only(String),
}

/// A run of which tasks begin anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The run.
    pub run_id: String,
    /// The tasks, in the order of the pipeline file.
    pub task_ids: Vec<String>,
}

pub(super) type ClearReply = oneshot::Sender<Result<Cleared, Error>>;

/// What [`Handle::clear`](super::Handle::clear) would do, by what the store says.
///
/// # Errors
///
/// Where there is no such run or task, one of the tasks is running or reads what is gone, or there
/// is nothing to clear.
pub async fn to_clear(
    store: &Store,
    data_dir: &Path,
    run_id: &str,
    selection: &ClearSelection,
) -> Result<Cleared, Error> {
    let run = restore(store, &stored(store, run_id).await?).await?;
    let lost = files::lost(store, data_dir, run_id).await?;
    Ok(choose(&run, selection, &lost)?.named(&run))
}

/// What is cleared, by position.
#[derive(Debug)]
struct Choice {
    tasks: Vec<usize>,
    /// The mapped tasks that are mapped anew, and what shards they had.
    folded: Vec<usize>,
    retired: Vec<usize>,
}

/// What a selection means, with the setups that it needs once more; `lost` tells which tasks have
/// lost their files.
fn choose(run: &Run, selection: &ClearSelection, lost: &[bool]) -> Result<Choice, Error> {
    let graph = run.graph();
    let count = graph.nodes().len();
    let mut chosen = match selection {
        ClearSelection::Failed => {
            let failed = |&position: &usize| {
                matches!(
                    run.tasks()[position].state,
                    TaskState::Failed | TaskState::UpstreamFailed | TaskState::Cancelled
                )
            };
            graph.with_descendants((0..count).filter(failed))
        }
        ClearSelection::From(task) => graph.with_descendants([position_of(graph, task)?]),
        ClearSelection::Only(task) => {
            let only = position_of(graph, task)?;
            (0..count).map(|position| position == only).collect()
        }
    };
    for position in 0..chosen.len() {
        if chosen[position] && graph.is_dormant(position) {
            chosen[position] = false;
        }
        // A mapped task is what its shards make of it.
        if chosen[position]
            && let Some(parent) = graph.parent(position)
        {
            chosen[parent] = true;
        }
    }
    let wanted = chosen.clone();
    graph.choose_setups(&mut chosen, |teardown| {
        // One that has not begun has put nothing away.
        let task = &run.tasks()[teardown];
        matches!(task.state, TaskState::Succeeded | TaskState::Failed)
            || task.first_started.is_some()
    });
    let named = match selection {
        ClearSelection::Failed => None,
        ClearSelection::From(task) | ClearSelection::Only(task) => graph.position(task),
    };
    let (mut folded, mut retired) = (Vec::new(), Vec::new());
    for position in (0..chosen.len()).filter(|&at| chosen[at] && graph.nodes()[at].is_expanded()) {
        let node = &graph.nodes()[position];
        let other = |name: &String| graph.position(name).is_some_and(|above| wanted[above]);
        // What runs for the sake of others only runs as a whole.
        if named == Some(position) || !wanted[position] || node.after.iter().any(other) {
            folded.push(position);
            retired.extend_from_slice(graph.shards(position));
        }
    }
    for &shard in &retired {
        chosen[shard] = false;
    }
    let tasks: Vec<usize> = (0..chosen.len()).filter(|&at| chosen[at]).collect();
    if tasks.is_empty() {
        return Err(Error::NothingToClear(run.id().to_owned()));
    }
    let needed = graph.with_ancestors(tasks.iter().copied());
    let mut order = graph.order().iter().copied();
    if let Some(gone) = order.find(|&at| needed[at] && !chosen[at] && lost.get(at) == Some(&true)) {
        return Err(Error::FilesGone {
            run_id: run.id().to_owned(),
            task: graph.nodes()[gone].id.clone(),
        });
    }
    match tasks
        .iter()
        .chain(&retired)
        .find(|&&task| run.tasks()[task].state == TaskState::Running)
    {
        Some(&running) => Err(Error::StillRunning(graph.nodes()[running].id.clone())),
        None => Ok(Choice {
            tasks,
            folded,
            retired,
        }),
    }
}

impl Choice {
    fn named(&self, run: &Run) -> Cleared {
        let nodes = run.graph().nodes();
        let tasks = self.tasks.iter();
        Cleared {
            run_id: run.id().to_owned(),
            task_ids: tasks.map(|&task| nodes[task].id.clone()).collect(),
        }
    }
}

impl Dispatcher {
    /// Lets tasks of a run begin anew; one that has ended goes on in this process.
    pub(super) async fn clear(
        &mut self,
        run_id: &str,
        selection: &ClearSelection,
        step: &mut Step,
    ) -> Result<Cleared, Error> {
        let data_dir = self.parts.settings.data_dir();
        let lost = files::lost(&self.parts.store, &data_dir, run_id).await?;
        if !self.live.contains_key(run_id) {
            let row = stored(&self.parts.store, run_id).await?;
            if let Some(cause) = row.hold {
                let run_id = row.id;
                return Err(Error::Held { run_id, cause });
            }
            // Refused before the run is taken on, so that a mistake changes nothing.
            choose(&restore(&self.parts.store, &row).await?, selection, &lost)?;
            self.take_over(&row, "tasks of it were cleared", step)
                .await?;
        }
        let Some(live) = self.live.get_mut(run_id) else {
            return Err(Error::UnknownRun(run_id.to_owned()));
        };
        let choice = choose(&live.run, selection, &lost)?;
        let cleared = choice.named(&live.run);
        live.forget(&choice.tasks);
        live.forget(&choice.retired);
        let begun_anew = choice.tasks.iter().chain(&choice.retired);
        let told = begun_anew.map(|&task| Some(task)).chain([None]);
        step.told
            .extend(told.map(|which| (run_id.to_owned(), which)));
        step.acts.push(Act::Publish(EngineEvent::TasksCleared {
            run_id: run_id.to_owned(),
            task_ids: cleared.task_ids.clone(),
        }));
        step.events
            .entry(run_id.to_owned())
            .or_default()
            .push(Event::Cleared {
                tasks: choice.tasks,
                folded: choice.folded,
            });
        Ok(cleared)
    }
}
