//! `fetch_images`: bytes checked, hashed and stored once.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, future::BoxFuture, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Environment,
    environment::OpenedSource,
    patience,
    report::{blocking, checkpoint, upstream_text, writer},
    selection::Selection,
    settings,
    shard::Part,
};
use crate::{
    corpus::{ContentHash, MediaInfo, MediaLocation, MediaOutcome, Record},
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{Obtained, obtain},
    store::PlaceState,
};

const HOST_NOT_ALLOWED: &str = MediaOutcome::HOST_NOT_ALLOWED;

/// The reason for which an address is not asked that is not public.
const BLOCKED_ADDRESS: &str = "blocked_address";

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
        let now = context.clock.now();
        let missing: Vec<MediaLocation> = wanted
            .iter()
            .filter(|location| match known.get(&place(location)) {
                // The settings may allow it by now, and to look costs nothing.
                Some(PlaceState::Refused(reason)) if reason == BLOCKED_ADDRESS => true,
                // A file may have been replaced under its name; reading it again is cheap.
                Some(PlaceState::Stored(_) | PlaceState::Refused(_)) => {
                    matches!(location, MediaLocation::File(_)) || context.force
                }
                Some(PlaceState::Unavailable {
                    tries, tried_at, ..
                }) => context.force || patience::is_due(*tries, *tried_at, now),
                None => true,
            })
            .map(|location| (*location).clone())
            .collect();
        context.progress.expect(missing.len() as u64);
        self.fetch_missing(&context, &opened, &missing, &known)
            .await?;
        let after = store.media_places(&places).await?;
        let gone = newly_gone(&selection.records, &known, &after);
        if !gone.is_empty() && opened.source.traits().live {
            // Who deletes a post takes its images along.
            store.check_soon(opened.source.dataset(), &gone).await?;
        }
        store.sync_content().await?;
        self.outcome(&context, &selection, &places).await
    }

    /// Fetches with bounded concurrency and commits in batches, in the order of the list.
    async fn fetch_missing(
        &self,
        context: &TaskContext,
        opened: &OpenedSource,
        missing: &[MediaLocation],
        known: &HashMap<String, PlaceState>,
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
            let turn = self.0.keep_images().await?;
            let outcomes = blocking(move || {
                let images: Vec<(&MediaInfo, &[u8])> = batch
                    .iter()
                    .filter_map(|(_, obtained)| match obtained {
                        Obtained::Image(info, bytes) => Some((info, bytes.as_slice())),
                        Obtained::Nothing(_) => None,
                    })
                    .collect();
                let looks = media.put_all(&images)?;
                let outcomes = batch.into_iter().map(|(place, obtained)| match obtained {
                    Obtained::Image(info, _) => (place, MediaOutcome::Stored(info)),
                    Obtained::Nothing(outcome) => (place, outcome),
                });
                Ok::<(Vec<_>, _), std::io::Error>((outcomes.collect(), looks))
            })
            .await??;
            let (outcomes, looks) = outcomes;
            let changed: Vec<(String, MediaOutcome)> = outcomes
                .into_iter()
                .filter(|(place, outcome)| !is_known(known.get(place), outcome))
                .collect();
            self.0
                .store
                .store_media_outcomes(&changed, &looks, writer(context))
                .await?;
            drop(turn);
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
                PlaceState::Refused(reason) | PlaceState::Unavailable { reason, .. } => {
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
        let more = [
            patience::in_words(&known),
            other_hosts(&known),
            blocked_addresses(&known),
            suspects(&selection.records, &known),
        ];
        for words in more.into_iter().flatten() {
            let before = outcome.message.take().map(|message| message + "; ");
            outcome.message = Some(before.unwrap_or_default() + &words);
        }
        Ok(outcome)
    }
}

/// The records of which an image is gone since `before`.
fn newly_gone<'a>(
    records: &'a [Record],
    before: &HashMap<String, PlaceState>,
    after: &HashMap<String, PlaceState>,
) -> Vec<&'a str> {
    let is_gone = |state: Option<&PlaceState>| matches!(state, Some(PlaceState::Refused(reason)) if reason == "gone");
    let has_gone = |location: &MediaLocation| {
        let place = place(location);
        is_gone(after.get(&place)) && !is_gone(before.get(&place))
    };
    let records = records.iter();
    let gone = records.filter(|record| record.media.iter().any(has_gone));
    gone.map(|record| record.id.as_str()).collect()
}

/// How many hosts are named.
const NAMED: usize = 3;

/// What is said of images at hosts that are not asked.
fn other_hosts(known: &HashMap<String, PlaceState>) -> Option<String> {
    let mut hosts: BTreeMap<String, u64> = BTreeMap::new();
    for (place, state) in known {
        if matches!(state, PlaceState::Unavailable { reason, .. } if reason == HOST_NOT_ALLOWED) {
            let url = Url::parse(place).ok();
            // One of the list has sent the fetcher on to another.
            let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
            *hosts.entry(host.to_owned()).or_default() += 1;
        }
    }
    let mut most: Vec<(&str, u64)> = hosts.iter().map(|(host, n)| (host.as_str(), *n)).collect();
    most.sort_by_key(|(_, images)| Reverse(*images));
    let named: Vec<String> = most
        .iter()
        .take(NAMED)
        .map(|(host, images)| format!("{host} ({images})"))
        .collect();
    (!most.is_empty()).then(|| {
        format!(
            "{} images are at hosts that are not asked, such as {}; `media.hosts` names those that \
             are, and with `*` all",
            hosts.values().sum::<u64>(),
            named.join(", "),
        )
    })
}

/// What is said of images at addresses that are never asked.
fn blocked_addresses(known: &HashMap<String, PlaceState>) -> Option<String> {
    let blocked = |state: &&PlaceState| {
        matches!(state, PlaceState::Refused(reason) | PlaceState::Unavailable { reason, .. }
                 if reason == BLOCKED_ADDRESS)
    };
    let images = known.values().filter(blocked).count();
    (images > 0).then(|| {
        format!(
            "{images} images are on this machine, in a private network or on other ports than 80 \
             and 443, which are not asked (`{BLOCKED_ADDRESS}`); `net.allow_addresses`, such as \
             `[\"192.168.1.5:8080\"]`, makes exceptions"
        )
    })
}

/// How many records with the same image make it a suspect: few images are posted that often, but
/// hosts show one picture in the place of all that they have taken away.
const SUSPECT: usize = 10;

/// What is said of images that so many records have that they may stand for what is gone.
fn suspects(records: &[Record], known: &HashMap<String, PlaceState>) -> Option<String> {
    let mut holders: BTreeMap<ContentHash, HashSet<&str>> = BTreeMap::new();
    for record in records {
        for location in &record.media {
            if let Some(PlaceState::Stored(info)) = known.get(&place(location)) {
                holders.entry(info.content).or_default().insert(&record.id);
            }
        }
    }
    let shared = holders.iter().filter(|(_, ids)| ids.len() >= SUSPECT);
    let (content, most) = shared.clone().max_by_key(|(_, ids)| ids.len())?;
    let example = most.iter().min().unwrap_or(&"");
    Some(format!(
        "{} images are each in {SUSPECT} records or more and may be placeholders, such as {:.12} in \
         {} (see `trendmill records show {example}`)",
        shared.count(),
        content.to_string(),
        most.len(),
    ))
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
        // Nobody was asked.
        (
            Some(PlaceState::Unavailable { reason, .. }),
            MediaOutcome::Unavailable(HOST_NOT_ALLOWED),
        ) => reason == HOST_NOT_ALLOWED,
        _ => false,
    }
}

#[cfg(test)]
#[path = "fetch_images_tests.rs"]
mod tests;
