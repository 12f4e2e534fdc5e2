//! How images look: their statistics, and the looks by which reposts are found.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{
    Environment,
    fetch_images::{place, places_of},
    report::blocking,
};
use crate::{
    corpus::{ContentHash, ImageStatistics, Look, MediaInfo, Record, Vector},
    engine::TaskError,
    learning::MetadataSchema,
    media,
    store::{PlaceState, Store, Writer},
};

/// How many images are decoded before what they look like is stored.
const BATCH: usize = 256;

/// How the first image of each record looks, as far as the features ask for it.
#[derive(Debug, Default)]
pub(super) struct Sights {
    /// By image.
    statistics: HashMap<ContentHash, ImageStatistics>,
    /// By record id.
    looks: HashMap<String, Look>,
}

impl Sights {
    /// Looks at the first of the images of each record, `media`, as far as `metadata` asks for it.
    pub(super) async fn read(
        environment: &Environment,
        metadata: &MetadataSchema,
        records: &[Record],
        media: &HashMap<String, Vec<MediaInfo>>,
        writer: Writer<'_>,
    ) -> Result<Self, TaskError> {
        let mut sights = Self::default();
        if metadata.needs_looks() {
            sights.looks = looks_of(&environment.store, records).await?;
        }
        if metadata.needs_statistics() {
            let first = media.values().filter_map(|images| images.first());
            let first: Vec<ContentHash> = first.map(|image| image.content).collect();
            sights.statistics = statistics_of(environment, &first, writer).await?;
        }
        Ok(sights)
    }

    /// The statistics of the first of a record's images.
    pub(super) fn statistics(&self, images: &[MediaInfo]) -> Option<ImageStatistics> {
        self.statistics.get(&images.first()?.content).copied()
    }

    /// How the first of a record's images looks.
    pub(super) fn look(&self, id: &str) -> Option<Look> {
        self.looks.get(id).copied()
    }
}

/// The statistics of these images; those that are not stored yet are computed and stored. An image
/// that cannot be decoded has none.
async fn statistics_of(
    environment: &Environment,
    images: &[ContentHash],
    writer: Writer<'_>,
) -> Result<HashMap<ContentHash, ImageStatistics>, TaskError> {
    let store = &environment.store;
    let fingerprint = ImageStatistics::fingerprint();
    let stored = store.embeddings(fingerprint, images).await?;
    let mut known: HashMap<ContentHash, ImageStatistics> = stored
        .iter()
        .filter_map(|(image, vector)| Some((*image, ImageStatistics::from_vector(vector)?)))
        .collect();
    let mut missing: Vec<ContentHash> = images.to_vec();
    missing.retain(|image| !known.contains_key(image));
    missing.sort_unstable();
    missing.dedup();
    for batch in missing.chunks(BATCH) {
        let (media, limits, batch) = (
            environment.media.clone(),
            environment.limits,
            batch.to_vec(),
        );
        let seen = blocking(move || {
            let see = |image: &ContentHash| {
                let bytes = media.read(image)?;
                let picture = media::decode(&bytes, &limits);
                if let Err(fault) = &picture {
                    tracing::warn!(%image, "an image has no statistics: {}", fault.reason());
                }
                let statistics = picture.ok().as_ref().and_then(media::statistics);
                Ok(statistics.map(|statistics| (*image, statistics)))
            };
            let seen: std::io::Result<Vec<_>> = batch.par_iter().map(see).collect();
            Ok::<_, TaskError>(seen?.into_iter().flatten().collect::<Vec<_>>())
        })
        .await??;
        let rows: Vec<(ContentHash, Vector)> = seen
            .iter()
            .map(|(image, of)| (*image, of.to_vector()))
            .collect();
        store.store_embeddings(fingerprint, &rows, writer).await?;
        known.extend(seen);
    }
    Ok(known)
}

/// How the first stored image of each record looks, by record id; of those that look like nothing,
/// none.
pub(super) async fn looks_of(
    store: &Store,
    records: &[Record],
) -> Result<HashMap<String, Look>, TaskError> {
    let places = store.media_places(&places_of(records)).await?;
    let first = |record: &Record| {
        record
            .media
            .iter()
            .find_map(|location| match places.get(&place(location)) {
                Some(PlaceState::Stored(info)) => Some(info.content),
                _ => None,
            })
    };
    let images: Vec<(&String, ContentHash)> = records
        .iter()
        .filter_map(|record| Some((&record.id, first(record)?)))
        .collect();
    let contents: Vec<ContentHash> = images.iter().map(|(_, content)| *content).collect();
    let looks = store.looks(&contents).await?;
    let seen = images.into_iter().filter_map(|(id, content)| {
        let look = looks.get(&content)?;
        Some((id.clone(), *look))
    });
    Ok(seen.collect())
}
