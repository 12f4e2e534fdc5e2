//! `refresh`: the numbers again at the label's horizon.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    report::{checkpoint, upstream, upstream_text, writer},
    settings,
};
use crate::{
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::Due,
    store::Horizon,
};

/// How many readings are asked for and committed together.
const BATCH: usize = 1000;

/// `refresh`: reads the score again of every record whose label is due.
#[derive(Clone, Debug)]
pub struct Refresh(pub Arc<Environment>);

/// At which age a reading is a label.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HorizonSettings {
    /// The age at which the label is read: `36h`.
    horizon: String,
    /// How much later it may be read: `1h`.
    tolerance: String,
}

impl HorizonSettings {
    pub(super) fn horizon(&self) -> Result<Horizon, SettingsError> {
        Ok(Horizon {
            age: settings::length("horizon", &self.horizon)?,
            tolerance: settings::length("tolerance", &self.tolerance)?,
        })
    }
}

impl Operator for Refresh {
    fn name(&self) -> &'static str {
        "refresh"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<HorizonSettings>(settings)?
            .horizon()
            .map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.refresh(context))
    }
}

impl Refresh {
    async fn refresh(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let horizon = settings::parse::<HorizonSettings>(&context.settings)
            .and_then(|settings| settings.horizon())
            .map_err(TaskError::fail)?;
        let dataset = upstream_text(&context, "dataset", "scrape")?;
        let output =
            json!({ "horizon": horizon.age.as_secs(), "tolerance": horizon.tolerance.as_secs() });
        if upstream(&context, "observes") != Some(&Value::Bool(true)) {
            return Ok(TaskOutcome {
                message: Some("the source gives each score once".to_owned()),
                output,
                ..TaskOutcome::default()
            });
        }
        let source = upstream_text(&context, "source", "scrape")?;
        let opened = self.0.source(&source).await?;
        let due: Vec<Due> = store
            .due_observations(&dataset, context.as_of, horizon)
            .await?
            .into_iter()
            .map(|(id, at)| Due { id, at })
            .collect();
        context.progress.expect(due.len() as u64);
        for batch in due.chunks(BATCH) {
            checkpoint(&context)?;
            let observations = opened.source.observe(batch, context.as_of).await?;
            store
                .store_observations(&dataset, &observations, writer(&context))
                .await?;
            context.progress.advance(batch.len() as u64);
        }
        store.sync_content().await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        let labels = store.label_count(&dataset, context.as_of, horizon).await?;
        Ok(TaskOutcome {
            rows_in: labels.max(due.len() as u64),
            rows_out: labels,
            rows_computed: progress.rows_computed,
            rows_reused: labels.saturating_sub(progress.rows_computed),
            output,
            ..TaskOutcome::default()
        })
    }
}
