//! How images look: their statistics, and the looks by which reposts are found.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{
    Environment,
    fetch_images::{place, places_of},
    report::blocking,
};
use crate::{
    corpus::{ContentHash, ImageStatistics, Look, Record, Vector},
    engine::TaskError,
    media,
    store::{PlaceState, Store, Writer},
};

/// How many images are decoded before what they look like is stored.
const BATCH: usize = 256;

/// The statistics of these images; those that are not stored yet are computed and stored. An image
/// that cannot be decoded has none.
pub(super) async fn statistics_of(
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
