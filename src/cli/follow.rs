//! A run that the daemon is at work on, shown as if this process were.

use std::path::Path;

use serde::Deserialize;
use tokio::sync::broadcast;

use super::{
    failure::{Failure, INTERRUPTED, OK},
    output::Output,
    progress,
    remote::{Events, Remote},
    report,
};
use crate::{
    app::App,
    clock::Timestamp,
    config::Settings,
    dag::{RunState, TaskState},
    engine::{EngineEvent, Progress, RunSummary},
    server::RunAnswer,
};

/// What the daemon tells of a change of state.
#[derive(Debug, Deserialize)]
struct Told {
    run_id: String,
    task_id: Option<String>,
    attempts: Option<u32>,
    from: String,
    to: String,
    message: Option<String>,
    delayed_until: Option<Timestamp>,
}

/// Shows a run that the daemon has taken on, and tells how it ended as `run` does; or names it only,
/// where that is all that is wanted.
///
/// # Errors
///
/// Where the daemon goes away before the run ends.
pub(crate) async fn to_its_end(
    remote: &Remote,
    answer: RunAnswer,
    detach: bool,
    home: &Path,
    settings: Settings,
    output: Output,
) -> Result<u8, Failure> {
    let run_id = &answer.run_id;
    if detach {
        if output.json {
            output.json(&answer)?;
        } else {
            output.data(run_id)?;
        }
        return Ok(OK);
    }
    if answer.resumed {
        output.say(format!("going on with run {run_id}, which is the same"))?;
    }
    if let Some(code) = follow(remote, run_id, answer.event, output).await? {
        return Ok(code);
    }
    let app = App::read(home, settings).await?;
    let summary = RunSummary::load(app.store(), run_id).await?;
    report::print(&app, summary, output).await
}

/// Shows a run until it ends. The answer is an exit code where the person has seen enough.
///
/// # Errors
///
/// Where the daemon goes away before the run ends.
async fn follow(
    remote: &Remote,
    run_id: &str,
    after: i64,
    output: Output,
) -> Result<Option<u8>, Failure> {
    let (sender, events) = broadcast::channel(4096);
    let shown = tokio::spawn(progress::show(events, output.lively));
    let ended = tokio::select! {
        ended = tell(remote, run_id, after, &sender) => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            output.say(format!(
                "run {run_id} goes on in the daemon; `trendmill runs cancel {run_id}` ends it"
            ))?;
            return Ok(Some(INTERRUPTED));
        }
    };
    drop(sender);
    // What is shown is not worth failing for.
    let _shown = shown.await;
    if ended {
        return Ok(None);
    }
    Err(Failure::failed(format!(
        "the daemon at {} ended before run `{run_id}` did",
        remote.url()
    ))
    .hint("`trendmill up` goes on with it"))
}

/// Passes on what the daemon tells; whether the run has ended.
async fn tell(
    remote: &Remote,
    run_id: &str,
    after: i64,
    sender: &broadcast::Sender<EngineEvent>,
) -> Result<bool, Failure> {
    let mut response = remote
        .stream(&format!("/runs/{run_id}/events?after={after}"))
        .await?;
    let mut events = Events::default();
    let mut ended = false;
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| remote.lost(&error))?
    {
        for sent in events.take(&piece) {
            let Ok(told) = serde_json::from_value::<Told>(sent.data) else {
                continue;
            };
            if told.task_id.is_none() {
                ended = RunState::from_name(&told.to).is_some_and(RunState::is_final);
            }
            if let Some(event) = told.event() {
                // Nobody looks any more once the run has ended.
                let _ = sender.send(event);
            }
        }
    }
    Ok(ended)
}

impl Told {
    /// The same as the engine of this process would tell it.
    fn event(self) -> Option<EngineEvent> {
        let run_id = self.run_id;
        let Some(task_id) = self.task_id else {
            return match RunState::from_name(&self.to)? {
                RunState::Queued => None,
                RunState::Running => Some(EngineEvent::RunStarted {
                    run_id,
                    resumed: self.from != RunState::Queued.name(),
                }),
                state => Some(EngineEvent::RunEnded { run_id, state }),
            };
        };
        let attempt = self.attempts.unwrap_or_default();
        match (self.to.as_str(), self.delayed_until) {
            ("running", _) => Some(EngineEvent::AttemptStarted {
                run_id,
                task_id,
                attempt,
                progress: Progress::default(),
            }),
            ("delayed", until) => Some(EngineEvent::AttemptFailed {
                run_id,
                task_id,
                attempt,
                message: self.message.unwrap_or_default(),
                until: until?,
            }),
            (to, _) => {
                let state = TaskState::from_parts(to, None, self.message.as_deref())?;
                state.is_final().then(|| EngineEvent::TaskEnded {
                    run_id,
                    task_id,
                    state: state.name(),
                    message: self.message,
                })
            }
        }
    }
}
