//! The captions of images that need not be in the store, as in training.

use std::{collections::HashMap, sync::Arc};

use futures::{StreamExt as _, stream};

use super::{
    Predictor,
    vectors::{FoundImages, blocking},
};
use crate::{
    app::Error,
    corpus::ContentHash,
    encoders::{
        self, Tagger,
        openai::{Client, Question, Refusal},
    },
    operators::{Choice, caption_of},
    registry::BlockEncoder,
};

/// How many images are read at once for a server, which itself is asked about fewer.
const AT_ONCE: usize = 16;

/// Captioners that are ready.
#[derive(Debug, Default)]
pub(super) struct Captioners {
    taggers: HashMap<String, Arc<Tagger>>,
    clients: HashMap<Question, Arc<Client>>,
}

impl Predictor {
    /// The captions of each record's images.
    pub(super) async fn captions(
        &mut self,
        block: &BlockEncoder,
        images: &[FoundImages],
    ) -> Result<Vec<Vec<String>>, Error> {
        let name = block.captioner.as_deref().unwrap_or_default();
        let captions = match Choice::filed(name, &block.captioner_settings)? {
            Choice::Tagger(name) => self.tags(&name, images).await?,
            Choice::Server(question) => self.answers(question, images).await?,
        };
        let of_row = |images: &FoundImages| {
            let of_image = |(info, _): &(crate::corpus::MediaInfo, _)| captions.get(&info.content);
            images.iter().filter_map(of_image).cloned().collect()
        };
        Ok(images.iter().map(of_row).collect())
    }

    async fn tags(
        &mut self,
        name: &str,
        images: &[FoundImages],
    ) -> Result<HashMap<ContentHash, String>, Error> {
        let tagger = if let Some(tagger) = self.captioners.taggers.get(name) {
            Arc::clone(tagger)
        } else {
            let weights = self.environment.weights.clone();
            let wanted = name.to_owned();
            let tagger = blocking(move || encoders::load_tagger(&wanted, &weights)).await??;
            let taggers = &mut self.captioners.taggers;
            Arc::clone(taggers.entry(name.to_owned()).or_insert(Arc::new(tagger)))
        };
        let reads = encoders::weights::catalogue::find(tagger.name())
            .and_then(|entry| entry.reads.clone())
            .ok_or_else(|| Error::Failed(format!("`{}` reads no image vectors", tagger.name())))?;
        let vectors = self
            .image_vectors(&reads, tagger.encoder_fingerprint(), images)
            .await?;
        let caption =
            |vector: &crate::corpus::Vector| caption_of(&tagger, &vector.values()).caption;
        Ok(vectors
            .iter()
            .map(|(image, vector)| (*image, caption(vector)))
            .collect())
    }

    /// What the store has, and what the server says of the other images.
    async fn answers(
        &mut self,
        question: Question,
        images: &[FoundImages],
    ) -> Result<HashMap<ContentHash, String>, Error> {
        let mut files: HashMap<ContentHash, Option<Vec<u8>>> = images
            .iter()
            .flatten()
            .map(|(info, bytes)| (info.content, bytes.clone()))
            .collect();
        let distinct: Vec<ContentHash> = files.keys().copied().collect();
        let store = &self.environment.store;
        let stored = store.captions(question.fingerprint(), &distinct).await?;
        let mut captions: HashMap<ContentHash, String> = stored
            .into_iter()
            .map(|(image, stored)| (image, stored.caption))
            .collect();
        files.retain(|image, _| !captions.contains_key(image));
        if files.is_empty() {
            return Ok(captions);
        }
        let client = self.client(question)?;
        let answers = stream::iter(files).map(|(image, bytes)| {
            let (client, environment) = (Arc::clone(&client), Arc::clone(&self.environment));
            async move {
                let bytes = match bytes {
                    Some(bytes) => bytes,
                    None => blocking(move || environment.media.read(&image))
                        .await?
                        .map_err(|error| Error::Failed(error.to_string()))?,
                };
                Ok::<_, Error>((image, client.caption(bytes).await))
            }
        });
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
        while let Some(answer) = answers.next().await {
            match answer? {
                (image, Ok(caption)) => {
                    captions.insert(image, caption.text);
                }
                (_, Err(Refusal::Server(fault))) => {
                    return Err(Error::unfit(fault.to_string(), None));
                }
                (image, Err(refusal)) => {
                    tracing::warn!(%image, %refusal, "an image has no caption");
                }
            }
        }
        Ok(captions)
    }

    fn client(&mut self, question: Question) -> Result<Arc<Client>, Error> {
        if let Some(client) = self.captioners.clients.get(&question) {
            return Ok(Arc::clone(client));
        }
        let captioner = &self.environment.caption_server;
        let server = captioner.server()?;
        let client = Client::new(server, question.clone(), &captioner.manners, None)?;
        let client = Arc::new(client);
        let clients = &mut self.captioners.clients;
        clients.insert(question, Arc::clone(&client));
        Ok(client)
    }
}
