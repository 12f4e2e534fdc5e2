//! Captions that a checkpoint writes from the images themselves.

use std::{path::PathBuf, sync::Arc};

use serde_json::json;

use super::{
    super::{
        Environment,
        report::{blocking, checkpoint, divided, writer},
    },
    Caption, Made,
};
use crate::{
    corpus::{ContentHash, Fingerprint},
    encoders::{self, CaptionOptions, Captioner, DeviceSpec, Generated, ImageError, ImageInput},
    engine::{TaskContext, TaskError},
    store::StoredCaption,
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
    ) -> Result<Made, TaskError> {
        let (environment, from) = (Arc::clone(&self.0), writing.clone());
        let captioner = blocking(move || {
            let captioner = environment.captioner(&from.name, device)?;
            captioner.check(&from.options).map(|()| captioner)
        })
        .await??;
        if captioner.fingerprint(&writing.options) != fingerprint {
            return Err(TaskError::retry(anyhow::anyhow!(
                "the checkpoint in `{}` was replaced while it was read",
                writing.name
            )));
        }
        let batch = if device.is_on_card() {
            CARD_BATCH
        } else {
            BATCH
        };
        let mut made = Made::default();
        for batch in missing.chunks(divided(batch, context)) {
            checkpoint(context)?;
            let environment = Arc::clone(&self.0);
            let (captioner, writing, images) =
                (Arc::clone(&captioner), writing.clone(), batch.to_vec());
            let written =
                blocking(move || describe(&environment, &captioner, &writing, &images)).await?;
            let mut captions = Vec::with_capacity(written.len());
            for (image, caption) in written {
                match caption {
                    Ok(caption) => captions.push((image, caption)),
                    Err((reason, message)) => {
                        tracing::warn!(%image, reason, message, "an image has no caption");
                        *made.dropped.entry(reason.to_owned()).or_default() += 1;
                    }
                }
            }
            self.0
                .store
                .store_captions(fingerprint, &captions, writer(context))
                .await?;
            made.captioned
                .extend(captions.iter().map(|(image, _)| *image));
            context.progress.advance(batch.len() as u64);
        }
        Ok(made)
    }
}

/// The caption of an image, or a reason code with words.
pub(in super::super) type Described = (ContentHash, Result<StoredCaption, (&'static str, String)>);

/// The captions of stored images.
pub(in super::super) fn describe(
    environment: &Environment,
    captioner: &Captioner,
    writing: &Writing,
    images: &[ContentHash],
) -> Vec<Described> {
    let files: Vec<Option<PathBuf>> = images
        .iter()
        .map(|image| environment.media.find(image))
        .collect();
    let inputs: Vec<ImageInput<'_>> = files
        .iter()
        .flatten()
        .map(|path| ImageInput::File(path))
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
