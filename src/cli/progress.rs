//! What a person sees while a run goes on: bars on a terminal, lines elsewhere.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::engine::{EngineEvent, Progress};

/// How often bars move.
const TICK: Duration = Duration::from_millis(200);

/// Shows the events of one run until it ends or the engine is gone.
pub(crate) async fn show(mut events: broadcast::Receiver<EngineEvent>, lively: bool) {
    let mut board = Board::new(lively);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(EngineEvent::RunEnded { .. }) | Err(RecvError::Closed) => break,
                Ok(event) => board.take(event),
                // Bars that missed an event are only late.
                Err(RecvError::Lagged(_)) => {}
            },
            _ = tick.tick() => board.move_bars(),
        }
    }
    board.clear();
}

struct Board {
    lively: bool,
    bars: MultiProgress,
    running: HashMap<String, (ProgressBar, Progress)>,
}

impl Board {
    fn new(lively: bool) -> Self {
        Self {
            lively,
            bars: MultiProgress::new(),
            running: HashMap::new(),
        }
    }

    fn take(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::RunQueued { run_id, cause } => {
                tracing::info!(run.id = run_id, "run queued: {cause}");
            }
            EngineEvent::TasksCleared { run_id, task_ids } => {
                tracing::info!(run.id = run_id, "{} cleared", task_ids.join(", "));
            }
            EngineEvent::RunStarted { run_id, resumed } => {
                let verb = if resumed { "resumed" } else { "started" };
                tracing::info!(run.id = run_id, "run {verb}");
            }
            EngineEvent::AttemptStarted {
                task_id,
                attempt,
                progress,
                ..
            } => {
                tracing::info!(task.id = task_id, attempt, "{task_id} started");
                if self.lively {
                    let bar = self.bars.add(ProgressBar::new_spinner());
                    bar.set_message(task_id.clone());
                    self.running.insert(task_id, (bar, progress));
                }
            }
            EngineEvent::AttemptFailed {
                task_id,
                attempt,
                message,
                until,
                ..
            } => {
                self.remove(&task_id);
                tracing::warn!(
                    task.id = task_id,
                    attempt,
                    "{message}; tried again at {until}"
                );
            }
            EngineEvent::AttemptDeferred {
                task_id,
                reason,
                until,
                ..
            } => {
                self.remove(&task_id);
                tracing::info!(task.id = task_id, "{task_id} waits until {until}: {reason}");
            }
            EngineEvent::TaskEnded {
                task_id,
                state,
                message,
                ..
            } => {
                self.remove(&task_id);
                let message = message
                    .map(|message| format!(": {message}"))
                    .unwrap_or_default();
                tracing::info!(
                    task.id = task_id,
                    task.state = state,
                    "{task_id} {state}{message}"
                );
            }
            EngineEvent::AttemptEnded { .. } | EngineEvent::RunEnded { .. } => {}
        }
    }

    fn move_bars(&self) {
        for (bar, progress) in self.running.values() {
            let (done, total) = progress.get();
            if total > 0 && bar.length() != Some(total) {
                bar.set_length(total);
                if let Ok(style) = ProgressStyle::with_template(
                    "{msg:<16} {bar:24} {pos}/{len} {per_sec} {eta} left",
                ) {
                    bar.set_style(style);
                }
            }
            bar.set_position(done);
            bar.tick();
        }
    }

    fn remove(&mut self, task_id: &str) {
        if let Some((bar, _)) = self.running.remove(task_id) {
            bar.finish_and_clear();
        }
    }

    fn clear(mut self) {
        for (_, (bar, _)) in self.running.drain() {
            bar.finish_and_clear();
        }
    }
}
