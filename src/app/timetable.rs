//! Schedules and backfills as the API sees them.

use serde_json::{Map, Value};

use super::{App, BackfillRequest, BackfillRuns, Error};
use crate::{
    pipelines,
    server::{BackfillWanted, Fault},
};

/// The next ticks of a pipeline, as `pipelines next --json` prints them.
pub(super) fn next(app: &App, pipeline: &str, count: usize) -> Result<Value, Fault> {
    let definition = pipelines::find(app.home(), pipeline)?;
    Ok(pipelines::coming(&definition, app.clock().now(), count)?)
}

/// Parameters as they are given on the command line.
pub(super) fn as_given(params: Map<String, Value>) -> Vec<(String, String)> {
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    params
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

/// The API's words in those of the application.
pub(super) fn wanted(wanted: BackfillWanted) -> BackfillRequest {
    BackfillRequest {
        pipeline: wanted.pipeline,
        schedule: wanted.schedule,
        from: wanted.from,
        to: wanted.to,
        reprocess: wanted.reprocess,
        concurrency: wanted.concurrency,
        runs: BackfillRuns {
            source: wanted.source,
            profile: wanted.profile,
            params: as_given(wanted.params),
        },
        live: wanted.live,
    }
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
