//! Captions that a server writes.

use std::sync::Arc;

use futures::{StreamExt as _, stream};

use super::{
    super::{
        Environment,
        report::{blocking, writer},
    },
    Caption, Made,
    budget::Budget,
    choice::Settings,
};
use crate::{
    corpus::ContentHash,
    encoders::openai::{Allowance, Client, Fault, Question, Refusal, ServedCaption},
    engine::{TaskContext, TaskError},
    store::StoredCaption,
};

/// The most captions that are committed together; fewer, where no more have come.
const BATCH: usize = 64;
/// How many images are made ready beside those that are asked about.
const AHEAD: usize = 2;

impl Caption {
    /// Asks about images. Whatever has come is committed at once, since each caption costs money
    /// or seconds.
    pub(super) async fn ask(
        &self,
        context: &TaskContext,
        settings: &Settings,
        question: &Question,
        missing: Vec<ContentHash>,
    ) -> Result<Made, TaskError> {
        let captioner = &self.0.caption_server;
        let manners = settings.manners(&self.0).map_err(TaskError::fail)?;
        let limit = settings.budget.or(captioner.budget);
        let budget = limit
            .map(|limit| Budget::open(context, limit))
            .transpose()?;
        let budget = budget.map(Arc::new);
        let allowance = budget
            .clone()
            .map(|budget| -> Allowance { Box::new(move || budget.take()) });
        let client = Client::new(captioner.server()?, question.clone(), &manners, allowance)?;
        let client = Arc::new(client);
        let at_once = manners.concurrency.saturating_add(AHEAD);
        let (images, fingerprint) = (missing.len(), question.fingerprint());
        let mut made = Made::default();
        let answers = stream::iter(missing).map(|image| {
            let (client, budget) = (Arc::clone(&client), budget.clone());
            let environment = Arc::clone(&self.0);
            async move {
                if budget.is_some_and(|budget| budget.is_spent()) {
                    return Ok((image, Err(Refusal::Budget)));
                }
                let file = read(environment, image).await?;
                let answer = match file {
                    Ok(bytes) => client.caption(bytes).await,
                    Err(refusal) => Err(refusal),
                };
                Ok::<_, TaskError>((image, answer))
            }
        });
        let mut answers = std::pin::pin!(answers.buffer_unordered(at_once).ready_chunks(BATCH));
        loop {
            let batch = tokio::select! {
                biased;
                () = context.cancelled.cancelled() => return Err(TaskError::Cancelled),
                batch = answers.next() => batch,
            };
            let Some(batch) = batch else { break };
            let rows = batch.len() as u64;
            let batch = batch.into_iter().collect::<Result<Vec<_>, _>>()?;
            let (captions, fault) = made.sort(batch);
            self.0
                .store
                .store_captions(fingerprint, &captions, writer(context))
                .await?;
            made.captioned
                .extend(captions.iter().map(|(image, _)| *image));
            if let Some(fault) = fault {
                self.0.store.sync_content().await?;
                return Err(fault.into());
            }
            context.progress.advance(rows);
        }
        made.message = message(&made, images, budget.as_deref());
        Ok(made)
    }
}

impl Made {
    /// Counts what has no caption; the rest, and why the server is asked no more.
    fn sort(
        &mut self,
        batch: Vec<(ContentHash, Result<ServedCaption, Refusal>)>,
    ) -> (Vec<(ContentHash, StoredCaption)>, Option<Fault>) {
        let (mut captions, mut found) = (Vec::new(), None);
        for (image, answer) in batch {
            let reason = match answer {
                Ok(caption) => {
                    captions.push((image, stored(caption)));
                    continue;
                }
                Err(Refusal::Server(fault)) => {
                    found = Some(fault);
                    continue;
                }
                Err(Refusal::Budget) => "budget".to_owned(),
                Err(Refusal::Image { reason, message }) => {
                    tracing::warn!(%image, reason, message, "an image has no caption");
                    reason
                }
            };
            *self.dropped.entry(reason).or_default() += 1;
        }
        (captions, found)
    }
}

/// A caption as it is stored.
pub(crate) fn stored(caption: ServedCaption) -> StoredCaption {
    StoredCaption {
        caption: caption.text,
        details: caption.details,
    }
}

/// The bytes of a stored image.
async fn read(
    environment: Arc<Environment>,
    image: ContentHash,
) -> Result<Result<Vec<u8>, Refusal>, TaskError> {
    let found = blocking(move || environment.media.read(&image)).await?;
    let reason = match found {
        Ok(bytes) => return Ok(Ok(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "missing_file",
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => "corrupt",
        Err(error) => return Err(error.into()),
    };
    Ok(Err(Refusal::Image {
        reason: reason.to_owned(),
        message: "its file is not what was stored".to_owned(),
    }))
}

/// One sentence on what is still without a caption.
fn message(made: &Made, images: usize, budget: Option<&Budget>) -> Option<String> {
    let left = made.dropped.get("budget").copied().unwrap_or_default();
    if let Some(budget) = budget.filter(|_| left > 0) {
        return Some(format!(
            "the budget of {} requests is spent; {left} images wait for a later run",
            budget.limit()
        ));
    }
    let failed: u64 = made.dropped.values().sum();
    (failed > 0).then(|| format!("{failed} of {images} new images have no caption"))
}

impl From<Fault> for TaskError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(_) => Self::fail(fault),
            Fault::Down(_) => Self::retry(fault).classed("unreachable"),
            Fault::Busy { after, .. } => match after {
                Some(after) => Self::retry(fault).classed_until("rate_limited", after),
                None => Self::retry(fault).classed("rate_limited"),
            },
        }
    }
}
