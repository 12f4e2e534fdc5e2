//! `stored`: goes on with the records that are in the store already.

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::settings;
use crate::engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome};

/// `stored`: stands where `scrape` would, and asks no source: the tasks downstream see the records
/// of a data set as far as they were stored before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The data set.
    dataset: String,
    /// The source that it is of, as people write it.
    source: String,
}

impl Operator for Stored {
    fn name(&self) -> &'static str {
        "stored"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(async move {
            let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
            Ok(TaskOutcome {
                output: json!({ "dataset": settings.dataset, "source": settings.source }),
                ..TaskOutcome::default()
            })
        })
    }
}
