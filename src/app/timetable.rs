//! Schedules and backfills as the API sees them.

use serde_json::{Value, json};

use super::{App, BackfillInfo, BackfillRequest, BackfillRuns, Error, Reprocess};
use crate::{
    dag::RunState,
    pipelines,
    server::{BackfillWanted, Fault, Reprocessed},
    store::BackfillInterval,
};

/// The next ticks of a pipeline, as `pipelines next --json` prints them.
pub(super) fn next(app: &App, pipeline: &str, count: usize) -> Result<Value, Fault> {
    let definition = pipelines::find(app.home(), pipeline)?;
    let ticks = pipelines::next_ticks(&definition, app.clock().now(), count)?;
    Ok(ticks
        .iter()
        .map(|(schedule, tick)| {
            json!({
                "schedule": schedule,
                "scheduled_for": tick.scheduled_for,
                "interval_start": tick.interval_start,
                "interval_end": tick.interval_end,
            })
        })
        .collect())
}

/// The API's words in those of the application.
pub(super) fn wanted(wanted: BackfillWanted) -> BackfillRequest {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    BackfillRequest {
        pipeline: wanted.pipeline,
        schedule: wanted.schedule,
        from: wanted.from,
        to: wanted.to,
        reprocess: match wanted.reprocess {
            Reprocessed::None => Reprocess::None,
            Reprocessed::Failed => Reprocess::Failed,
            Reprocessed::All => Reprocess::All,
        },
        concurrency: wanted.concurrency,
        runs: BackfillRuns {
            source: wanted.source,
            profile: wanted.profile,
            params: wanted
                .params
                .into_iter()
                .map(|(name, value)| (name, text(value)))
                .collect(),
        },
        live: wanted.live,
    }
}

/// A backfill with its intervals, as `backfill show --json` prints it.
pub(super) fn shown(info: &BackfillInfo, intervals: &[BackfillInterval]) -> Value {
    let mut shown = json!(info);
    shown["runs"] = intervals
        .iter()
        .map(|interval| {
            json!({
                "scheduled_for": interval.scheduled_for,
                "interval_start": interval.interval_start,
                "interval_end": interval.interval_end,
                "run_id": interval.run_id,
                "state": interval.run_state.map(RunState::name),
                "fault": interval.fault,
            })
        })
        .collect();
    shown
}

/// A backfill that was named and is not there, or has ended.
pub(super) fn unknown(error: Error) -> Fault {
    match error {
        Error::Wrong { message, hint } => Fault::unknown("unknown_backfill", message).hint(hint),
        other => other.into(),
    }
}

/// A backfill that cannot change any more.
pub(super) fn ended(error: Error) -> Fault {
    match error {
        Error::Wrong { message, hint } => Fault::conflict("backfill_ended", message).hint(hint),
        other => other.into(),
    }
}
