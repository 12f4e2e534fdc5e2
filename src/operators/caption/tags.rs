//! Tags out of stored image vectors.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{
        embed::EmbedOutput,
        report::{blocking, checkpoint, divided, upstream, writer},
    },
    Caption, Made,
};
use crate::{
    corpus::ContentHash,
    encoders::{self, Tagger},
    engine::{TaskContext, TaskError},
    store::StoredCaption,
};

/// How many captions are written and committed together.
const BATCH: usize = 256;

impl Caption {
    /// Gives images the tags that the tagger `name` reads in their vectors.
    pub(super) async fn tag(
        &self,
        context: &TaskContext,
        name: &str,
        vectors: &EmbedOutput,
        missing: &[ContentHash],
    ) -> Result<Made, TaskError> {
        let (weights, name) = (self.0.weights.clone(), name.to_owned());
        let tagger = blocking(move || encoders::load_tagger(&name, &weights)).await??;
        if tagger.encoder_fingerprint() != vectors.fingerprint {
            return Err(TaskError::fail(anyhow::anyhow!(
                "`{}` cannot read the vectors of `{}`; it reads those of its own image encoder",
                tagger.name(),
                vectors.encoder
            )));
        }
        let tagger = Arc::new(tagger);
        let mut made = Made::default();
        for batch in missing.chunks(divided(BATCH, context)) {
            checkpoint(context)?;
            let values = self
                .0
                .store
                .embeddings(tagger.encoder_fingerprint(), batch)
                .await?;
            let (tagger, captioner) = (Arc::clone(&tagger), tagger.fingerprint());
            let captions: Vec<(ContentHash, StoredCaption)> = blocking(move || {
                values
                    .iter()
                    .map(|(image, vector)| (*image, caption_of(&tagger, &vector.values())))
                    .collect()
            })
            .await?;
            self.0
                .store
                .store_captions(captioner, &captions, writer(context))
                .await?;
            context.progress.advance(captions.len() as u64);
            made.captioned
                .extend(captions.iter().map(|(image, _)| *image));
        }
        Ok(made)
    }
}

/// A tagger's words for an image, from the image's stored vector.
pub(crate) fn caption_of(tagger: &Tagger, vector: &[f32]) -> StoredCaption {
    let caption = tagger.caption(vector);
    let tags: Vec<Value> = caption
        .tags
        .iter()
        .map(|tag| json!({ "label": tag.label, "score": tag.score }))
        .collect();
    StoredCaption {
        caption: caption.text,
        details: json!({ "tags": tags }),
    }
}

/// The output of the task that embeds the images: the one that `from` names, else the only one.
pub(super) fn image_vectors(
    context: &TaskContext,
    from: Option<&str>,
) -> Result<EmbedOutput, TaskError> {
    let output = match from {
        Some(task) => context.upstream.get(task),
        None => context
            .upstream
            .values()
            .find(|output| output.get("input") == Some(&json!("image"))),
    };
    let output = output.ok_or_else(|| match upstream(context, "images") {
        Some(_) => TaskError::skip("no image vectors: nothing upstream embeds images"),
        None => TaskError::skip("no images"),
    })?;
    serde_json::from_value(output.clone()).map_err(TaskError::fail)
}
