//! How images look that were stored before looks were kept.

use std::{convert::Infallible, path::PathBuf, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{App, Error};
use crate::{media::MediaStore, operators::purge_turn, store::Store, telemetry::chain};

/// How many images are looked at together.
const BATCH: u32 = 64;
/// The time after a batch, so that runs have the processor; and after the last one, before it is
/// looked again whether there is something.
const PAUSE: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_hours(1);

/// Looks at images at which nobody has looked, a batch at a time.
#[derive(Clone, Debug)]
pub(super) struct Looker {
    store: Store,
    media: MediaStore,
    data_dir: PathBuf,
}

impl App {
    /// What looks at images while the daemon runs.
    pub(super) fn looker(&self) -> Looker {
        Looker {
            store: self.store().clone(),
            media: self.media().clone(),
            data_dir: self.data_dir().to_owned(),
        }
    }
}

impl Looker {
    /// Looks until it is told to end.
    ///
    /// # Errors
    ///
    /// None: what cannot be looked at now may be later.
    pub(super) async fn run(self, ending: CancellationToken) -> Result<(), Infallible> {
        let mut wait = PAUSE;
        loop {
            tokio::select! {
                () = ending.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
            wait = match self.batch().await {
                Ok(0) => EVERY,
                Ok(_) => PAUSE,
                Err(error) => {
                    tracing::warn!("images are not looked at: {}", chain(&error));
                    EVERY
                }
            };
        }
    }

    /// Looks at some images; how many.
    ///
    /// # Errors
    ///
    /// Where the store or the disk refuses.
    async fn batch(&self) -> Result<u64, Error> {
        if !self.media.makes_copies() {
            return Ok(0);
        }
        // Or a purge would remove an image while its copy is made.
        let turn = purge_turn(&self.data_dir).await?;
        let images = self.store.media_not_looked_at(BATCH).await?;
        if images.is_empty() {
            return Ok(0);
        }
        let media = self.media.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let looked = images.iter().map(|info| {
                let look = media.look_of(info)?;
                Ok((info.content, look))
            });
            looked.collect::<std::io::Result<Vec<_>>>()
        });
        let looked = looked
            .await
            .map_err(|error| Error::Failed(error.to_string()))?
            .map_err(|error| Error::Failed(error.to_string()))?;
        self.store.note_looks(&looked).await?;
        drop(turn);
        Ok(looked.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        corpus::{ContentHash, Look, MediaInfo, MediaOutcome},
        media::{Limits, encode_png, probe},
        store::Writer,
    };

    /// A picture that grows lighter to the right, or has one colour.
    fn picture(step: u8) -> (MediaInfo, Vec<u8>) {
        let picture = image::RgbImage::from_fn(72, 40, |x, _| {
            image::Rgb([u8::try_from(x).unwrap() * step; 3])
        });
        let bytes = encode_png(&picture).unwrap();
        let info = probe(&bytes, &Limits::default()).unwrap();
        (info, bytes)
    }

    #[tokio::test]
    async fn images_of_before_are_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let media = |side| {
            MediaStore::new(folder.path().join("media")).with_copies(side, Limits::default())
        };
        let (steep, flat, lost) = (picture(3), picture(0), picture(1));
        let writer = Writer {
            run_id: "r",
            task_id: "t",
            stored_at: Timestamp::from_millis(0),
        };
        for (info, bytes) in [&steep, &flat] {
            // As an older release stored them.
            media(0).put(info, bytes).unwrap();
        }
        let outcomes = [&steep, &flat, &lost].map(|(info, _)| {
            let place = info.content.to_string();
            (place, MediaOutcome::Stored(info.clone()))
        });
        store
            .store_media_outcomes(&outcomes, &[], writer)
            .await
            .unwrap();
        let looker = |side| Looker {
            store: store.clone(),
            media: media(side),
            data_dir: folder.path().to_owned(),
        };
        assert_eq!(looker(0).batch().await.unwrap(), 0, "nothing is decoded");
        assert_eq!(looker(64).batch().await.unwrap(), 3);
        // What looks like nothing and what is lost is not looked at again.
        assert_eq!(looker(64).batch().await.unwrap(), 0);
        assert!(media(64).copy_path(&steep.0.content).is_file());
        // Its like has come since, and is found by it.
        let like = ContentHash::of("like");
        let info = MediaInfo {
            content: like,
            ..steep.0.clone()
        };
        let stored = [("like".to_owned(), MediaOutcome::Stored(info))];
        let look = media(64).look_of(&steep.0).unwrap();
        assert_eq!(look, Some(Look(0)), "each neighbour is lighter");
        store
            .store_media_outcomes(&stored, &[(like, look)], writer)
            .await
            .unwrap();
        let alike = store.alike(like).await.unwrap();
        assert_eq!(alike, [(steep.0.content, 0)]);
    }
}
