//! `scrape`: the outside world → records and first readings.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{
    Environment, Others, cadence,
    report::{checkpoint, writer},
    settings,
};
use crate::{
    clock::Timestamp,
    corpus::Counted,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{Error, Page, ScrapeRequest, ScrapeSummary},
    store::{ReadTo, WalkedPage},
};

/// `scrape`: reads what the source has and stores it page by page.
#[derive(Clone, Debug)]
pub struct Scrape(pub Arc<Environment>);

#[derive(Clone, Deserialize)]
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
    /// How long a community of a live source may wait of which little is expected: `30m`. Without
    /// it each community is asked each time.
    #[serde(default)]
    patience: Option<String>,
}

impl Settings {
    fn patience(&self) -> Result<Option<Duration>, SettingsError> {
        let patience = self.patience.as_deref();
        patience
            .map(|text| settings::length("patience", text))
            .transpose()
    }
}

impl Operator for Scrape {
    fn name(&self) -> &'static str {
        "scrape"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings)?.patience().map(drop)
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
        let (mut request, is_nobodys_turn) = self.request(&context, settings.clone()).await?;
        let choice = request.choice();
        // An attempt goes on counting where the one before it died.
        let mut counted = Counted::default();
        if !context.force {
            request.cursors = store.file_cursors(&dataset, &choice, context.as_of).await?;
            counted = store.counted(&context.run_id, &context.task_id).await?;
        }
        // One page ahead: the source reads the next one while this one is stored.
        let (sender, pages) = mpsc::channel::<Page>(1);
        let walk = async {
            if is_nobodys_turn {
                drop(sender);
                return Ok(ScrapeSummary::default());
            }
            source.scrape(request, sender).await
        };
        let keep_pages = async {
            // Ours, so that it closes where a page cannot be kept: the source then stops walking.
            let mut pages = pages;
            let before = counted.clone();
            let (mut purged, mut deleted) = (0, 0);
            while let Some(page) = pages.recv().await {
                checkpoint(&context)?;
                let rows = page.records.len() as u64;
                deleted += self.note_deleted(&context, &dataset, &page).await?;
                let mut up_to_cursor = before.clone();
                up_to_cursor.add(&page.counted);
                up_to_cursor.refuse(purged);
                let changes = store
                    .store_walked_page(
                        &dataset,
                        WalkedPage {
                            records: &page.records,
                            raw: &page.raw,
                            bytes: page.bytes,
                            read_to: page.cursor.as_ref().map(|cursor| ReadTo {
                                choice: &choice,
                                cursor,
                                counted: &up_to_cursor,
                            }),
                        },
                        context.as_of,
                        writer(&context),
                    )
                    .await?;
                purged += changes.purged;
                counted.kept += rows;
                counted.refuse(changes.purged);
                for (reason, rows) in &page.dropped {
                    counted.drop_rows(reason, *rows);
                }
                context.progress.advance(rows);
            }
            Ok::<(Counted, u64), TaskError>((counted, deleted))
        };
        let (walked, kept) = futures::join!(walk, keep_pages);
        let (Counted { kept, dropped }, deleted) = kept?;
        self.purge_deleted(&context, deleted).await?;
        let summary = match walked {
            Ok(summary) => summary,
            Err(error) => {
                // What was read before the fault is worth keeping.
                store.sync_content().await?;
                return Err(describe(error, kept));
            }
        };
        store
            .store_walks(
                &dataset,
                &summary.watermarks,
                &summary.walked,
                &summary.gaps,
                context.as_of,
                writer(&context),
            )
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
            message: in_words(&summary, is_nobodys_turn),
            output: json!({
                "dataset": dataset,
                "source": settings.source,
                "observes": source.traits().observes,
            }),
            ..TaskOutcome::default()
        })
    }

    /// Notes what a page shows that its authors have deleted; how much that was not gone before.
    async fn note_deleted(
        &self,
        context: &TaskContext,
        dataset: &str,
        page: &Page,
    ) -> Result<u64, TaskError> {
        let now = context.clock.now();
        self.0.note_deleted(dataset, &page.deleted, now).await
    }

    async fn purge_deleted(&self, context: &TaskContext, deleted: u64) -> Result<(), TaskError> {
        if deleted > 0 {
            let others = Others::Runs(&context.run_id);
            let purging = self.0.carry_out_purges(others, context.clock.now());
            Box::pin(purging).await?;
        }
        Ok(())
    }

    /// What is asked of the source; and whether that is nothing, for it is no community's turn.
    async fn request(
        &self,
        context: &TaskContext,
        settings: Settings,
    ) -> Result<(ScrapeRequest, bool), TaskError> {
        let store = &self.0.store;
        let patience = settings.patience().map_err(TaskError::fail)?;
        let opened = self.0.source(&settings.source).await?;
        let (dataset, is_live) = (opened.source.dataset(), opened.source.traits().live);
        let mut request = ScrapeRequest {
            communities: settings.communities,
            since: settings.since,
            raw: self.0.keeps_raw.of(opened.source.traits()),
            images: opened.images,
            watermarks: if context.force {
                BTreeMap::new()
            } else {
                // A walk for an earlier moment must meet again what a later one has met already:
                // only then is it known to have been there at that moment.
                let mut known = store.watermarks(dataset).await?;
                known.retain(|_, newest| *newest <= context.as_of);
                known
            },
            ..ScrapeRequest::everything(context.as_of)
        };
        let is_one_named = request.communities.as_ref().is_none_or(|c| !c.is_empty());
        if let Some(patience) = patience.filter(|_| is_live && !context.force) {
            cadence::plan(store, dataset, &mut request, patience).await?;
        }
        let is_nobodys_turn =
            is_one_named && request.communities.as_ref().is_some_and(Vec::is_empty);
        Ok((request, is_nobodys_turn))
    }
}

/// What a person should know of a walk.
fn in_words(summary: &ScrapeSummary, is_nobodys_turn: bool) -> Option<String> {
    if is_nobodys_turn {
        return Some("no community's turn has come: little is expected of each".to_owned());
    }
    let gaps: Vec<String> = summary
        .gaps
        .iter()
        .map(|gap| format!("of {} between {} and {}", gap.community, gap.from, gap.to))
        .collect();
    (!gaps.is_empty()).then(|| {
        format!(
            "records may have been missed, for the source shows only so many: {}; read more often",
            gaps.join(", ")
        )
    })
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
