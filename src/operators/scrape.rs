//! `scrape`: the outside world → records and first readings.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{
    Environment,
    report::{checkpoint, writer},
    settings,
};
use crate::{
    clock::Timestamp,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{Error, Page, ScrapeRequest},
    store::ReadTo,
};

/// `scrape`: reads what the source has and stores it page by page.
#[derive(Clone, Debug)]
pub struct Scrape(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The source, as people write it.
    source: String,
    /// Only these communities, where the source can be limited.
    #[serde(default)]
    communities: Option<Vec<String>>,
    /// Only what was published since this moment, where the source is a file.
    #[serde(default)]
    since: Option<Timestamp>,
}

impl Operator for Scrape {
    fn name(&self) -> &'static str {
        "scrape"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.scrape(context))
    }
}

impl Scrape {
    async fn scrape(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let opened = self.0.source(&settings.source).await?;
        let source = Arc::clone(&opened.source);
        let dataset = source.dataset().to_owned();
        let mut request = ScrapeRequest {
            as_of: context.as_of,
            communities: settings.communities,
            since: settings.since,
            watermarks: if context.force {
                BTreeMap::new()
            } else {
                // A walk for an earlier moment must meet again what a later one has met already:
                // only then is it known to have been there at that moment.
                let mut known = store.watermarks(&dataset).await?;
                known.retain(|_, newest| *newest <= context.as_of);
                known
            },
            cursors: Vec::new(),
        };
        let choice = request.choice();
        // An attempt that goes on where another died begins at the beginnings of the files, so that
        // it counts what the whole task has read; nothing is stored twice.
        let before = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        if !context.force && before.bytes == 0 && before.rows_computed == 0 {
            request.cursors = store.file_cursors(&dataset, &choice, context.as_of).await?;
        }
        // One page ahead: the source reads the next one while this one is stored.
        let (sender, pages) = mpsc::channel::<Page>(1);
        let walk = source.scrape(request, sender);
        let mut outcome = TaskOutcome::default();
        let keep_pages = async {
            // Ours, so that it closes where a page cannot be kept: the source then stops walking.
            let mut pages = pages;
            while let Some(page) = pages.recv().await {
                checkpoint(&context)?;
                let rows = page.records.len() as u64;
                let changes = store
                    .store_walked_page(
                        &dataset,
                        &page.records,
                        context.as_of,
                        page.bytes,
                        page.cursor.as_ref().map(|cursor| ReadTo {
                            choice: &choice,
                            cursor,
                        }),
                        writer(&context),
                    )
                    .await?;
                outcome.rows_in += rows + page.dropped.values().sum::<u64>();
                outcome.rows_out += rows - changes.purged;
                if changes.purged > 0 {
                    *outcome.dropped.entry("purged".to_owned()).or_default() += changes.purged;
                }
                for (reason, rows) in page.dropped {
                    *outcome.dropped.entry(reason).or_default() += rows;
                }
                context.progress.advance(rows);
            }
            Ok::<(), TaskError>(())
        };
        let (walked, kept) = futures::join!(walk, keep_pages);
        kept?;
        let summary = match walked {
            Ok(summary) => summary,
            Err(error) => {
                // What was read before the fault is worth keeping.
                store.sync_content().await?;
                return Err(describe(error, outcome.rows_out));
            }
        };
        store
            .raise_watermarks(&dataset, &summary.watermarks)
            .await?;
        store.sync_content().await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        outcome.rows_computed = progress.rows_computed;
        outcome.rows_reused = outcome.rows_out.saturating_sub(progress.rows_computed);
        outcome.bytes = progress.bytes;
        outcome.output = json!({
            "dataset": dataset,
            "source": settings.source,
            "observes": source.traits().observes,
        });
        Ok(outcome)
    }
}

/// A broken source tells how much of it was kept.
fn describe(error: Error, kept: u64) -> TaskError {
    match error {
        Error::Broken { message, source } => TaskError::fail(Error::Broken {
            message: format!("{message} ({kept} records read before it are stored)"),
            source,
        }),
        other => other.into(),
    }
}
