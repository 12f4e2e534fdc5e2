//! One look at everything: which ticks are due, and whose turn has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use super::{AGAIN, State, WantedRun};
use crate::{
    clock::Timestamp,
    dag::schedule::{Hold, LiveRun, Schedule, Standing, Step, Tick},
    engine::{Error, Trigger},
    store::{SkippedTicks, UnfinishedTick},
};

/// The unfinished runs of each schedule, by tick.
type Unfinished = BTreeMap<String, Vec<UnfinishedTick>>;

impl State {
    /// Does everything that can be done now.
    pub(super) async fn pass(&mut self) -> Result<(), Error> {
        let now = self.parts.clock.now();
        self.next_due = None;
        let mut unfinished = Unfinished::new();
        if self.parts.ticks {
            unfinished = self.unfinished().await?;
            let paused: BTreeSet<String> = self
                .parts
                .store
                .paused_pipelines()
                .await?
                .into_iter()
                .map(|(pipeline, _)| pipeline)
                .collect();
            let ids: Vec<String> = self.planned.keys().cloned().collect();
            let mut undecided = None;
            for id in ids {
                let pipeline = &self.planned[&id].planned.pipeline;
                if !paused.contains(pipeline) {
                    let due = self.decide(&id, &mut unfinished, now).await?;
                    self.wake_at(due);
                    let marked = &self.planned[&id];
                    let next = marked.planned.rules.next_after(marked.handled_until);
                    undecided = [undecided, next].into_iter().flatten().min();
                }
            }
            let undecided = undecided.map_or(i64::MAX, Timestamp::as_millis);
            self.undecided.store(undecided, Ordering::Relaxed);
            self.release(&mut unfinished, &paused).await?;
        }
        let filling = self.fill_backfills().await?;
        self.waits = filling || unfinished.values().any(|runs| !runs.is_empty());
        Ok(())
    }

    pub(super) fn wake_at(&mut self, moment: Option<Timestamp>) {
        self.next_due = [self.next_due, moment].into_iter().flatten().min();
    }

    async fn unfinished(&self) -> Result<Unfinished, Error> {
        let mut unfinished = Unfinished::new();
        for run in self.parts.store.unfinished_ticks().await? {
            if run.hold.is_some() && run.cancel_requested {
                // Nobody is at work on it who could hear that.
                self.parts.engine.cancel(&run.run_id).await?;
                continue;
            }
            unfinished
                .entry(run.schedule.clone())
                .or_default()
                .push(run);
        }
        Ok(unfinished)
    }

    /// Takes every step of a schedule that is due; says when the next one will be.
    async fn decide(
        &mut self,
        id: &str,
        unfinished: &mut Unfinished,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let runs = unfinished.entry(id.to_owned()).or_default();
        loop {
            let marked = &self.planned[id];
            if let Some((_, again)) = &marked.fault
                && *again > now
            {
                return Ok(Some(*again));
            }
            let (rules, handled_until) = (marked.planned.rules.clone(), marked.handled_until);
            let live: Vec<LiveRun> = runs.iter().map(live).collect();
            let past_succeeded = !rules.depends_on_past
                || self
                    .parts
                    .store
                    .past_succeeded(id, Timestamp::from_millis(i64::MAX))
                    .await?;
            let standing = Standing {
                handled_until,
                now,
                live: &live,
                past_succeeded,
            };
            let handled = match rules.step(&standing) {
                // What is due and has no room waits for the end of a run.
                None => return Ok(rules.next_after(handled_until).filter(|next| *next > now)),
                Some(Step::Rewind { to }) => {
                    tracing::warn!(
                        schedule = id,
                        "the clock stood at {handled_until} once; the schedule goes on from {to}"
                    );
                    self.parts.store.mark_schedule(id, to).await?;
                    to
                }
                Some(Step::Skip {
                    first,
                    last,
                    count,
                    reason,
                }) => {
                    tracing::info!(schedule = id, count, "{first} to {last} left out: {reason}");
                    let skipped = SkippedTicks {
                        schedule: id.to_owned(),
                        first,
                        last,
                        count,
                        reason: reason.to_string(),
                        at: now,
                    };
                    self.parts.store.skip_ticks(&skipped).await?;
                    last
                }
                Some(Step::Run {
                    tick,
                    hold,
                    cancels_others,
                }) => {
                    let others = runs.iter().filter(|_| cancels_others);
                    let replaces = others.map(|run| run.run_id.clone()).collect();
                    match self.make(id, tick, hold, replaces).await? {
                        Ok(Some(run)) => runs.push(run),
                        Ok(None) => {
                            let store = &self.parts.store;
                            store.mark_schedule(id, tick.scheduled_for).await?;
                        }
                        Err(fault) => {
                            let again = now + AGAIN;
                            self.note_fault(id, tick, fault, again).await?;
                            return Ok(Some(again));
                        }
                    }
                    tick.scheduled_for
                }
            };
            if let Some(marked) = self.planned.get_mut(id) {
                marked.handled_until = handled;
                marked.fault = None;
            }
        }
    }

    /// Makes the run of a tick: `None` where there is one, in words why there can be none. Those
    /// that it replaces are cancelled in the same turn.
    async fn make(
        &self,
        id: &str,
        tick: Tick,
        hold: Option<Hold>,
        replaces: Vec<String>,
    ) -> Result<Result<Option<UnfinishedTick>, String>, Error> {
        let planned = &self.planned[id].planned;
        let wanted = WantedRun {
            pipeline: &planned.pipeline,
            schedule: Some(&planned.name),
            tick,
            request: None,
        };
        let mut request = match self.parts.schedules.request(wanted).await {
            Ok(request) => request,
            Err(fault) => return Ok(Err(fault)),
        };
        request.schedule = Some(id.to_owned());
        request.scheduled_for = tick.scheduled_for;
        request.hold = hold.map(|hold| hold.to_string());
        request.trigger = Trigger::Scheduled {
            deadline_at: planned.deadline.map(|length| tick.scheduled_for + length),
            replaces,
        };
        Ok(match self.parts.engine.submit(request).await {
            Ok(submitted) => Ok(Some(UnfinishedTick {
                run_id: submitted.run_id,
                schedule: id.to_owned(),
                pipeline: planned.pipeline.clone(),
                scheduled_for: tick.scheduled_for,
                hold: hold.map(|hold| hold.to_string()),
                cancel_requested: false,
            })),
            Err(Error::TickTaken { .. }) => Ok(None),
            Err(error @ (Error::Stopped(_) | Error::Store(_))) => return Err(error),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Says once why a tick cannot become a run; it is tried again.
    async fn note_fault(
        &mut self,
        id: &str,
        tick: Tick,
        fault: String,
        again: Timestamp,
    ) -> Result<(), Error> {
        let Some(marked) = self.planned.get_mut(id) else {
            return Ok(());
        };
        let told = marked.fault.as_ref().is_some_and(|(old, _)| *old == fault);
        if !told {
            tracing::error!(schedule = id, "no run for {}: {fault}", tick.scheduled_for);
            self.parts
                .store
                .set_schedule_fault(id, Some(&fault))
                .await?;
        }
        marked.fault = Some((fault, again));
        Ok(())
    }

    /// Starts the runs whose turn has come: of each schedule the oldest ones that wait, as many as
    /// there is room for.
    async fn release(
        &self,
        unfinished: &mut Unfinished,
        paused: &BTreeSet<String>,
    ) -> Result<(), Error> {
        for (id, runs) in unfinished {
            while self.release_one(id, runs, paused).await? {}
        }
        Ok(())
    }

    /// Starts the oldest run that waits, where its turn has come; whether it did.
    async fn release_one(
        &self,
        id: &str,
        runs: &mut [UnfinishedTick],
        paused: &BTreeSet<String>,
    ) -> Result<bool, Error> {
        let live: Vec<LiveRun> = runs.iter().map(live).collect();
        let Some(oldest) = runs.iter_mut().find(|run| run.hold.is_some()) else {
            return Ok(false);
        };
        if paused.contains(&oldest.pipeline) {
            return Ok(false);
        }
        // One that is gone from its file holds nothing back for ever.
        let rules = self.planned.get(id).map(|marked| &marked.planned.rules);
        let may_start = match rules {
            Some(rules) => {
                let past = self.past(rules, id, oldest.scheduled_for).await?;
                rules.may_start(&live, past)
            }
            None => live.iter().all(|run| run.held),
        };
        if !may_start {
            return Ok(false);
        }
        match self.parts.engine.promote(&oldest.run_id).await {
            // Somebody was quicker.
            Ok(_) | Err(Error::NotHeld(_)) => {
                oldest.hold = None;
                Ok(true)
            }
            Err(error @ (Error::Stopped(_) | Error::Store(_))) => Err(error),
            Err(error) => {
                tracing::error!(%error, run.id = oldest.run_id, "cannot start a run");
                Ok(false)
            }
        }
    }

    async fn past(&self, rules: &Schedule, id: &str, tick: Timestamp) -> Result<bool, Error> {
        if !rules.depends_on_past {
            return Ok(true);
        }
        Ok(self.parts.store.past_succeeded(id, tick).await?)
    }
}

fn live(run: &UnfinishedTick) -> LiveRun {
    LiveRun {
        scheduled_for: run.scheduled_for,
        held: run.hold.is_some(),
    }
}
