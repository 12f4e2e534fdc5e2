//! A task that reads images, and what it makes of some that are decoded.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    super::{
        Environment, Writing,
        caption::write_some,
        embed::{Content, EmbedOutput, Input, What, embed_and_store},
    },
    Decoded,
};
use crate::{
    corpus::{ContentHash, Fingerprint},
    encoders::{self, DeviceSpec},
    engine::{TaskContext, TaskError},
    store::Writer,
};

/// A task that reads images.
#[derive(Clone, Debug)]
pub(in super::super) struct Reader {
    /// The task's id.
    pub task: String,
    /// Where it computes.
    pub device: DeviceSpec,
    /// What it makes.
    pub work: Work,
    /// The images that lack its result.
    pub missing: HashSet<ContentHash>,
}

/// What is made of an image.
#[derive(Clone, Debug)]
pub(in super::super) enum Work {
    /// Its vector, or that of the image with its caption.
    Embed(EmbedOutput),
    /// Its caption, under this fingerprint.
    Write(Fingerprint, Writing),
}

impl Work {
    /// The captioner whose captions are read with the images.
    pub(super) fn captioner(&self) -> Option<Fingerprint> {
        match self {
            Self::Embed(output) => output.captioner.as_ref().map(|of| of.fingerprint),
            Self::Write(..) => None,
        }
    }

    /// The captioner that it is.
    pub(super) const fn writes(&self) -> Option<Fingerprint> {
        match self {
            Self::Embed(_) => None,
            Self::Write(fingerprint, _) => Some(*fingerprint),
        }
    }
}

impl Reader {
    /// Loads what computes. Blocks.
    pub(super) fn load(&self, environment: &Environment) -> Result<(), encoders::Error> {
        match &self.work {
            Work::Embed(output) if output.input == Input::Visual => environment
                .visual_encoder(&output.encoder, self.device)
                .map(drop),
            Work::Embed(output) => environment
                .image_encoder(&output.encoder, self.device)
                .map(drop),
            Work::Write(fingerprint, writing) => writing
                .captioner(environment, self.device, *fingerprint)
                .map(drop),
        }
    }

    /// Makes and stores what those of `images` lack that lack something. Returns how many could not
    /// be read, by reason.
    pub(super) async fn make(
        &self,
        environment: &Arc<Environment>,
        context: &TaskContext,
        images: &[ContentHash],
        decoded: &Arc<Decoded>,
    ) -> Result<BTreeMap<String, u64>, TaskError> {
        let lacking = images.iter().filter(|image| self.missing.contains(image));
        let lacking: Vec<ContentHash> = lacking.copied().collect();
        if lacking.is_empty() {
            return Ok(BTreeMap::new());
        }
        let writer = Writer {
            run_id: &context.run_id,
            task_id: &self.task,
            stored_at: context.clock.now(),
        };
        match &self.work {
            Work::Write(fingerprint, writing) => {
                let made = write_some(
                    environment,
                    writing,
                    self.device,
                    *fingerprint,
                    lacking,
                    decoded,
                    writer,
                );
                Ok(made.await?.1)
            }
            Work::Embed(output) => {
                let contents = contents(environment, output, lacking).await?;
                embed_and_store(environment, output, self.device, contents, decoded, writer).await
            }
        }
    }
}

/// What is embedded of images: they alone, or with their captions as far as there are some now.
async fn contents(
    environment: &Environment,
    output: &EmbedOutput,
    images: Vec<ContentHash>,
) -> Result<Vec<Content>, TaskError> {
    if output.input != Input::Visual {
        let alone = images.into_iter().map(|image| (image, What::Image));
        return Ok(alone.collect());
    }
    let store = &environment.store;
    let captions = match &output.captioner {
        Some(captioner) => store.captions(captioner.fingerprint, &images).await?,
        None => HashMap::new(),
    };
    let pairs = images.into_iter().map(|image| {
        let caption = captions.get(&image).map_or("", |found| &found.caption);
        What::pair(image, caption)
    });
    let mut pairs: Vec<Content> = pairs.collect();
    let hashes: Vec<ContentHash> = pairs.iter().map(|(content, _)| *content).collect();
    let present = store.embedded(output.fingerprint, &hashes).await?;
    pairs.retain(|(content, _)| !present.contains(content));
    Ok(pairs)
}
