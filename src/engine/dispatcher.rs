//! The one owner of all run state.
//!
//! Each turn takes everything that has happened, plans, writes what follows in one transaction,
//! and only then acts and publishes: no effect happens before its row is durable.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::sync::{broadcast, mpsc};
use tokio_util::task::TaskTracker;

use super::{
    EngineEvent, EngineParts, Error, HomeLock,
    hear::{Message, WaitReply},
    live::Live,
    step::{Act, Step},
    tuning::Tuning,
};
use crate::{
    clock::Timestamp,
    dag::{self, Event, Pools, Run, RunState},
    store::{RunChange, Turn},
};

/// A standing clock or one that was set is noticed after this time at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How the engine goes about new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
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
    pub(super) phase: Phase,
    /// Who waits for the end of runs that are held back.
    pub(super) parked: BTreeMap<String, Vec<WaitReply>>,
    /// Runs that are to be cancelled and cannot be read; each is told of once.
    pub(super) unreadable: BTreeSet<String>,
    tuning: Tuning,
}

impl Dispatcher {
    pub(super) fn new(
        parts: EngineParts,
        lock: HomeLock,
        events: broadcast::Sender<EngineEvent>,
        inbox: mpsc::WeakUnboundedSender<Message>,
        tuning: Tuning,
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
            parked: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            tuning,
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
            // What has waited for the turn before it goes first.
            if batch.is_empty() {
                if self.phase == Phase::Draining && self.running() == 0 {
                    return self.release().await;
                }
                tokio::select! {
                    count = inbox.recv_many(&mut batch, 10_000) => {
                        if count == 0 {
                            // Attempts speak until they end: where they fell silent before that,
                            // the runtime is going down, and their end is for the next start to
                            // find.
                            if self.running() > 0 {
                                return Ok(());
                            }
                            return self.release().await;
                        }
                    }
                    () = tokio::time::sleep(self.until_due()) => {}
                    slots = self.tuning.new_slots() => {
                        self.pools.resize(slots.parallelism, slots.pools);
                    }
                    _ = heartbeat.tick(), if !self.live.is_empty() => {
                        batch.extend(self.beat().await);
                    }
                }
            }
            batch = self.turn(std::mem::take(&mut batch)).await?;
        }
    }

    fn running(&self) -> usize {
        self.live.values().map(|live| live.attempts.len()).sum()
    }

    /// How long nothing will be due, by the clock.
    fn until_due(&self) -> Duration {
        if self.phase == Phase::Draining || self.tuning.is_full() {
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

    /// Tells the store that the attempts run, and asks it what is to be cancelled.
    async fn beat(&self) -> Vec<Message> {
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
        match store.cancel_requests(&self.owner).await {
            Ok(requests) => requests.into_iter().map(Message::asked).collect(),
            Err(error) => {
                // They stay asked for, and are heard at the next beat.
                tracing::error!(%error, "cannot read what is to be cancelled");
                Vec::new()
            }
        }
    }

    /// One turn: what has happened → plan → one transaction → act. What it cannot hear yet it gives
    /// back.
    async fn turn(&mut self, batch: Vec<Message>) -> Result<Vec<Message>, Error> {
        let now = self.parts.clock.now();
        let mut step = Step::default();
        let mut later = Vec::new();
        for message in batch {
            if Self::comes_too_early(&message, &step) {
                later.push(message);
            } else {
                self.hear(message, &mut step, now).await;
            }
        }
        for (run_id, live) in &self.live {
            if live.run.next_due().is_some_and(|due| due <= now) {
                step.events.entry(run_id.clone()).or_default();
            }
        }
        for (run_id, events) in std::mem::take(&mut step.events) {
            self.settle(&run_id, events, &mut step, now);
        }
        let wanted = self.pools.has_room() && self.live.values().any(|live| live.run.has_ready());
        if self.tuning.look(&self.parts.settings, wanted) {
            let ready = self
                .live
                .iter_mut()
                .filter(|(_, live)| live.run.has_ready());
            let (ids, runs): (Vec<String>, Vec<&mut Run>) = ready
                .map(|(run_id, live)| (run_id.clone(), &mut live.run))
                .unzip();
            let started = dag::start(runs, &mut self.pools, now);
            for (run_id, effects) in ids.into_iter().zip(started) {
                self.record(&run_id, effects, &mut step, now);
            }
        }
        self.mark_cancels(&mut step);
        let Step { draft, acts, .. } = step;
        self.write(&draft.finish()).await?;
        for act in acts {
            self.act(act);
        }
        Ok(later)
    }

    /// What follows from the events of a run, its tasks' expressions included.
    fn settle(&mut self, run_id: &str, mut events: Vec<Event>, step: &mut Step, now: Timestamp) {
        while let Some(live) = self.live.get_mut(run_id) {
            let effects = dag::settle(&mut live.run, &mut self.pools, events, now);
            let undecided = live.run.take_undecided();
            self.record(run_id, effects, step, now);
            if undecided.is_empty() {
                return;
            }
            // What has just ended counts for what is decided now.
            let Some(live) = self.live.get(run_id) else {
                return;
            };
            let decided = undecided.into_iter().map(|task| Event::Decided {
                task,
                decision: live.decide(&self.parts.catalogue, task),
            });
            events = decided.collect();
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Launch { run_id, task } => self.launch(&run_id, task),
            Act::Stop(token) => token.cancel(),
            // Nobody listening is as good as somebody.
            Act::Publish(event) => drop(self.events.send(event)),
            Act::Reply(reply, submitted) => drop(reply.send(Ok(submitted))),
            Act::Cleared(reply, cleared) => drop(reply.send(Ok(cleared))),
            Act::Done(reply) => drop(reply.send(Ok(()))),
            Act::Close { run_id, state } => {
                let live = self.live.remove(&run_id).map(|live| live.waiting);
                let parked = self.parked.remove(&run_id);
                for waiting in live.into_iter().chain(parked).flatten() {
                    let _ = waiting.send(Ok(state));
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

    /// Writes a turn; waits for room where the disk is full.
    async fn write(&self, turn: &Turn) -> Result<(), Error> {
        let store = &self.parts.store;
        Ok(self.tuning.until_written(|| store.write_turn(turn)).await?)
    }
}
