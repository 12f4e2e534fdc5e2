//! `people`: what is known of authors and communities, as it is now.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Environment,
    report::{checkpoint, upstream_text},
    settings,
};
use crate::{
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{BATCH, People},
};

/// `people`: reads what the source knows of the authors of new records, and of communities, and
/// keeps it with the time of its reading.
///
/// What an author was worth before a post is known only to who has asked before the post grew. A
/// source is asked for whole batches; what is left waits for more, but not longer than `wait`.
#[derive(Clone, Debug)]
pub struct ReadPeople(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The field of a record that holds the source's id of its author; who lacks it is asked for by
    /// the author's name.
    author: String,
    /// The communities that are read.
    #[serde(default)]
    communities: Vec<String>,
    /// How long a reading stands: `24h`.
    every: String,
    /// How long after a record its author waits at most for others to be read with: `6h`.
    wait: String,
}

impl Settings {
    fn every(&self) -> Result<Duration, SettingsError> {
        settings::length("every", &self.every)
    }

    fn wait(&self) -> Result<Duration, SettingsError> {
        settings::length("wait", &self.wait)
    }
}

impl Operator for ReadPeople {
    fn name(&self) -> &'static str {
        "people"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        settings.every()?;
        settings.wait().map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.read(context))
    }
}

impl ReadPeople {
    async fn read(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let every = settings.every().map_err(TaskError::fail)?;
        let wait = settings.wait().map_err(TaskError::fail)?;
        let dataset = upstream_text(&context, "dataset", "scrape")?;
        let source = upstream_text(&context, "source", "scrape")?;
        let opened = self.0.source(&source).await?;
        if !opened.source.traits().observes {
            return Ok(TaskOutcome {
                message: Some("the source tells nothing of authors and communities".to_owned()),
                ..TaskOutcome::default()
            });
        }
        let as_of = context.as_of;
        let waiting = store
            .authors_to_read(&dataset, &settings.author, as_of, every)
            .await?;
        let communities = store
            .communities_to_read(&dataset, &settings.communities, as_of, every)
            .await?;
        let mut outcome = TaskOutcome {
            rows_in: (waiting.len() + communities.len()) as u64,
            ..TaskOutcome::default()
        };
        context.progress.expect(outcome.rows_in);
        if !communities.is_empty() {
            let found = opened.source.people(&[], &communities, as_of).await?;
            outcome.rows_out += found.communities.len() as u64;
            store.put_people(&dataset, &[], &found.communities).await?;
            context.progress.advance(communities.len() as u64);
        }
        for batch in waiting.chunks(BATCH) {
            checkpoint(&context)?;
            let (_, published) = batch[0];
            if batch.len() < BATCH && as_of.since(published) < wait {
                outcome.message = Some(format!(
                    "{} authors wait for others to be read with",
                    batch.len()
                ));
                break;
            }
            let ids: Vec<String> = batch.iter().map(|(id, _)| id.clone()).collect();
            let People { authors, .. } = opened.source.people(&ids, &[], as_of).await?;
            outcome.rows_out += authors.len() as u64;
            store
                .put_asked_authors(&dataset, &ids, &authors, as_of)
                .await?;
            context.progress.advance(ids.len() as u64);
        }
        store.sync_content().await?;
        outcome.rows_computed = outcome.rows_out;
        Ok(outcome)
    }
}
