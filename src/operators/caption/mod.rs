//! `caption`: image → text.

mod budget;
mod choice;
mod served;
mod tags;
mod written;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(crate) use self::{choice::Choice, tags::caption_of, written::Writing};
pub(super) use self::{
    choice::computes,
    written::{describe, write_some},
};

use self::choice::Settings;
use super::{
    Environment, embed::images_of, report::blocking, selection::Pages, sharing::Followers,
};
use crate::{
    corpus::{ContentHash, Fingerprint},
    dag::ExecutorKind,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
};

/// `caption`: gives every image that lacks one its caption.
///
/// The setting `captioner` chooses who writes it:
///
/// - `imagenet-tags` applies the classifier's last layer to the vector that the task `from` (or the
///   only `embed` of images upstream) stored: no second pass over the image. It is a tagger, not a
///   captioner, and its captions are its labels.
/// - `openai` asks the server of `[captioner.openai]`. A task may have its own `model`, `prompt`,
///   `max_tokens`, `concurrency`, `request_timeout` and `budget`. An image that was asked about
///   once with the same model, words and length is not asked about again, whatever the server's
///   address. A task that has sent `budget` requests in a run, over all attempts, leaves the other
///   images for later runs (`budget`). Images that have no caption are counted by the reasons in
///   [`encoders::openai`](crate::encoders::openai) and asked about again by the next run; where
///   the server is not there or ten images in a row fail, the task ends with that error.
/// - `blip-base`, or a directory from the home on that holds a checkpoint as `save_pretrained`
///   writes it (BLIP, Florence-2), writes sentences. A task may have its own `prompt` (how a caption begins, or the
///   task of a Florence-2), `max_tokens`, `beams` and `device`; without them the checkpoint's own
///   hold. It may name tasks below it that read the same images (`share`): each is decoded once for
///   all of them. Which captioner it is, its files say: they are hashed when a task runs, not when a
///   pipeline is checked, and nothing is loaded where no image lacks a caption.
/// - `none` skips the task.
#[derive(Clone, Debug)]
pub struct Caption(pub Arc<Environment>);

/// What a `caption` task leaves for the tasks downstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CaptionOutput {
    /// The captioner's name.
    pub captioner: String,
    /// Which captioner it is exactly.
    #[serde(rename = "captioner_fingerprint")]
    pub fingerprint: Fingerprint,
    /// The image encoder whose vectors it reads; empty where it reads the images themselves.
    #[serde(default)]
    pub reads: String,
    /// What beside its name makes the same captioner again.
    #[serde(
        rename = "captioner_settings",
        default,
        skip_serializing_if = "Map::is_empty"
    )]
    pub settings: Map<String, Value>,
}

impl CaptionOutput {
    /// The output of the `caption` task upstream.
    pub(super) fn upstream(context: &TaskContext) -> Result<Self, TaskError> {
        Self::found(context)?
            .ok_or_else(|| TaskError::skip("no captions: nothing upstream wrote any"))
    }

    /// The output of the `caption` task upstream, where one has run.
    pub(super) fn found(context: &TaskContext) -> Result<Option<Self>, TaskError> {
        let found = context
            .upstream
            .values()
            .find(|output| output.get("captioner_fingerprint").is_some());
        found
            .map(|output| serde_json::from_value(output.clone()).map_err(TaskError::fail))
            .transpose()
    }
}

/// Who writes the captions of a task with these settings, the task whose vectors they are made of
/// where it is named, and what the task leaves but for that; none where it is skipped.
pub(super) fn planned(
    settings: &Map<String, Value>,
    environment: &Environment,
) -> Result<Option<(Choice, Option<String>, CaptionOutput)>, SettingsError> {
    let settings = Settings::read(settings)?;
    let Some(choice) = settings.choice(environment)? else {
        return Ok(None);
    };
    let fingerprint = choice
        .fingerprint(environment, settings.device(environment))
        .map_err(|error| super::settings::wrong("captioner", error.to_string(), None))?;
    let output = CaptionOutput {
        captioner: settings.captioner,
        fingerprint,
        reads: String::new(),
        settings: choice.settings(),
    };
    Ok(Some((choice, settings.from, output)))
}

/// What became of the images that lacked a caption.
#[derive(Debug, Default)]
struct Made {
    /// Those that have one now.
    captioned: HashSet<ContentHash>,
    /// How many still have none, by reason.
    dropped: BTreeMap<String, u64>,
    /// One sentence, where there is something to say.
    message: Option<String>,
}

impl Operator for Caption {
    fn name(&self) -> &'static str {
        "caption"
    }

    fn executor(&self) -> ExecutorKind {
        ExecutorKind::Process
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        Settings::read(settings)?.choice(&self.0).map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.caption(context))
    }
}

impl Caption {
    async fn caption(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let settings = Settings::read(&context.settings).map_err(TaskError::fail)?;
        let choice = settings.choice(&self.0).map_err(TaskError::fail)?;
        let Some(choice) = choice else {
            return Err(TaskError::skip("the profile names no captioner"));
        };
        let (asked, environment) = (choice.clone(), Arc::clone(&self.0));
        let device = settings.device(&self.0);
        let fingerprint = blocking(move || asked.fingerprint(&environment, device)).await??;
        let vectors = match &choice {
            Choice::Tagger(_) => Some(tags::image_vectors(&context, settings.from.as_deref())?),
            Choice::Server(_) | Choice::Checkpoint(_) => None,
        };
        let mut followers = match &choice {
            Choice::Checkpoint(_) => Followers::of(&self.0, &context, &settings.share).await?,
            Choice::Tagger(_) | Choice::Server(_) => Followers::default(),
        };
        let mut pages = Pages::of(store, &context, settings.shard).await?;
        let (mut images, mut rows_in) = (HashMap::new(), 0);
        while let Some(records) = pages.next(store).await? {
            rows_in += records.len() as u64;
            followers.note(&self.0, &records).await?;
            images.extend(images_of(&self.0, &records).await?);
        }
        let distinct: HashSet<ContentHash> = images.values().flatten().copied().collect();
        let mut readable: Vec<ContentHash> = distinct.into_iter().collect();
        if let Some(vectors) = &vectors {
            // An image that could not be embedded has no vector to make tags of.
            let embedded = store.embedded(vectors.fingerprint, &readable).await?;
            readable = embedded.into_iter().collect();
        }
        readable.sort_unstable();
        let mut captioned: HashSet<ContentHash> = store
            .captions(fingerprint, &readable)
            .await?
            .into_keys()
            .collect();
        readable.retain(|image| context.force || !captioned.contains(image));
        let missing = readable;
        context.progress.expect(missing.len() as u64);
        let made = match (&choice, &vectors) {
            (Choice::Checkpoint(writing), _) => {
                self.write(&context, writing, device, fingerprint, &missing, followers)
                    .await?
            }
            _ if missing.is_empty() => Made::default(),
            (Choice::Tagger(name), Some(vectors)) => {
                self.tag(&context, name, vectors, &missing).await?
            }
            (Choice::Server(question), _) => {
                self.ask(&context, &settings, question, missing).await?
            }
            (Choice::Tagger(_), None) => Made::default(),
        };
        captioned.extend(made.captioned);
        store.sync_content().await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        Ok(TaskOutcome {
            rows_in,
            rows_out: images
                .values()
                .filter(|images| images.iter().any(|image| captioned.contains(image)))
                .count() as u64,
            rows_computed: progress.rows_computed,
            rows_reused: (captioned.len() as u64).saturating_sub(progress.rows_computed),
            dropped: made.dropped,
            message: made.message,
            output: json!(CaptionOutput {
                captioner: settings.captioner,
                fingerprint,
                reads: vectors.map_or_else(String::new, |vectors| vectors.encoder),
                settings: choice.settings(),
            }),
            ..TaskOutcome::default()
        })
    }
}
