//! `scrape`: the outside world → records and first readings.

mod words;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use self::words::{Unread, in_words};
use super::{
    Environment, Others, cadence,
    report::{checkpoint, writer},
    settings,
};
use crate::{
    clock::Timestamp,
    corpus::Counted,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{Error, Page, ScrapeRequest, ScrapeSummary, community_name},
    store::{ReadTo, Refusal, WalkedPage},
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
        let Asked {
            mut request,
            is_nobodys_turn,
            left_alone,
        } = self.request(&context, settings.clone()).await?;
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
        self.note(&context, &dataset, &summary).await?;
        let unread = Unread {
            refused: &summary.refused,
            left_alone: &left_alone,
        };
        if summary.walked.is_empty() && !summary.refused.is_empty() {
            return Err(unread.of_all());
        }
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
            message: in_words(&summary, is_nobodys_turn, unread),
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

    /// Keeps what a walk has learned beside the records.
    async fn note(
        &self,
        context: &TaskContext,
        dataset: &str,
        summary: &ScrapeSummary,
    ) -> Result<(), TaskError> {
        let (store, as_of) = (&self.0.store, context.as_of);
        store
            .store_walks(
                dataset,
                &summary.watermarks,
                &summary.walked,
                &summary.gaps,
                as_of,
                writer(context),
            )
            .await?;
        store
            .keep_refusals(dataset, &summary.refused, &summary.walked, as_of)
            .await?;
        Ok(store.sync_content().await?)
    }

    /// What is asked of the source.
    async fn request(&self, context: &TaskContext, settings: Settings) -> Result<Asked, TaskError> {
        let store = &self.0.store;
        let patience = settings.patience().map_err(TaskError::fail)?;
        let opened = self.0.source(&settings.source).await?;
        let (dataset, is_live) = (opened.source.dataset(), opened.source.traits().live);
        if opened.source.traits().by_permission {
            store.note_by_permission(dataset, context.as_of).await?;
        }
        let mut request = ScrapeRequest {
            communities: settings.communities.map(|names| {
                let names = names.iter().map(|name| community_name(name).to_owned());
                names.collect()
            }),
            since: settings.since,
            now: Some(context.clock.now()),
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
        let mut left_alone = Vec::new();
        if is_live && !context.force {
            let refusals = store.refusals(dataset).await?;
            for name in request.communities.iter().flatten() {
                let refusal = refusals.get(&name.to_ascii_lowercase());
                if let Some(refusal) = refusal.filter(|refusal| context.as_of < refusal.again_at) {
                    left_alone.push((name.clone(), refusal.clone()));
                }
            }
            let is_asked = |name: &String| left_alone.iter().all(|(other, _)| other != name);
            if let Some(communities) = &mut request.communities {
                communities.retain(is_asked);
                if communities.is_empty() && is_one_named {
                    let unread = Unread {
                        refused: &[],
                        left_alone: &left_alone,
                    };
                    return Err(unread.of_all());
                }
            }
        }
        if let Some(patience) = patience.filter(|_| is_live && !context.force) {
            cadence::plan(store, dataset, &mut request, patience).await?;
        }
        let is_nobodys_turn =
            is_one_named && request.communities.as_ref().is_some_and(Vec::is_empty);
        Ok(Asked {
            request,
            is_nobodys_turn,
            left_alone,
        })
    }
}

/// What is asked of a source.
struct Asked {
    request: ScrapeRequest,
    /// Whether that is nothing, for it is no community's turn.
    is_nobodys_turn: bool,
    /// Communities that were refused lately.
    left_alone: Vec<(String, Refusal)>,
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
