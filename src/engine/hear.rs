//! What reaches the dispatcher, and what it makes of it.

use tokio::sync::oneshot;

use super::{
    EngineEvent, Error, RowCounts, RunRequest, Submitted, cancel,
    clear::{ClearReply, ClearSelection},
    dispatcher::{Dispatcher, Phase},
    executor::AttemptResult,
    recovery::{progress_of, ran_out_of_memory},
    request::position_of,
    step::{Act, Step},
};
use crate::{
    clock::Timestamp,
    dag::{Event, RunState},
    store::{CancelMark, CancelRequest},
    telemetry::chain,
};

pub(super) type SubmitReply = oneshot::Sender<Result<Submitted, Error>>;
pub(super) type WaitReply = oneshot::Sender<Result<RunState, Error>>;
pub(super) type DoneReply = oneshot::Sender<Result<(), Error>>;

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
    Promote {
        run_id: String,
        reply: SubmitReply,
    },
    Cancel {
        run_id: String,
    },
    CancelTask {
        run_id: String,
        task_id: String,
        reply: DoneReply,
    },
    /// Another process asked for it through the store.
    TaskCancelAsked {
        run_id: String,
        task: usize,
    },
    Clear {
        run_id: String,
        selection: ClearSelection,
        reply: ClearReply,
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

impl Message {
    /// What the store says that somebody asked for.
    pub(super) fn asked(request: CancelRequest) -> Self {
        let run_id = request.run_id;
        match request.task {
            None => Self::Cancel { run_id },
            Some(task) => Self::TaskCancelAsked { run_id, task },
        }
    }
}

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run_id: String,
    pub(super) task: usize,
    pub(super) attempt: u32,
    pub(super) result: AttemptResult,
}

impl Dispatcher {
    pub(super) async fn hear(&mut self, message: Message, step: &mut Step, now: Timestamp) {
        let stopped = || Error::Stopped("it was told to".to_owned());
        let draining = self.phase == Phase::Draining;
        match message {
            Message::Submit { reply, .. }
            | Message::Resume { reply, .. }
            | Message::Promote { reply, .. }
                if draining =>
            {
                let _ = reply.send(Err(stopped()));
            }
            Message::Clear { reply, .. } if draining => drop(reply.send(Err(stopped()))),
            Message::Submit { request, reply } => {
                let submitted = self.submit(*request, step, now).await;
                answer_submission(submitted, reply, step);
            }
            Message::Resume { run_id, reply } => {
                let submitted = self.resume(&run_id, step).await;
                answer_submission(submitted, reply, step);
            }
            Message::Promote { run_id, reply } => {
                let submitted = self.promote(&run_id, step).await;
                answer_submission(submitted, reply, step);
            }
            Message::Cancel { run_id } => self.cancel(run_id, step, now).await,
            Message::CancelTask {
                run_id,
                task_id,
                reply,
            } => match self.cancel_task(run_id, &task_id, step, now).await {
                Ok(()) => step.acts.push(Act::Done(reply)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Message::TaskCancelAsked { run_id, task } => step
                .events
                .entry(run_id)
                .or_default()
                .push(Event::TaskCancelRequested { task }),
            Message::Clear {
                run_id,
                selection,
                reply,
            } => match self.clear(&run_id, &selection, step).await {
                Ok(cleared) => step.acts.push(Act::Cleared(reply, cleared)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Message::Wait { run_id, reply } => self.wait(run_id, reply).await,
            Message::Ended(ended) => self.ended(*ended, step, now).await,
            Message::Tick => {}
            Message::Drain => self.hold(false, step),
            Message::Stop => self.hold(true, step),
        }
    }

    /// Whether a message is about a run that this turn has changed where it lies: the store has it
    /// still as it was, so the message waits for the next turn. A request may be about any.
    pub(super) fn comes_too_early(message: &Message, step: &Step) -> bool {
        if step.ended.is_empty() {
            return false;
        }
        let run_id = match message {
            Message::Submit { .. } => return true,
            Message::Resume { run_id, .. }
            | Message::Promote { run_id, .. }
            | Message::Cancel { run_id }
            | Message::CancelTask { run_id, .. }
            | Message::TaskCancelAsked { run_id, .. }
            | Message::Clear { run_id, .. }
            | Message::Wait { run_id, .. } => run_id,
            Message::Ended(_) | Message::Tick | Message::Drain | Message::Stop => return false,
        };
        step.ended.contains(run_id)
    }

    /// Writes which of the runs and tasks that were talked about are told to end: as the plan has
    /// it now, so that a wish for what has ended, or was cleared after it, is forgotten.
    pub(super) fn mark_cancels(&self, step: &mut Step) {
        for (run, position) in std::mem::take(&mut step.told) {
            let Some(live) = self.live.get(&run) else {
                continue;
            };
            let requested = match position.map(|task| &live.run.tasks()[task]) {
                None => live.run.is_cancelled(),
                Some(task) => task.cancel_requested && !task.state.is_final(),
            };
            step.draft.turn().cancels.push(CancelMark {
                run,
                fence: live.fence,
                position,
                requested,
            });
        }
    }

    /// Starts nothing any more, and stops what runs where that is wanted.
    fn hold(&mut self, stop: bool, step: &mut Step) {
        self.phase = Phase::Draining;
        for (run_id, live) in &self.live {
            step.events
                .entry(run_id.clone())
                .or_default()
                .push(Event::Held);
            if stop {
                let tokens = live.attempts.values().map(|attempt| &attempt.stop);
                step.acts.extend(tokens.cloned().map(Act::Stop));
            }
        }
    }

    async fn wait(&mut self, run_id: String, reply: WaitReply) {
        if let Some(live) = self.live.get_mut(&run_id) {
            live.waiting.push(reply);
            return;
        }
        let answer = match self.parts.store.run(&run_id).await {
            Ok(Some(row)) if row.state.is_final() => Ok(row.state),
            Ok(Some(row)) if row.hold.is_some() => {
                self.parked.entry(run_id).or_default().push(reply);
                return;
            }
            Ok(Some(_)) => Err(Error::Idle(run_id)),
            Ok(None) => Err(Error::UnknownRun(run_id)),
            Err(error) => Err(error.into()),
        };
        let _ = reply.send(answer);
    }

    /// Ends a run: a live one by the plan, one that waits in the store at once.
    pub(super) async fn cancel(&mut self, run_id: String, step: &mut Step, now: Timestamp) {
        if let Some(live) = self.live.get(&run_id) {
            if !live.run.is_cancelled() {
                step.told.insert((run_id.clone(), None));
            }
            step.events
                .entry(run_id)
                .or_default()
                .push(Event::CancelRequested);
            return;
        }
        if !step.ended.insert(run_id.clone()) {
            return;
        }
        match self.cancel_idle(&run_id, step, now).await {
            Ok(()) => drop(self.unreadable.remove(&run_id)),
            // A wish in the store is heard again; a run that was to be replaced goes on.
            Err(error) => {
                if self.unreadable.insert(run_id.clone()) {
                    tracing::error!(run.id = run_id, "cannot cancel: {}", chain(&error));
                }
            }
        }
    }

    async fn cancel_idle(
        &self,
        run_id: &str,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<(), Error> {
        let store = &self.parts.store;
        if let Some(row) = store.run(run_id).await?
            && !row.state.is_final()
        {
            let cause = "it was cancelled";
            let state = cancel::cancel(store, &row, cause, &mut step.draft, now).await?;
            let run_id = row.id;
            step.acts.push(Act::Close { run_id, state });
        }
        Ok(())
    }

    async fn cancel_task(
        &mut self,
        run_id: String,
        task_id: &str,
        step: &mut Step,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(live) = self.live.get(&run_id) {
            let task = position_of(live.run.graph(), task_id)?;
            step.told.insert((run_id.clone(), Some(task)));
            step.events
                .entry(run_id)
                .or_default()
                .push(Event::TaskCancelRequested { task });
            return Ok(());
        }
        let store = &self.parts.store;
        let row = cancel::stored(store, &run_id).await?;
        step.ended.insert(run_id.clone());
        let ended = cancel::cancel_task(store, &row, task_id, &mut step.draft, now).await?;
        step.acts
            .extend(ended.map(|state| Act::Close { run_id, state }));
        Ok(())
    }

    async fn ended(&mut self, ended: Ended, step: &mut Step, now: Timestamp) {
        let Ended {
            run_id,
            task,
            attempt,
            result,
        } = ended;
        let Some(live) = self.live.get_mut(&run_id) else {
            return;
        };
        let Some(running) = live.attempts.remove(&task) else {
            return;
        };
        let task_id = &live.run.graph().nodes()[task].id;
        // What cannot be read must not keep the end from being written.
        let unread = |error: Error| {
            tracing::error!(run.id = run_id, task.id = task_id, "{}", chain(&error));
        };
        let mut done = running.progress.get().0;
        let mut progressed = done > 0;
        if matches!(result, AttemptResult::Crashed { .. }) && !progressed {
            // A child counts in its own memory; what it has committed is in the store.
            let known = progress_of(&self.parts.store, &run_id, task_id, attempt).await;
            (progressed, done) = known.map_err(unread).unwrap_or_default();
        }
        let mut first = false;
        if matches!(result, AttemptResult::OutOfMemory { .. }) {
            let before = ran_out_of_memory(&self.parts.store, &run_id, task_id).await;
            first = !before.map_err(unread).unwrap_or_default();
        }
        let peak = running.progress.peak();
        let seconds = running.began.elapsed().as_secs_f64();
        step.draft
            .attempt_ended(running.id, &result, seconds, done, peak, now);
        let node = &live.run.graph().nodes()[task];
        if let Some(operator) = self.parts.catalogue.get(&node.op) {
            step.acts.push(Act::Publish(EngineEvent::AttemptEnded {
                run_id: run_id.clone(),
                task_id: node.id.clone(),
                op: operator.name(),
                outcome: result.state(),
                seconds,
                rows: match &result {
                    AttemptResult::Succeeded { outcome } => Some(RowCounts::of(outcome)),
                    _ => None,
                },
            }));
        }
        if let AttemptResult::Succeeded { outcome } = &result {
            live.keep(task, outcome);
        }
        step.events
            .entry(run_id.clone())
            .or_default()
            .push(Event::Ended {
                task,
                attempt,
                end: result.end(progressed, first),
            });
        step.results.insert((run_id, task), result);
    }
}

fn answer_submission(submitted: Result<Submitted, Error>, reply: SubmitReply, step: &mut Step) {
    match submitted {
        Ok(submitted) => step.acts.push(Act::Reply(reply, submitted)),
        Err(error) => drop(reply.send(Err(error))),
    }
}
