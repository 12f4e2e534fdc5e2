//! Captions that a checkpoint writes from the images themselves.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde_json::json;

use super::{
    super::{
        Environment,
        report::{blocking, checkpoint, divided, writer},
        sharing::{self, Decoded, Followers, Reader, Work},
    },
    Caption, Made,
};
use crate::{
    corpus::{ContentHash, Fingerprint},
    encoders::{self, CaptionOptions, Captioner, DeviceSpec, Generated, ImageError, ImageInput},
    engine::{TaskContext, TaskError},
    store::{StoredCaption, Writer},
};

/// How many images are described and committed together, where a card computes and elsewhere.
const CARD_BATCH: usize = 64;
const BATCH: usize = 16;

/// A checkpoint, and how it is to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writing {
    /// Its name in the catalogue, or its folder from the home on.
    pub(crate) name: String,
    /// How captions are written.
    pub(crate) options: CaptionOptions,
}

impl Caption {
    /// Lets the checkpoint describe images.
    pub(super) async fn write(
        &self,
        context: &TaskContext,
        writing: &Writing,
        device: DeviceSpec,
        fingerprint: Fingerprint,
        missing: &[ContentHash],
        followers: Followers,
    ) -> Result<Made, TaskError> {
        let followers = followers.readers(&self.0).await?;
        if !followers.is_empty() {
            let mut readers = vec![Reader {
                task: context.task_id.clone(),
                device,
                work: Work::Write(fingerprint, writing.clone()),
                missing: missing.iter().copied().collect(),
            }];
            readers.extend(followers);
            let dropped = sharing::read(&self.0, context, &readers).await?;
            let captions = self.0.store.captions(fingerprint, missing).await?;
            return Ok(Made {
                captioned: captions.into_keys().collect(),
                dropped,
                message: None,
            });
        }
        let batch = if device.is_on_card() {
            CARD_BATCH
        } else {
            BATCH
        };
        let (mut made, decoded) = (Made::default(), Arc::default());
        for batch in missing.chunks(divided(batch, context)) {
            checkpoint(context)?;
            let written = write_some(
                &self.0,
                writing,
                device,
                fingerprint,
                batch.to_vec(),
                &decoded,
                writer(context),
            );
            let (captioned, dropped) = written.await?;
            made.captioned.extend(captioned);
            for (reason, count) in dropped {
                *made.dropped.entry(reason).or_default() += count;
            }
            context.progress.advance(batch.len() as u64);
        }
        Ok(made)
    }
}

/// Lets a checkpoint describe images, and stores the captions. Returns the images that have one
/// now, and how many have none, by reason.
pub(in super::super) async fn write_some(
    environment: &Arc<Environment>,
    writing: &Writing,
    device: DeviceSpec,
    fingerprint: Fingerprint,
    images: Vec<ContentHash>,
    decoded: &Arc<Decoded>,
    writer: Writer<'_>,
) -> Result<(Vec<ContentHash>, BTreeMap<String, u64>), TaskError> {
    let (with, writing, decoded) = (
        Arc::clone(environment),
        writing.clone(),
        Arc::clone(decoded),
    );
    let written = blocking(move || {
        let captioner = writing.captioner(&with, device, fingerprint)?;
        let written = describe(&with, &captioner, &writing, &images, &decoded);
        Ok::<_, encoders::Error>(written)
    });
    let mut captions = Vec::new();
    let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
    for (image, caption) in written.await?? {
        match caption {
            Ok(caption) => captions.push((image, caption)),
            Err((reason, message)) => {
                tracing::warn!(%image, reason, message, "an image has no caption");
                *dropped.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }
    environment
        .store
        .store_captions(fingerprint, &captions, writer)
        .await?;
    let captioned = captions.into_iter().map(|(image, _)| image);
    Ok((captioned.collect(), dropped))
}

/// The caption of an image, or a reason code with words.
pub(in super::super) type Described = (ContentHash, Result<StoredCaption, (&'static str, String)>);

/// The captions of stored images.
pub(in super::super) fn describe(
    environment: &Environment,
    captioner: &Captioner,
    writing: &Writing,
    images: &[ContentHash],
    decoded: &Decoded,
) -> Vec<Described> {
    let files: Vec<Option<PathBuf>> = images
        .iter()
        .map(|image| environment.media.find(image))
        .collect();
    let found = images.iter().zip(&files);
    let inputs: Vec<ImageInput<'_>> = found
        .filter_map(|(image, file)| Some(decoded.input(*image, file.as_deref()?)))
        .collect();
    let mut written = captioner.caption(&inputs, &writing.options).into_iter();
    let missing = || Err(("missing_file", "its file is not there".to_owned()));
    images
        .iter()
        .zip(&files)
        .map(|(image, file)| {
            let caption = match file.as_ref().and_then(|_| written.next()) {
                None => missing(),
                Some(Ok(generated)) if generated.text.trim().is_empty() => {
                    Err(("empty", "the model wrote nothing".to_owned()))
                }
                Some(Ok(generated)) => Ok(writing.stored(generated)),
                Some(Err(error)) => Err((reason(&error), error.to_string())),
            };
            (*image, caption)
        })
        .collect()
}

impl Writing {
    /// The captioner on `device`, loaded once per process. Blocks while it loads.
    ///
    /// # Errors
    ///
    /// Where there is none, it cannot write as it is told to, or it is another one than that of
    /// `fingerprint`.
    pub(in super::super) fn captioner(
        &self,
        environment: &Environment,
        device: DeviceSpec,
        fingerprint: Fingerprint,
    ) -> Result<Arc<Captioner>, encoders::Error> {
        let captioner = environment.captioner(&self.name, device)?;
        captioner.check(&self.options)?;
        if captioner.fingerprint(&self.options) != fingerprint {
            return Err(encoders::Error::Replaced(self.name.clone()));
        }
        Ok(captioner)
    }

    /// Whether there is such a captioner, without reading its weights.
    pub(super) fn look(&self, environment: &Environment) -> Result<(), encoders::Error> {
        encoders::look_at_captioner(&encoders::written_in(&environment.home, &self.name))
    }

    /// What makes its captions comparable that it writes on `device`.
    pub(super) fn fingerprint(
        &self,
        environment: &Environment,
        device: DeviceSpec,
    ) -> Result<Fingerprint, encoders::Error> {
        let name = encoders::written_in(&environment.home, &self.name);
        encoders::captioner_fingerprint(&name, &self.options, device)
    }

    /// The environment's device, computing as the checkpoint did when it said `wrote` of itself;
    /// `None` where that was another one.
    pub(super) fn device_as(
        &self,
        environment: &Environment,
        wrote: Fingerprint,
    ) -> Result<Option<DeviceSpec>, encoders::Error> {
        let name = encoders::written_in(&environment.home, &self.name);
        let precision = encoders::captioner_precision(&name, &self.options, wrote)?;
        Ok(precision.map(|precision| environment.device_with(precision)))
    }

    /// A caption as it is stored.
    fn stored(&self, generated: Generated) -> StoredCaption {
        StoredCaption {
            caption: generated.text,
            details: json!({
                "model": self.name,
                "prompt": self.options.prompt,
                "max_tokens": self.options.max_tokens,
                "beams": self.options.beams,
                "token_ids": generated.token_ids,
            }),
        }
    }
}

/// The reason code of an image without a caption.
const fn reason(error: &ImageError) -> &'static str {
    match error {
        ImageError::Io(_) => "unreadable",
        ImageError::Decode(_) | ImageError::Empty { .. } => "corrupt",
        _ => "not_computed",
    }
}
