//! Schedules and backfills become runs.
//!
//! One task owns the marks of all schedules. It wakes when a tick is due, a run ends, or somebody
//! nudges it; then it takes every [step](crate::dag::schedule::Schedule::step) that is due, lets
//! runs go on whose turn has come, and fills up backfills. A tick and its run are one transaction of
//! the dispatcher's turn, so that a process which dies between the two has made neither.

mod backfills;
mod pass;
mod wake;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, oneshot};

use self::{backfills::Stuck, wake::Alarm};
use super::{EngineEvent, Error, Handle, RunRequest};
use crate::{
    clock::{Clock, Timestamp},
    dag::schedule::{Schedule, Tick},
    store::{ScheduleRow, Store},
};

/// How soon a tick is tried again that could not become a run, and a store that failed.
const AGAIN: Duration = Duration::from_secs(30);

/// What the scheduler asks of whoever knows pipelines.
pub trait Schedules: Send + Sync + fmt::Debug {
    /// The schedules of all pipelines, as their files say now.
    fn load(&self) -> LoadedSchedules;

    /// Something that changes whenever a pipeline file does; asked at every look, so it is cheap.
    fn version(&self) -> u64;

    /// A run for an interval, or in words why there can be none. Which schedule or backfill wants
    /// it is filled in by the scheduler.
    fn request<'a>(&'a self, wanted: WantedRun<'a>) -> BoxFuture<'a, Result<RunRequest, String>>;
}

/// The schedules of all pipelines.
#[derive(Clone, Debug, Default)]
pub struct LoadedSchedules {
    /// Those that can be read, those of files that are broken now as they were before.
    pub schedules: Vec<PlannedSchedule>,
    /// Pipelines whose files cannot be read: what the store knows of them stays.
    pub broken: Vec<String>,
}

/// A schedule of a pipeline.
#[derive(Clone, Debug)]
pub struct PlannedSchedule {
    /// `pipeline/name`.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Its name in the pipeline.
    pub name: String,
    /// What decides over its ticks.
    pub rules: Schedule,
    /// When it fires, in words; where this changes, it begins anew.
    pub timing: String,
    /// Everything that the file says, as JSON.
    pub spec: String,
    /// How long after its tick a run is to have ended.
    pub deadline: Option<Duration>,
}

/// A run that a schedule or a backfill wants.
#[derive(Clone, Copy, Debug)]
pub struct WantedRun<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The name of the schedule.
    pub schedule: Option<&'a str>,
    /// The moment and the interval.
    pub tick: Tick,
    /// Source, profile and parameters that a backfill was asked for with, as JSON.
    pub request: Option<&'a str>,
}

/// What a scheduler is made of.
#[derive(Clone, Debug)]
pub struct Scheduler {
    /// The store of the home.
    pub store: Store,
    /// The engine that runs what it makes.
    pub engine: Handle,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Who knows pipelines.
    pub schedules: Arc<dyn Schedules>,
    /// Whether schedules make runs; else it works off backfills only.
    pub ticks: bool,
    /// Whether it wakes by itself, by the machine's clock; else [`SchedulerHandle::nudge`] wakes it.
    pub wakes: bool,
}

/// The scheduler as others see it; cheap to clone.
#[derive(Clone, Debug)]
pub struct SchedulerHandle {
    inbox: mpsc::UnboundedSender<Message>,
    clock: Arc<dyn Clock>,
    /// The oldest tick that was not decided when it last looked, in milliseconds.
    undecided: Arc<AtomicI64>,
}

#[derive(Debug)]
enum Message {
    Nudge(oneshot::Sender<()>),
    Reload(oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

impl SchedulerHandle {
    /// Looks at once what is to be done, for instance after a clock was moved, a pipeline paused or
    /// a backfill asked for. Returns when that is done.
    pub async fn nudge(&self) {
        self.ask(Message::Nudge).await;
    }

    /// Reads the schedules again. Returns when that is done.
    pub async fn reload(&self) {
        self.ask(Message::Reload).await;
    }

    /// Makes no more runs. Returns when it has ended.
    pub async fn stop(&self) {
        self.ask(Message::Stop).await;
        self.inbox.closed().await;
    }

    /// How long the oldest tick that is due has not been decided; zero where none is due.
    pub fn lag(&self) -> Duration {
        let undecided = self.undecided.load(Ordering::Relaxed);
        self.clock.now().since(Timestamp::from_millis(undecided))
    }

    async fn ask(&self, message: fn(oneshot::Sender<()>) -> Message) {
        let (reply, answer) = oneshot::channel();
        // One that has ended has nothing to do.
        if self.inbox.send(message(reply)).is_ok() {
            let _ended = answer.await;
        }
    }
}

impl Scheduler {
    /// Starts it: reads the schedules, and makes what is due. Ends with the engine.
    pub fn start(self) -> SchedulerHandle {
        let (inbox, messages) = mpsc::unbounded_channel();
        let events = self.engine.subscribe();
        let handle = SchedulerHandle {
            inbox,
            clock: Arc::clone(&self.clock),
            undecided: Arc::new(AtomicI64::new(i64::MAX)),
        };
        let state = State {
            parts: self,
            undecided: Arc::clone(&handle.undecided),
            version: 0,
            planned: BTreeMap::new(),
            next_due: None,
            waits: true,
            stuck: BTreeMap::new(),
        };
        tokio::spawn(state.run(messages, events));
        handle
    }
}

/// A schedule with its mark.
#[derive(Clone, Debug)]
struct Marked {
    planned: PlannedSchedule,
    handled_until: Timestamp,
    /// Why its next tick cannot become a run, and when that is tried again.
    fault: Option<(String, Timestamp)>,
}

/// The one owner of all marks.
#[derive(Debug)]
struct State {
    parts: Scheduler,
    undecided: Arc<AtomicI64>,
    /// Of the pipeline files that were read last.
    version: u64,
    planned: BTreeMap<String, Marked>,
    /// When something is to be done that no event tells.
    next_due: Option<Timestamp>,
    /// Whether the end of a run may let something begin.
    waits: bool,
    /// Backfills that get no further for a while.
    stuck: BTreeMap<String, Stuck>,
}

impl State {
    async fn run(
        mut self,
        mut messages: mpsc::UnboundedReceiver<Message>,
        mut events: broadcast::Receiver<EngineEvent>,
    ) {
        let mut alarm = None;
        if self.parts.wakes {
            match Alarm::start().await {
                Ok(started) => alarm = Some(started),
                Err(error) => {
                    tracing::error!(%error, "the wake-up of the scheduler cannot be had");
                    return;
                }
            }
        }
        self.guarded_reload().await;
        let mut replies: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            if self.parts.ticks && self.parts.schedules.version() != self.version {
                self.guarded_reload().await;
            }
            match self.pass().await {
                Ok(()) => {}
                Err(Error::Stopped(_)) => break,
                Err(error) => {
                    tracing::error!(%error, "the scheduler cannot work; it tries again soon");
                    self.next_due = Some(self.parts.clock.now() + AGAIN);
                }
            }
            for reply in replies.drain(..) {
                // Nobody waiting is as good as somebody.
                let _ = reply.send(());
            }
            if let Some(alarm) = &mut alarm
                && let Err(error) = alarm.set(self.until_due()).await
            {
                tracing::error!(%error, "the wake-up of the scheduler failed");
            }
            match self.next(&mut messages, &mut events, alarm.as_ref()).await {
                Woken::Pass => {}
                Woken::Nudged(reply) => replies.push(reply),
                Woken::Reloaded(reply) => {
                    self.guarded_reload().await;
                    replies.push(reply);
                }
                Woken::End => break,
            }
        }
        messages.close();
        if let Some(alarm) = alarm {
            alarm.stop().await;
        }
    }

    /// Waits until there is something to do.
    async fn next(
        &self,
        messages: &mut mpsc::UnboundedReceiver<Message>,
        events: &mut broadcast::Receiver<EngineEvent>,
        alarm: Option<&Alarm>,
    ) -> Woken {
        let ring = async {
            match alarm {
                Some(alarm) => {
                    alarm.rings().await;
                    tokio::time::sleep(self.until_due().min(wake::EARLY * 2)).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::pin!(ring);
        loop {
            tokio::select! {
                message = messages.recv() => return match message {
                    Some(Message::Nudge(reply)) => Woken::Nudged(reply),
                    Some(Message::Reload(reply)) => Woken::Reloaded(reply),
                    Some(Message::Stop(reply)) => {
                        let _ = reply.send(());
                        Woken::End
                    }
                    None => Woken::End,
                },
                event = events.recv() => match event {
                    Ok(EngineEvent::RunEnded { .. }) if self.waits => return Woken::Pass,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return Woken::Pass,
                    Err(broadcast::error::RecvError::Closed) => return Woken::End,
                },
                () = &mut ring => return Woken::Pass,
            }
        }
    }

    /// How long nothing will be due, by the clock.
    fn until_due(&self) -> Duration {
        let now = self.parts.clock.now();
        self.next_due
            // A whole millisecond more, because the clock counts no smaller ones.
            .map_or(Duration::from_hours(1), |due| {
                due.since(now) + Duration::from_millis(1)
            })
    }

    async fn guarded_reload(&mut self) {
        if let Err(error) = self.reload().await {
            tracing::error!(%error, "the schedules cannot be read; the scheduler goes on with what it knows");
        }
    }

    /// Reads the schedules, and tells the store about those that are new, changed or gone.
    async fn reload(&mut self) -> Result<(), Error> {
        if !self.parts.ticks {
            return Ok(());
        }
        let now = self.parts.clock.now();
        // Before they are read: a change in between is seen the next time.
        self.version = self.parts.schedules.version();
        let loaded = self.parts.schedules.load();
        let mut rows: BTreeMap<String, ScheduleRow> = self
            .parts
            .store
            .schedules()
            .await?
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect();
        let mut changed = Vec::new();
        let mut planned = BTreeMap::new();
        for schedule in loaded.schedules {
            let before = rows.remove(&schedule.id);
            let row = row_of(&schedule, before.as_ref(), now);
            let marked = Marked {
                handled_until: row.handled_until,
                planned: schedule,
                fault: None,
            };
            planned.insert(row.id.clone(), marked);
            if before.as_ref() != Some(&row) {
                changed.push(row);
            }
        }
        let gone =
            |row: &ScheduleRow| row.removed_at.is_none() && !loaded.broken.contains(&row.pipeline);
        changed.extend(rows.into_values().filter(gone).map(|row| ScheduleRow {
            removed_at: Some(now),
            fault: None,
            ..row
        }));
        self.parts.store.put_schedules(&changed).await?;
        self.planned = planned;
        Ok(())
    }
}

/// A schedule as the store is to know it. One that is new begins now, or where it says; so does one
/// whose times have changed, because the ticks of its new times were never due before.
fn row_of(schedule: &PlannedSchedule, before: Option<&ScheduleRow>, now: Timestamp) -> ScheduleRow {
    let handled_until = match before {
        None => match schedule.rules.start {
            Some(start) if start < now => start - Duration::from_millis(1),
            _ => now,
        },
        Some(row) if row.removed_at.is_some() || row.timing != schedule.timing => {
            row.handled_until.max(now)
        }
        Some(row) => row.handled_until,
    };
    ScheduleRow {
        id: schedule.id.clone(),
        pipeline: schedule.pipeline.clone(),
        name: schedule.name.clone(),
        timing: schedule.timing.clone(),
        spec: schedule.spec.clone(),
        handled_until,
        first_seen_at: before.map_or(now, |row| row.first_seen_at),
        removed_at: None,
        fault: None,
    }
}

/// Why the scheduler woke.
#[derive(Debug)]
enum Woken {
    Pass,
    Nudged(oneshot::Sender<()>),
    Reloaded(oneshot::Sender<()>),
    End,
}
