//! How a run comes to this process: made new, or resumed.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use super::{
    EngineEvent, Error, RunRequest, TaskOutcome, Trigger,
    cancel::{cancel, stored},
    dispatcher::Dispatcher,
    files,
    live::{About, Live},
    recovery::restore_live,
    request::{EarlierResult, Seat},
    step::{Act, Step},
};
use crate::{
    clock::Timestamp,
    dag::{Event, Graph, Run, RunState, TaskRun, TaskState},
    store::{NewRun, NewTask, RunChange, RunRow},
    telemetry::chain,
};

const GOES_ON: &str = "it goes on in a new process";

/// A run that the engine has taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub run_id: String,
    /// Whether it had begun before.
    pub resumed: bool,
}

impl Dispatcher {
    /// Takes on a request: an unfinished run that is the same is resumed, otherwise a new one made.
    /// The runs that it replaces are told to end in the same turn: they are when it is there, and
    /// go on where there can be none.
    pub(super) async fn submit(
        &mut self,
        mut request: RunRequest,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<Submitted, Error> {
        let replaced = match &mut request.trigger {
            Trigger::Scheduled { replaces, .. } => std::mem::take(replaces),
            Trigger::Manual | Trigger::Backfill { .. } => Vec::new(),
        };
        let submitted = self.take_on(request, step, now).await?;
        for run_id in replaced {
            self.cancel(run_id, step, now).await;
        }
        Ok(submitted)
    }

    async fn take_on(
        &mut self,
        mut request: RunRequest,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<Submitted, Error> {
        request.map_anew()?;
        self.check_operators(&request.graph)?;
        let seats = request.seats()?;
        if let Some(schedule) = &request.schedule
            && let Some(run_id) = self
                .run_of_tick(schedule, request.scheduled_for, step)
                .await?
        {
            return Err(Error::TickTaken {
                schedule: schedule.clone(),
                scheduled_for: request.scheduled_for,
                run_id,
            });
        }
        let identity = request.identity();
        if !request.force
            && let Some(run_id) = self
                .live
                .iter()
                .find(|(_, live)| live.about.identity == identity)
                .map(|(run_id, _)| run_id.clone())
        {
            return Ok(Submitted {
                run_id,
                resumed: true,
            });
        }
        if !request.force
            && let Some(same) = step
                .draft
                .turn()
                .new_runs
                .iter()
                .find(|run| run.identity == identity)
        {
            // Both came in one turn: the first is not in the store yet.
            return Ok(Submitted {
                run_id: same.id.clone(),
                resumed: true,
            });
        }
        let mut unfinished = self.parts.store.unfinished_runs(Some(&identity)).await?;
        unfinished.retain(|row| !self.live.contains_key(&row.id));
        if !request.force
            && let Some(newest) = unfinished.pop()
        {
            if request.hold.is_none() {
                return self.take_over(&newest, GOES_ON, step).await;
            }
            return Ok(Submitted {
                run_id: newest.id,
                resumed: true,
            });
        }
        let submitted = self.make(request, identity, seats, step, now)?;
        for row in &unfinished {
            let run_id = row.id.clone();
            let cause = "a new run was forced in its place";
            match cancel(&self.parts.store, row, cause, &mut step.draft, now).await {
                Ok(state) => {
                    step.ended.insert(run_id.clone());
                    step.acts.push(Act::Close { run_id, state });
                }
                // The new run does not wait for what cannot be read.
                Err(error) => tracing::error!(run.id = run_id, "cannot cancel: {}", chain(&error)),
            }
        }
        Ok(submitted)
    }

    /// Resumes a run that has not ended.
    pub(super) async fn resume(
        &mut self,
        run_id: &str,
        step: &mut Step,
    ) -> Result<Submitted, Error> {
        if self.live.contains_key(run_id) {
            return Ok(Submitted {
                run_id: run_id.to_owned(),
                resumed: true,
            });
        }
        let row = stored(&self.parts.store, run_id).await?;
        if row.state.is_final() {
            return Err(Error::Ended(row.id));
        }
        if let Some(cause) = row.hold {
            let run_id = row.id;
            return Err(Error::Held { run_id, cause });
        }
        self.take_over(&row, GOES_ON, step).await
    }

    /// Starts a run that was held back.
    pub(super) async fn promote(
        &mut self,
        run_id: &str,
        step: &mut Step,
    ) -> Result<Submitted, Error> {
        let row = stored(&self.parts.store, run_id).await?;
        if row.hold.is_none() || self.live.contains_key(run_id) {
            return Err(Error::NotHeld(row.id));
        }
        self.take_over(&row, "it need not wait any longer", step)
            .await
    }

    /// The run that a schedule has made for a tick, in the store or in this turn.
    async fn run_of_tick(
        &self,
        schedule: &str,
        scheduled_for: Timestamp,
        step: &mut Step,
    ) -> Result<Option<String>, Error> {
        let mut fresh = step.draft.turn().new_runs.iter();
        let fresh = fresh.find(|run| {
            run.schedule.as_deref() == Some(schedule) && run.scheduled_for == scheduled_for
        });
        match fresh {
            Some(run) => Ok(Some(run.id.clone())),
            None => Ok(self
                .parts
                .store
                .run_of_tick(schedule, scheduled_for)
                .await?),
        }
    }

    fn check_operators(&self, graph: &Graph) -> Result<(), Error> {
        let catalogue = &self.parts.catalogue;
        match graph
            .nodes()
            .iter()
            .find(|node| catalogue.get(&node.op).is_none())
        {
            None => Ok(()),
            Some(node) => Err(Error::UnknownOperator {
                task: node.id.clone(),
                op: node.op.clone(),
                allowed: catalogue.names().map(str::to_owned).collect(),
            }),
        }
    }

    /// Makes this process the owner of a stored run.
    pub(super) async fn take_over(
        &mut self,
        row: &RunRow,
        cause: &str,
        step: &mut Step,
    ) -> Result<Submitted, Error> {
        let live = restore_live(&self.parts.store, row, row.fence + 1).await?;
        self.check_operators(live.run.graph())?;
        let resumed = row.hold.is_none();
        self.begin(live, row.fence, row.state, cause, resumed, step);
        Ok(Submitted {
            run_id: row.id.clone(),
            resumed,
        })
    }

    fn make(
        &mut self,
        request: RunRequest,
        identity: String,
        seats: Vec<Seat>,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<Submitted, Error> {
        let run_id = uuid::Uuid::now_v7().to_string();
        if let Some(earlier) = request.selection.earlier() {
            let data_dir = self.parts.settings.data_dir();
            let (from, to) = (&earlier.run_id, &run_id);
            let taken = files::take_over(
                &files::run_dir(&data_dir, from),
                &files::run_dir(&data_dir, to),
            );
            taken.map_err(|source| Error::Files {
                run_id: from.clone(),
                source,
            })?;
        }
        let (tasks, states, outcomes) = seat_tasks(&request, seats, now);
        let trigger = request.trigger.name();
        let (cause, deadline_at, backfill) = match request.trigger {
            Trigger::Manual => ("somebody asked for it", None, None),
            Trigger::Scheduled { deadline_at, .. } => ("its schedule was due", deadline_at, None),
            Trigger::Backfill { id, position } => {
                ("a backfill asked for it", None, Some((id, position)))
            }
        };
        step.draft.turn().new_runs.push(NewRun {
            id: run_id.clone(),
            pipeline: request.pipeline.clone(),
            definition_hash: hexadecimal(&Sha256::digest(request.definition.as_bytes())),
            definition: request.definition,
            graph: serde_json::to_string(&request.graph).expect("a graph is plain data"),
            params: serde_json::to_string(&request.params).expect("parameters are JSON"),
            source: request.source,
            profile: request.profile,
            schedule: request.schedule,
            scheduled_for: request.scheduled_for,
            interval_start: request.interval.start,
            interval_end: request.interval.end,
            as_of: request.as_of,
            force: request.force,
            trigger,
            cause: request.hold.as_deref().unwrap_or(cause).to_owned(),
            identity: identity.clone(),
            owner: request.hold.is_none().then(|| self.owner.clone()),
            hold: request.hold.clone(),
            deadline_at,
            backfill,
            created_at: now,
            tasks,
        });
        if let Some(cause) = request.hold {
            step.acts.push(Act::Publish(EngineEvent::RunQueued {
                run_id: run_id.clone(),
                cause,
            }));
            return Ok(Submitted {
                run_id,
                resumed: false,
            });
        }
        let about = About {
            identity,
            pipeline: request.pipeline,
            scheduled_for: request.scheduled_for,
            interval: request.interval,
            as_of: request.as_of,
            force: request.force,
            params: request.params,
        };
        let run = Run::restore(&run_id, Arc::new(request.graph), states, false);
        let mut live = Live::new(run, about, 1);
        for (position, outcome) in outcomes {
            live.keep(position, &outcome);
        }
        self.begin(live, 1, RunState::Queued, cause, false, step);
        Ok(Submitted {
            run_id,
            resumed: false,
        })
    }

    fn begin(
        &mut self,
        live: Live,
        fence: i64,
        from: RunState,
        cause: &str,
        resumed: bool,
        step: &mut Step,
    ) {
        let now = self.parts.clock.now();
        let run_id = live.run.id().to_owned();
        let change = RunChange {
            run: run_id.clone(),
            fence,
            new_fence: live.fence,
            owner: Some(self.owner.clone()),
            state: RunState::Running.name(),
            cause: cause.to_owned(),
            cancel_requested: false,
            started_at: Some(now),
            ended_at: None,
        };
        step.draft.run_moved(from, change, now);
        step.acts.push(Act::Publish(EngineEvent::RunStarted {
            run_id: run_id.clone(),
            resumed,
        }));
        step.events
            .entry(run_id.clone())
            .or_default()
            .push(Event::Started);
        self.live.insert(run_id, live);
        self.tell_lock();
    }
}

type Seated = (Vec<NewTask>, Vec<TaskRun>, BTreeMap<usize, TaskOutcome>);

/// The rows, the states and the outcomes with which the tasks of a new run begin.
fn seat_tasks(request: &RunRequest, seats: Vec<Seat>, now: Timestamp) -> Seated {
    let taken = request
        .selection
        .earlier()
        .map(|earlier| format!("taken over from run `{}`", earlier.run_id))
        .unwrap_or_default();
    let mut outcomes = BTreeMap::new();
    let mut states = Vec::with_capacity(seats.len());
    let mut tasks = Vec::with_capacity(seats.len());
    for (position, (node, seat)) in request.graph.nodes().iter().zip(seats).enumerate() {
        let (state, message, outcome) = match seat {
            Seat::Run => (TaskState::Waiting, None, None),
            Seat::LeftOut => (
                skipped("not selected"),
                Some("not selected".to_owned()),
                None,
            ),
            Seat::Taken(EarlierResult::Skipped(reason)) => (skipped(&reason), Some(reason), None),
            Seat::Taken(EarlierResult::Succeeded(earlier)) => {
                let outcome = TaskOutcome {
                    rows_computed: 0,
                    rows_reused: earlier.rows_out,
                    bytes: 0,
                    message: Some(taken.clone()),
                    ..*earlier
                };
                let text = serde_json::to_string(&outcome).expect("an outcome is plain data");
                outcomes.insert(position, outcome);
                (TaskState::Succeeded, Some(taken.clone()), Some(text))
            }
        };
        tasks.push(NewTask {
            task_id: node.id.clone(),
            op: node.op.clone(),
            state: state.name(),
            cause: message
                .clone()
                .unwrap_or_else(|| "the run begins".to_owned()),
            message,
            outcome,
            ended_at: state.is_final().then_some(now),
        });
        states.push(TaskRun {
            state,
            ..TaskRun::default()
        });
    }
    (tasks, states, outcomes)
}

fn skipped(reason: &str) -> TaskState {
    TaskState::Skipped {
        reason: reason.to_owned(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
