//! The one owner of all run state.
//!
//! Each turn takes everything that has happened, plans, writes what follows in one transaction,
//! and only then acts and publishes: no effect happens before its row is durable.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    EngineEvent, EngineParts, Error, HomeLock, RunRequest, Submitted,
    executor::AttemptResult,
    live::Live,
    recovery::progress_of,
    step::{Act, Step},
};
use crate::{
    clock::Timestamp,
    dag::{self, Event, Pools, RunState},
    store::{RunChange, Turn},
};

/// How often a write is tried again on a full disk, and the pause before each try.
const FULL_DISK_TRIES: u32 = 5;
const FULL_DISK_PAUSE: Duration = Duration::from_millis(500);

/// A standing clock or one that was set is noticed after this time at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

pub(super) type SubmitReply = oneshot::Sender<Result<Submitted, Error>>;
pub(super) type WaitReply = oneshot::Sender<Result<RunState, Error>>;

/// What reaches the dispatcher.
#[derive(Debug)]
pub(super) enum Message {
    Submit {
        request: Box<RunRequest>,
        reply: SubmitReply,
    },
    Resume {
        run_id: String,
        reply: SubmitReply,
    },
    Cancel {
        run_id: String,
    },
    Wait {
        run_id: String,
        reply: WaitReply,
    },
    Ended(Box<Ended>),
    Tick,
    Drain,
    Stop,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run_id: String,
    pub(super) task: usize,
    pub(super) attempt: u32,
    pub(super) result: AttemptResult,
}

/// How the engine goes about new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    /// What runs may end, nothing starts.
    Draining,
}

/// The one owner of all run state.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) parts: EngineParts,
    pub(super) lock: HomeLock,
    /// This process, in the store.
    pub(super) owner: String,
    pub(super) pools: Pools,
    /// By id, which is by age.
    pub(super) live: BTreeMap<String, Live>,
    pub(super) events: broadcast::Sender<EngineEvent>,
    pub(super) inbox: mpsc::WeakUnboundedSender<Message>,
    pub(super) tracker: TaskTracker,
    phase: Phase,
}

impl Dispatcher {
    pub(super) fn new(
        parts: EngineParts,
        lock: HomeLock,
        events: broadcast::Sender<EngineEvent>,
        inbox: mpsc::WeakUnboundedSender<Message>,
    ) -> Self {
        let pools = Pools::new(parts.settings.parallelism, parts.settings.pools.clone());
        Self {
            owner: uuid::Uuid::now_v7().to_string(),
            parts,
            lock,
            pools,
            live: BTreeMap::new(),
            events,
            inbox,
            tracker: TaskTracker::new(),
            phase: Phase::Working,
        }
    }

    /// Works until it is told to stop, or every handle is gone and nothing runs.
    ///
    /// # Errors
    ///
    /// Where the store can no longer be written; nothing is acted upon from then on.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Result<(), Error> {
        let result = self.work(&mut inbox).await;
        for live in self.live.values() {
            for attempt in live.attempts.values() {
                attempt.stop.cancel();
            }
        }
        self.tracker.close();
        // Where the store is lost, an attempt that cannot be stopped must not hide that.
        let patience = self.parts.settings.grace * 2;
        let _ = tokio::time::timeout(patience, self.tracker.wait()).await;
        result
    }

    async fn work(&mut self, inbox: &mut mpsc::UnboundedReceiver<Message>) -> Result<(), Error> {
        let mut heartbeat = tokio::time::interval(self.parts.settings.heartbeat);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            if self.phase == Phase::Draining && self.running() == 0 {
                return self.release().await;
            }
            tokio::select! {
                count = inbox.recv_many(&mut batch, 10_000) => {
                    if count == 0 {
                        return self.release().await;
                    }
                }
                () = tokio::time::sleep(self.until_due()) => {}
                _ = heartbeat.tick(), if !self.live.is_empty() => {
                    for run_id in self.beat().await? {
                        batch.push(Message::Cancel { run_id });
                    }
                }
            }
            self.turn(std::mem::take(&mut batch)).await?;
        }
    }

    fn running(&self) -> usize {
        self.live.values().map(|live| live.attempts.len()).sum()
    }

    /// How long nothing will be due, by the clock.
    fn until_due(&self) -> Duration {
        if self.phase == Phase::Draining {
            return LONGEST_SLEEP;
        }
        let now = self.parts.clock.now();
        self.live
            .values()
            .filter_map(|live| live.run.next_due())
            .map(|due| due.since(now))
            .min()
            .map_or(Duration::from_hours(1), |wait| {
                // A whole millisecond more, because the clock counts no smaller ones.
                (wait + Duration::from_millis(1)).min(LONGEST_SLEEP)
            })
    }

    /// Tells the store that the attempts run, and asks it which runs are to be cancelled.
    async fn beat(&self) -> Result<Vec<String>, Error> {
        let alive: Vec<(&str, u64)> = self
            .live
            .values()
            .flat_map(|live| live.attempts.values())
            .map(|attempt| (attempt.id.as_str(), attempt.progress.get().0))
            .collect();
        let store = &self.parts.store;
        if !alive.is_empty()
            && let Err(error) = store.heartbeat(&alive, self.parts.clock.now()).await
        {
            // The turns say whether the store is lost; a heartbeat may be missed.
            tracing::warn!(%error, "cannot write a heartbeat");
        }
        Ok(store.cancel_requests(&self.owner).await?)
    }

    /// One turn: what has happened → plan → one transaction → act.
    async fn turn(&mut self, batch: Vec<Message>) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let mut step = Step::default();
        for message in batch {
            self.hear(message, &mut step, now).await?;
        }
        for (run_id, live) in &self.live {
            if live.run.next_due().is_some_and(|due| due <= now) {
                step.events.entry(run_id.clone()).or_default();
            }
        }
        for (run_id, events) in std::mem::take(&mut step.events) {
            if let Some(live) = self.live.get_mut(&run_id) {
                let effects = dag::settle(&mut live.run, &mut self.pools, events, now);
                self.record(&run_id, effects, &mut step, now);
            }
        }
        let waiting: Vec<String> = self
            .live
            .iter()
            .filter(|(_, live)| live.run.has_ready())
            .map(|(run_id, _)| run_id.clone())
            .collect();
        for run_id in waiting {
            if let Some(live) = self.live.get_mut(&run_id) {
                let effects = dag::start(&mut live.run, &mut self.pools, now);
                self.record(&run_id, effects, &mut step, now);
            }
        }
        let Step { draft, acts, .. } = step;
        self.write(&draft.finish()).await?;
        for act in acts {
            self.act(act);
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        message: Message,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<(), Error> {
        match message {
            Message::Submit { reply, .. } | Message::Resume { reply, .. }
                if self.phase == Phase::Draining =>
            {
                let _ = reply.send(Err(Error::Stopped("it was told to".to_owned())));
            }
            Message::Submit { request, reply } => match self.submit(*request, step, now).await {
                Ok(submitted) => step.acts.push(Act::Reply(reply, submitted)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Message::Resume { run_id, reply } => match self.resume(&run_id, step).await {
                Ok(submitted) => step.acts.push(Act::Reply(reply, submitted)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Message::Cancel { run_id } => {
                step.events
                    .entry(run_id)
                    .or_default()
                    .push(Event::CancelRequested);
            }
            Message::Wait { run_id, reply } => {
                if let Some(live) = self.live.get_mut(&run_id) {
                    live.waiting.push(reply);
                } else {
                    let answer = match self.parts.store.run(&run_id).await? {
                        Some(row) if row.state.is_final() => Ok(row.state),
                        Some(_) => Err(Error::Idle(run_id)),
                        None => Err(Error::UnknownRun(run_id)),
                    };
                    let _ = reply.send(answer);
                }
            }
            Message::Ended(ended) => self.ended(*ended, step, now).await?,
            Message::Tick => {}
            Message::Drain | Message::Stop => {
                self.phase = Phase::Draining;
                for (run_id, live) in &self.live {
                    step.events
                        .entry(run_id.clone())
                        .or_default()
                        .push(Event::Held);
                    if matches!(message, Message::Stop) {
                        let tokens = live.attempts.values().map(|attempt| &attempt.stop);
                        step.acts.extend(tokens.cloned().map(Act::Stop));
                    }
                }
            }
        }
        Ok(())
    }

    async fn ended(&mut self, ended: Ended, step: &mut Step, now: Timestamp) -> Result<(), Error> {
        let Ended {
            run_id,
            task,
            attempt,
            result,
        } = ended;
        let Some(live) = self.live.get_mut(&run_id) else {
            return Ok(());
        };
        let Some(running) = live.attempts.remove(&task) else {
            return Ok(());
        };
        let mut done = running.progress.get().0;
        let mut progressed = done > 0;
        if matches!(result, AttemptResult::Crashed { .. }) && !progressed {
            // A child counts in its own memory; what it has committed is in the store.
            let task_id = &live.run.graph().nodes()[task].id;
            (progressed, done) = progress_of(&self.parts.store, &run_id, task_id, attempt).await?;
        }
        let seconds = running.began.elapsed().as_secs_f64();
        step.draft
            .attempt_ended(running.id, &result, seconds, done, now);
        if let AttemptResult::Succeeded { outcome } = &result
            && !outcome.output.is_null()
        {
            live.outputs.insert(task, outcome.output.clone());
        }
        step.events
            .entry(run_id.clone())
            .or_default()
            .push(Event::Ended {
                task,
                attempt,
                end: result.end(progressed),
            });
        step.results.insert((run_id, task), result);
        Ok(())
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Launch { run_id, task } => self.launch(&run_id, task),
            Act::Stop(token) => token.cancel(),
            // Nobody listening is as good as somebody.
            Act::Publish(event) => drop(self.events.send(event)),
            Act::Reply(reply, submitted) => drop(reply.send(Ok(submitted))),
            Act::Close { run_id, state } => {
                if let Some(live) = self.live.remove(&run_id) {
                    for waiting in live.waiting {
                        let _ = waiting.send(Ok(state));
                    }
                }
                self.tell_lock();
                drop(self.events.send(EngineEvent::RunEnded { run_id, state }));
            }
        }
    }

    /// Names the oldest run in the lock file, for whoever finds it taken.
    pub(super) fn tell_lock(&self) {
        let run = self.live.keys().next().map(String::as_str);
        if let Err(error) = self.lock.set_run(run) {
            tracing::warn!(%error, "cannot write the lock file");
        }
    }

    /// Gives up the runs that have not ended, in a state from which the next start goes on.
    async fn release(&mut self) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let mut draft = super::draft::Draft::default();
        for (run_id, live) in &self.live {
            let change = RunChange {
                run: run_id.clone(),
                fence: live.fence,
                new_fence: live.fence,
                owner: None,
                state: RunState::Queued.name(),
                cause: "its process stopped; the same command resumes it".to_owned(),
                cancel_requested: false,
                started_at: None,
                ended_at: None,
            };
            draft.run_moved(RunState::Running, change, now);
        }
        self.write(&draft.finish()).await?;
        self.live.clear();
        self.tell_lock();
        Ok(())
    }

    /// Writes a turn; waits for space where the disk is full.
    async fn write(&self, turn: &Turn) -> Result<(), Error> {
        for _ in 0..FULL_DISK_TRIES {
            match self.parts.store.write_turn(turn).await {
                Err(error) if error.is_disk_full() => {
                    tracing::error!("the disk is full; runs wait for space");
                    tokio::time::sleep(FULL_DISK_PAUSE).await;
                }
                result => return Ok(result?),
            }
        }
        Ok(self.parts.store.write_turn(turn).await?)
    }
}
