//! How the images of records look that need not be in the store, as in training.

use std::sync::Arc;

use super::{
    Predictor,
    vectors::{FoundImages, blocking},
};
use crate::{
    app::Error,
    corpus::{ContentHash, ImageStatistics, Look, MediaInfo},
    media,
    operators::Environment,
};

/// How the first image of a record looks, as far as the model's features ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight {
    pub(super) statistics: Option<ImageStatistics>,
    pub(super) look: Option<Look>,
}

impl Predictor {
    /// How the first image of each record looks.
    pub(super) async fn sights(&self, images: &[FoundImages]) -> Result<Vec<Sight>, Error> {
        let metadata = &self.schema.metadata;
        let wanted = (metadata.needs_statistics(), metadata.needs_looks());
        if wanted == (false, false) {
            return Ok(vec![Sight::default(); images.len()]);
        }
        let contents: Vec<ContentHash> = images
            .iter()
            .filter_map(|images| Some(images.first()?.0.content))
            .collect();
        let store = &self.environment.store;
        let statistics = ImageStatistics::fingerprint();
        let statistics = store.embeddings(statistics, &contents).await?;
        let looks = store.looks(&contents).await?;
        let mut sights = Vec::with_capacity(images.len());
        for images in images {
            let Some((info, bytes)) = images.first() else {
                sights.push(Sight::default());
                continue;
            };
            let stored = statistics.get(&info.content);
            let mut sight = Sight {
                statistics: stored.and_then(ImageStatistics::from_vector),
                look: looks.get(&info.content).copied(),
            };
            let missing = (
                wanted.0 && sight.statistics.is_none(),
                wanted.1 && sight.look.is_none(),
            );
            if missing != (false, false) {
                let environment = Arc::clone(&self.environment);
                let (info, bytes) = (info.clone(), bytes.clone());
                let seen = blocking(move || seen(&environment, &info, bytes)).await??;
                sight.statistics = sight.statistics.or(seen.statistics);
                sight.look = sight.look.or(seen.look);
            }
            sights.push(sight);
        }
        Ok(sights)
    }
}

/// How an image looks; `bytes` only where it is not in the media store.
fn seen(
    environment: &Environment,
    info: &MediaInfo,
    bytes: Option<Vec<u8>>,
) -> Result<Sight, Error> {
    let store = &environment.media;
    let bytes = bytes.map_or_else(|| store.read(&info.content), Ok);
    let bytes = bytes.map_err(|error| Error::Failed(error.to_string()))?;
    let picture = media::decode(&bytes, &environment.limits).ok();
    Ok(Sight {
        statistics: picture.as_ref().and_then(media::statistics),
        look: store.look_of_bytes(info, &bytes),
    })
}
