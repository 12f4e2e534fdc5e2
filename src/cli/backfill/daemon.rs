//! A backfill that the daemon works off.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Progress, exit_code, tell};
use crate::{
    app::{BackfillInfo, BackfillRequest},
    cli::{
        failure::{Failure, INTERRUPTED},
        output::Output,
        remote::{Remote, segment},
    },
    server::BackfillWanted,
};

/// How often is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// The same where all runs have ended, and only its end is still to be noted.
const NEARLY: Duration = Duration::from_millis(20);

/// Asks for a backfill; none where no interval gets a run.
///
/// # Errors
///
/// The daemon's refusal, and where its answer cannot be read.
pub(super) async fn create(
    remote: &Remote,
    request: BackfillRequest,
) -> Result<Option<BackfillInfo>, Failure> {
    let runs = request.runs;
    let params = runs.params.into_iter();
    let wanted = BackfillWanted {
        pipeline: request.pipeline,
        schedule: request.schedule,
        from: request.from,
        to: request.to,
        reprocess: request.reprocess,
        concurrency: request.concurrency,
        source: runs.source,
        profile: runs.profile,
        params: params
            .map(|(name, value)| (name, Value::from(value)))
            .collect(),
        live: request.live,
        dry_run: false,
    };
    let answer: Value = remote.post("/backfills", &wanted).await?;
    // Without an id it is the empty list of intervals.
    if answer.get("id").is_none() {
        return Ok(None);
    }
    serde_json::from_value(answer).map(Some).map_err(|error| {
        Failure::failed(format!(
            "the daemon at {} tells of a backfill what this release does not know: {error}",
            remote.url()
        ))
    })
}

/// Pauses, resumes or cancels a backfill.
///
/// # Errors
///
/// The daemon's refusal.
pub(super) async fn moved(remote: &Remote, id: &str, verb: &str) -> Result<BackfillInfo, Failure> {
    let path = format!("/backfills/{}/{verb}", segment(id));
    remote.post(&path, &json!({})).await
}

/// Says how far a backfill is until it ends; the answer is an exit code.
///
/// # Errors
///
/// Where the daemon goes away before.
pub(super) async fn follow(remote: &Remote, id: &str, output: Output) -> Result<u8, Failure> {
    let path = format!("/backfills/{}", segment(id));
    let mut progress = Progress::default();
    loop {
        let info: BackfillInfo = remote.get(&path).await.map_err(|failure| {
            failure.hint("`trendmill up` goes on with it, `trendmill backfill list` shows it")
        })?;
        progress.say(&info, output)?;
        if info.state != "running" {
            tell(&info, output)?;
            return Ok(exit_code(&info));
        }
        let all = info.succeeded + info.failed == info.intervals;
        tokio::select! {
            () = tokio::time::sleep(if all { NEARLY } else { LOOK }) => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                output.say(format!(
                    "backfill {id} goes on in the daemon; `trendmill backfill cancel {id}` ends it"
                ))?;
                return Ok(INTERRUPTED);
            }
        }
    }
}
