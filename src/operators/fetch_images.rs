//! `fetch_images`: bytes checked, hashed and stored once.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt, future::BoxFuture, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    environment::OpenedSource,
    report::{blocking, checkpoint, upstream_text, writer},
    selection::Selection,
    settings,
    shard::Part,
};
use crate::{
    corpus::{MediaInfo, MediaLocation, MediaOutcome, Record},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{Obtained, obtain},
    store::PlaceState,
};

/// How many images are stored and committed together.
const BATCH: usize = 64;

/// `fetch_images`: gets every image that was not seen yet and stores it under its hash.
#[derive(Clone, Debug)]
pub struct FetchImages(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The part of the records, where the task is mapped.
    #[serde(default)]
    shard: Option<Part>,
}

impl Operator for FetchImages {
    fn name(&self) -> &'static str {
        "fetch_images"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.fetch(context))
    }
}

impl FetchImages {
    async fn fetch(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let source = upstream_text(&context, "source", "scrape")?;
        let opened = self.0.source(&source).await?;
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let selection = Selection::read(store, &context).await?.part(settings.shard);
        let mut seen = HashSet::new();
        let wanted: Vec<&MediaLocation> = selection
            .records
            .iter()
            .flat_map(|record| &record.media)
            .filter(|location| seen.insert(place(location)))
            .collect();
        let places: Vec<String> = wanted.iter().map(|location| place(location)).collect();
        let known = store.media_places(&places).await?;
        let missing: Vec<MediaLocation> = wanted
            .iter()
            .filter(|location| match known.get(&place(location)) {
                // A file may have been replaced under its name; reading it again is cheap.
                Some(PlaceState::Stored(_) | PlaceState::Refused(_)) => {
                    matches!(location, MediaLocation::File(_)) || context.force
                }
                Some(PlaceState::Unavailable(_)) | None => true,
            })
            .map(|location| (*location).clone())
            .collect();
        context.progress.expect(missing.len() as u64);
        self.fetch_missing(&context, &opened, &missing, &known)
            .await?;
        store.sync_content().await?;
        self.outcome(&context, &selection, &places).await
    }

    /// Fetches with bounded concurrency and commits in batches, in the order of the list.
    async fn fetch_missing(
        &self,
        context: &TaskContext,
        opened: &OpenedSource,
        missing: &[MediaLocation],
        known: &std::collections::HashMap<String, PlaceState>,
    ) -> Result<(), TaskError> {
        let fetches = stream::iter(missing.to_vec()).map(|location| {
            let (fetcher, limits) = (opened.fetcher.clone(), self.0.limits);
            let routed = opened.route(&location);
            async move { (place(&location), obtain(&fetcher, limits, &routed).await) }
        });
        let mut batches = std::pin::pin!(fetches.buffered(BATCH).chunks(BATCH));
        while let Some(batch) = batches.next().await {
            checkpoint(context)?;
            let rows = batch.len() as u64;
            let media = self.0.media.clone();
            let outcomes = blocking(move || {
                let images: Vec<(&MediaInfo, &[u8])> = batch
                    .iter()
                    .filter_map(|(_, obtained)| match obtained {
                        Obtained::Image(info, bytes) => Some((info, bytes.as_slice())),
                        Obtained::Nothing(_) => None,
                    })
                    .collect();
                media.put_all(&images)?;
                let outcomes = batch.into_iter().map(|(place, obtained)| match obtained {
                    Obtained::Image(info, _) => (place, MediaOutcome::Stored(info)),
                    Obtained::Nothing(outcome) => (place, outcome),
                });
                Ok::<Vec<_>, std::io::Error>(outcomes.collect())
            })
            .await??;
            let changed: Vec<(String, MediaOutcome)> = outcomes
                .into_iter()
                .filter(|(place, outcome)| !is_known(known.get(place), outcome))
                .collect();
            self.0
                .store
                .store_media_outcomes(&changed, writer(context))
                .await?;
            context.progress.advance(rows);
        }
        Ok(())
    }

    async fn outcome(
        &self,
        context: &TaskContext,
        selection: &Selection,
        places: &[String],
    ) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let known = store.media_places(places).await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        let mut outcome = TaskOutcome {
            rows_in: selection.records.len() as u64,
            rows_computed: progress.rows_computed,
            bytes: progress.bytes,
            output: json!({ "images": true }),
            ..TaskOutcome::default()
        };
        let mut stored = 0;
        for state in known.values() {
            match state {
                PlaceState::Stored(_) => stored += 1,
                PlaceState::Refused(reason) | PlaceState::Unavailable(reason) => {
                    *outcome.dropped.entry(reason.clone()).or_default() += 1;
                }
            }
        }
        outcome.rows_reused = u64::saturating_sub(stored, progress.rows_computed);
        let has_image = |location: &MediaLocation| {
            matches!(known.get(&place(location)), Some(PlaceState::Stored(_)))
        };
        outcome.rows_out = selection
            .records
            .iter()
            .filter(|record| record.media.iter().any(has_image))
            .count() as u64;
        if outcome.rows_out < outcome.rows_in {
            outcome.message = Some(format!(
                "{} of {} records have no image and go on without one",
                outcome.rows_in - outcome.rows_out,
                outcome.rows_in
            ));
        }
        Ok(outcome)
    }
}

/// What the store calls a place.
pub(crate) fn place(location: &MediaLocation) -> String {
    match location {
        MediaLocation::Url(url) => url.clone(),
        MediaLocation::File(path) => path.display().to_string(),
    }
}

/// The places of all images of these records.
pub(crate) fn places_of(records: &[Record]) -> Vec<String> {
    let locations = records.iter().flat_map(|record| &record.media);
    locations.map(place).collect()
}

/// Whether the store says this already.
fn is_known(known: Option<&PlaceState>, outcome: &MediaOutcome) -> bool {
    match (known, outcome) {
        (Some(PlaceState::Stored(known)), MediaOutcome::Stored(found)) => {
            known.content == found.content
        }
        _ => false,
    }
}
