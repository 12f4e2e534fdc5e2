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
    corpus::Counted,
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
        // An attempt goes on counting where the one before it died.
        let mut counted = Counted::default();
        if !context.force {
            request.cursors = store.file_cursors(&dataset, &choice, context.as_of).await?;
            counted = store.counted(&context.run_id, &context.task_id).await?;
        }
        // One page ahead: the source reads the next one while this one is stored.
        let (sender, pages) = mpsc::channel::<Page>(1);
        let walk = source.scrape(request, sender);
        let keep_pages = async {
            // Ours, so that it closes where a page cannot be kept: the source then stops walking.
            let mut pages = pages;
            let before = counted.clone();
            while let Some(page) = pages.recv().await {
                checkpoint(&context)?;
                let rows = page.records.len() as u64;
                counted.kept += rows;
                for (reason, rows) in &page.dropped {
                    counted.drop_rows(reason, *rows);
                }
                let mut up_to_cursor = before.clone();
                up_to_cursor.add(&page.counted);
                store
                    .store_walked_page(
                        &dataset,
                        &page.records,
                        context.as_of,
                        page.bytes,
                        page.cursor.as_ref().map(|cursor| ReadTo {
                            choice: &choice,
                            cursor,
                            counted: &up_to_cursor,
                        }),
                        writer(&context),
                    )
                    .await?;
                context.progress.advance(rows);
            }
            Ok::<Counted, TaskError>(counted)
        };
        let (walked, kept) = futures::join!(walk, keep_pages);
        let Counted { kept, dropped } = kept?;
        let summary = match walked {
            Ok(summary) => summary,
            Err(error) => {
                // What was read before the fault is worth keeping.
                store.sync_content().await?;
                return Err(describe(error, kept));
            }
        };
        store
            .raise_watermarks(&dataset, &summary.watermarks)
            .await?;
        store.sync_content().await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        Ok(TaskOutcome {
            rows_in: kept + dropped.values().sum::<u64>(),
            rows_out: kept,
            rows_computed: progress.rows_computed,
            rows_reused: kept.saturating_sub(progress.rows_computed),
            bytes: progress.bytes,
            dropped,
            output: json!({
                "dataset": dataset,
                "source": settings.source,
                "observes": source.traits().observes,
            }),
            ..TaskOutcome::default()
        })
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
