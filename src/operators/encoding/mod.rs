//! What the tasks of a graph that encode have to do, known before they do it: their contents, what
//! of them lacks a result, and [how fast a few go](sample) on this device.

mod reach;
mod reading;
mod sample;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

pub(crate) use reach::{Reach, records_at, with_images};
pub(crate) use sample::Sample;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    caption::{self, CaptionOutput, Choice, Writing},
    device,
    embed::{Content, Contents, EmbedOutput, Input, What, images_of},
    filter,
};
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, Fingerprint, Record},
    dag::{Graph, Node},
    encoders::DeviceSpec,
    engine::TaskError,
    store::{EncodedKind, Store},
};

/// A task that gives contents vectors, or images captions.
#[derive(Clone, Debug)]
pub(crate) struct Encoding {
    /// The task's id.
    pub(crate) task: String,
    /// The encoder's or captioner's name.
    pub(crate) encoder: String,
    /// Which one it is exactly.
    pub(crate) fingerprint: Fingerprint,
    /// What it makes.
    pub(crate) makes: EncodedKind,
    /// What it reads: `title`, `image`, `caption`, `visual`.
    pub(crate) input: String,
    /// Where it computes.
    pub(crate) device: DeviceSpec,
    /// The settings of the filters between the source and it.
    filters: Vec<Map<String, Value>>,
    work: Work,
}

#[derive(Clone, Debug)]
enum Work {
    Embed(EmbedOutput),
    /// The captioner, and the task whose vectors it reads, where it is a tagger.
    Caption(CaptionOutput, Option<EmbedOutput>),
    /// The captioner, which is a checkpoint that reads the images themselves.
    Write(CaptionOutput, Writing),
}

/// What there is for an encoding.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    /// The contents that are known, each once.
    pub(crate) known: Vec<Content>,
    /// Those of them that lack a result.
    pub(crate) missing: Vec<Content>,
    /// How many more there can be: captions of images that have none yet.
    pub(crate) to_come: usize,
}

impl Stock {
    /// How many contents there are, those that are to come among them.
    pub(crate) const fn contents(&self) -> u64 {
        (self.known.len() + self.to_come) as u64
    }

    /// How many of them lack a result.
    pub(crate) const fn lacking(&self) -> u64 {
        (self.missing.len() + self.to_come) as u64
    }
}

#[derive(Deserialize)]
struct EmbedKeys {
    encoder: String,
    input: Input,
}

impl Encoding {
    /// The tasks of a graph that encode, each after those that it reads; without those that the
    /// profile skips.
    ///
    /// # Errors
    ///
    /// Where the settings of one cannot be read, or name no encoder.
    pub(crate) fn all_of(graph: &Graph, environment: &Environment) -> Result<Vec<Self>, TaskError> {
        let mut found: HashMap<usize, Self> = HashMap::new();
        let mut order = Vec::new();
        for &position in graph.order() {
            let node = &graph.nodes()[position];
            let work = match node.op.as_str() {
                "embed" => embed_work(environment, node, &found, graph, position)?,
                "caption" => caption_work(environment, node, &found, graph, position)?,
                _ => None,
            };
            let Some(work) = work else { continue };
            let (encoder, fingerprint, makes, input) = match &work {
                Work::Embed(output) => (
                    output.encoder.clone(),
                    output.fingerprint,
                    EncodedKind::Vectors,
                    json!(output.input).as_str().unwrap_or_default().to_owned(),
                ),
                Work::Caption(output, _) | Work::Write(output, _) => (
                    output.captioner.clone(),
                    output.fingerprint,
                    EncodedKind::Captions,
                    "image".to_owned(),
                ),
            };
            let encoding = Self {
                task: node.id.clone(),
                encoder,
                fingerprint,
                makes,
                input,
                device: device_of(node, environment)?,
                filters: filters_above(graph, position),
                work,
            };
            found.insert(position, encoding);
            order.push(position);
        }
        Ok(order
            .into_iter()
            .filter_map(|at| found.remove(&at))
            .collect())
    }

    /// Everything that must stay for this to be used: its own results, and what it reads.
    pub(crate) fn fingerprints(&self) -> Vec<Fingerprint> {
        let mut all = vec![self.fingerprint];
        match &self.work {
            Work::Embed(output) => all.extend(output.captioner.as_ref().map(|c| c.fingerprint)),
            Work::Caption(_, reads) => all.extend(reads.as_ref().map(|reads| reads.fingerprint)),
            Work::Write(..) => {}
        }
        all
    }

    /// What of these records it encodes.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub(crate) async fn stock(
        &self,
        environment: &Environment,
        records: &[Record],
    ) -> Result<Stock, TaskError> {
        let store = &environment.store;
        match &self.work {
            Work::Embed(output) => {
                let known: Vec<Content> = Contents::of(environment, output, records)
                    .await?
                    .distinct
                    .into_iter()
                    .collect();
                let hashes: Vec<ContentHash> = known.iter().map(|(content, _)| *content).collect();
                let present = store.embedded(output.fingerprint, &hashes).await?;
                let to_come = match &output.captioner {
                    // An image is there before its caption is.
                    Some(captioner) if output.input == Input::Caption => {
                        let images = distinct_images(environment, records).await?;
                        let has = store.captions(captioner.fingerprint, &images).await?;
                        images.len() - has.len()
                    }
                    _ => 0,
                };
                // An image that has a vector alone lacks one with the caption that is to come.
                let waits = |what: &What| {
                    let is_alone = matches!(what, What::Pair(_, caption) if caption.is_empty());
                    is_alone && output.captioner.is_some()
                };
                let lacks = |(content, what): &&Content| waits(what) || !present.contains(content);
                Ok(Stock {
                    missing: known.iter().filter(lacks).cloned().collect(),
                    known,
                    to_come,
                })
            }
            Work::Caption(output, _) | Work::Write(output, _) => {
                let images = distinct_images(environment, records).await?;
                let present = store.captions(output.fingerprint, &images).await?;
                let known: Vec<Content> = images
                    .into_iter()
                    .map(|image| (image, What::Image))
                    .collect();
                Ok(Stock {
                    missing: without(&known, |content| present.contains_key(content)),
                    known,
                    to_come: 0,
                })
            }
        }
    }

    /// The length of one result in bytes as far as the store can tell.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub(crate) async fn stored_length(&self, store: &Store) -> Result<Option<f64>, TaskError> {
        Ok(match self.makes {
            EncodedKind::Vectors => {
                let length = store.vector_length(self.fingerprint).await?;
                length.map(|bytes| bytes as f64)
            }
            EncodedKind::Captions => store.caption_length(self.fingerprint).await?,
        })
    }
}

/// The records that the filters above encodings keep; several encodings share their filters.
#[derive(Debug, Default)]
pub(crate) struct Selections(Vec<Selected>);

#[derive(Debug)]
struct Selected {
    filters: Vec<Map<String, Value>>,
    records: Arc<[Record]>,
}

impl Selections {
    /// The records of a data set that are known at `as_of` and reach an encoding.
    ///
    /// # Errors
    ///
    /// Where the store fails or a filter cannot decide.
    pub(crate) async fn of(
        &mut self,
        encoding: &Encoding,
        store: &Store,
        dataset: &str,
        as_of: Timestamp,
    ) -> Result<Arc<[Record]>, TaskError> {
        let filters = &encoding.filters;
        if let Some(known) = self.0.iter().find(|known| known.filters == *filters) {
            return Ok(Arc::clone(&known.records));
        }
        let records = Arc::from(filter::kept(store, dataset, as_of, filters).await?);
        self.0.push(Selected {
            filters: filters.clone(),
            records: Arc::clone(&records),
        });
        Ok(records)
    }
}

fn embed_work(
    environment: &Environment,
    node: &Node,
    found: &HashMap<usize, Encoding>,
    graph: &Graph,
    position: usize,
) -> Result<Option<Work>, TaskError> {
    let keys: EmbedKeys = keys(node)?;
    if keys.encoder == "none" {
        return Ok(None);
    }
    let above = || {
        nearest(graph, position, |at| match &found.get(&at)?.work {
            Work::Caption(output, _) | Work::Write(output, _) => Some(output.clone()),
            Work::Embed(_) => None,
        })
    };
    let captioner = match keys.input {
        Input::Title | Input::Image => None,
        Input::Visual => above(),
        Input::Caption => {
            let Some(captioner) = above() else {
                return Ok(None);
            };
            Some(captioner)
        }
    };
    Ok(Some(Work::Embed(EmbedOutput {
        fingerprint: environment.fingerprint_on(&keys.encoder, device_of(node, environment)?)?,
        encoder: keys.encoder,
        input: keys.input,
        captioner,
    })))
}

fn caption_work(
    environment: &Environment,
    node: &Node,
    found: &HashMap<usize, Encoding>,
    graph: &Graph,
    position: usize,
) -> Result<Option<Work>, TaskError> {
    let mut settings = node.settings.clone();
    // In a mapped task that is a template still.
    settings.shift_remove("shard");
    let planned = caption::planned(&settings, environment).map_err(TaskError::fail)?;
    let Some((choice, from, output)) = planned else {
        return Ok(None);
    };
    match choice {
        Choice::Server(_) => return Ok(Some(Work::Caption(output, None))),
        Choice::Checkpoint(writing) => return Ok(Some(Work::Write(output, writing))),
        Choice::Tagger(_) => {}
    }
    let reads = nearest(graph, position, |at| {
        let encoding = found.get(&at)?;
        let named = from.as_ref().is_none_or(|id| *id == encoding.task);
        match &encoding.work {
            Work::Embed(output) if named && output.input == Input::Image => Some(output.clone()),
            _ => None,
        }
    });
    // Without vectors to read, a tagger is skipped.
    Ok(reads.map(|reads| Work::Caption(output, Some(reads))))
}

/// Where a task computes.
fn device_of(node: &Node, environment: &Environment) -> Result<DeviceSpec, TaskError> {
    let (asked, _) = device::split(&node.settings).map_err(TaskError::fail)?;
    Ok(asked.unwrap_or(environment.device))
}

fn keys<T: serde::de::DeserializeOwned>(node: &Node) -> Result<T, TaskError> {
    serde_json::from_value(Value::Object(node.settings.clone())).map_err(|error| {
        TaskError::fail(anyhow::anyhow!(
            "the settings of `{}` cannot be read: {error}",
            node.id
        ))
    })
}

/// What `of` finds first above a task: in those directly above, then in those above them.
fn nearest<T>(graph: &Graph, position: usize, of: impl Fn(usize) -> Option<T>) -> Option<T> {
    let mut level: BTreeSet<usize> = graph.upstream(position).iter().copied().collect();
    while !level.is_empty() {
        if let Some(found) = level.iter().find_map(|&at| of(at)) {
            return Some(found);
        }
        level = level
            .iter()
            .flat_map(|&at| graph.upstream(at))
            .copied()
            .collect();
    }
    None
}

/// The settings of the filters above a task, from the source down.
fn filters_above(graph: &Graph, position: usize) -> Vec<Map<String, Value>> {
    let above = graph.ancestors(position);
    let in_order = graph.order().iter().filter(|at| above.contains(at));
    in_order
        .map(|&at| &graph.nodes()[at])
        .filter(|node| node.op == "filter")
        .map(|node| node.settings.clone())
        .collect()
}

async fn distinct_images(
    environment: &Environment,
    records: &[Record],
) -> Result<Vec<ContentHash>, TaskError> {
    let images = images_of(environment, records).await?;
    let distinct: HashSet<ContentHash> = images.into_values().flatten().collect();
    let mut distinct: Vec<ContentHash> = distinct.into_iter().collect();
    distinct.sort_unstable();
    Ok(distinct)
}

fn without(contents: &[Content], has: impl Fn(&ContentHash) -> bool) -> Vec<Content> {
    let lacking = contents.iter().filter(|(content, _)| !has(content));
    lacking.cloned().collect()
}
