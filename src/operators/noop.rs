//! Does nothing; for joining branches and for measuring the engine.

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use crate::engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome};

/// Does nothing and succeeds. Takes no settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

impl Operator for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        match settings.keys().next() {
            None => Ok(()),
            Some(key) => Err(SettingsError {
                key: Some(key.clone()),
                message: format!("`noop` has no setting `{key}`"),
                hint: Some("remove it; `noop` takes no settings".to_owned()),
            }),
        }
    }

    fn run(&self, _context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(async { Ok(TaskOutcome::default()) })
    }
}
