//! Images that several tasks of a run read, decoded once for all of them.
//!
//! A task that reads images may name tasks below it: `share = ["caption", "embed_visual"]`. While
//! an image is decoded, what these lack of it is made too and stored under their names, so that
//! they find it done when their turn comes, and make themselves what is missing still. Who is named
//! and cannot share reads its images itself, as without the setting: a task on another device,
//! behind other filters, with `when` or `map`, one that does not run, and one that reads the
//! captions of a task that does not share. Nothing is shared where everything is computed again
//! (`--force`).
//!
//! The encoders of all who share are in memory together, and the task that reads takes the time of
//! all: its `timeout` and `memory` have to allow that.

mod reader;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) use reader::{Reader, Work};

use super::{
    Encoding, Environment,
    report::{blocking, checkpoint, divided},
};
use crate::{
    corpus::{ContentHash, MediaInfo, Record},
    dag::Graph,
    encoders::{ImageInput, Picture},
    engine::{TaskContext, TaskError},
};

/// How many images are decoded and committed together, where a card computes and elsewhere.
const CARD_BATCH: usize = 256;
const BATCH: usize = 16;
/// The bytes of pixels that are decoded at a time; a larger image is alone.
const BYTES: u64 = 256 << 20;

/// The tasks for which the images of another are read.
#[derive(Debug, Default)]
pub(super) struct Followers(Vec<Follower>);

#[derive(Debug)]
struct Follower {
    encoding: Encoding,
    work: Work,
    /// The images that lack its result.
    missing: HashSet<ContentHash>,
}

impl Followers {
    /// The tasks among `named` that can share the images of the task that runs.
    pub(super) async fn of(
        environment: &Arc<Environment>,
        context: &TaskContext,
        named: &[String],
    ) -> Result<Self, TaskError> {
        if named.is_empty() || context.force {
            return Ok(Self::default());
        }
        let store = &environment.store;
        let graph = store.run_graph(&context.run_id).await?;
        let mut open = HashSet::new();
        for task in store.tasks(&context.run_id).await? {
            if !task.run.state.is_final() {
                open.insert(task.task_id);
            }
        }
        let may_share = |task: &str| {
            named.iter().any(|name| name == task)
                && open.contains(task)
                && always_runs(&graph, task)
        };
        let with = Arc::clone(environment);
        let of = graph.clone();
        let encodings = blocking(move || Encoding::all_of(&of, &with)).await??;
        let Some(lead) = encodings.iter().find(|known| known.task == context.task_id) else {
            return Ok(Self::default());
        };
        let mut writes: HashSet<_> = lead.writes().into_iter().collect();
        let mut followers = Vec::new();
        for encoding in &encodings {
            let shares = may_share(&encoding.task) && encoding.reads_as(lead);
            let Some(work) = encoding.reading().filter(|_| shares) else {
                continue;
            };
            if work.captioner().is_some_and(|of| !writes.contains(&of)) {
                tracing::debug!(task = encoding.task, "its captions are not there yet");
                continue;
            }
            writes.extend(encoding.writes());
            followers.push(Follower {
                encoding: encoding.clone(),
                work,
                missing: HashSet::new(),
            });
        }
        Ok(Self(followers))
    }

    /// Takes note of what these records lack.
    pub(super) async fn note(
        &mut self,
        environment: &Environment,
        records: &[Record],
    ) -> Result<(), TaskError> {
        for follower in &mut self.0 {
            let stock = follower.encoding.stock(environment, records).await?;
            let images = stock
                .missing
                .iter()
                .map(|(content, what)| what.image(*content));
            follower.missing.extend(images);
        }
        Ok(())
    }

    /// Those that lack something, loaded; who cannot be loaded says so when its turn comes.
    pub(super) async fn readers(
        self,
        environment: &Arc<Environment>,
    ) -> Result<Vec<Reader>, TaskError> {
        let mut readers = Vec::new();
        let mut absent = HashSet::new();
        for follower in self.0 {
            if follower.missing.is_empty() {
                continue;
            }
            let reader = Reader {
                task: follower.encoding.task,
                device: follower.encoding.device,
                work: follower.work,
                missing: follower.missing,
            };
            if reader
                .work
                .captioner()
                .is_some_and(|of| absent.contains(&of))
            {
                continue;
            }
            let (with, load) = (Arc::clone(environment), reader.clone());
            match blocking(move || load.load(&with)).await? {
                Ok(()) => readers.push(reader),
                Err(error) => {
                    tracing::warn!(task = reader.task, %error, "it cannot share the images");
                    absent.extend(reader.work.writes());
                }
            }
        }
        Ok(readers)
    }
}

/// Whether a task runs as often as the run comes to it.
fn always_runs(graph: &Graph, task: &str) -> bool {
    let node = graph.nodes().iter().find(|node| node.id == task);
    node.is_some_and(|node| node.when.is_none() && node.map.is_none() && node.shard.is_none())
}

/// Decodes each image once for all readers that lack something of it, and stores what they make.
/// Returns how many images the first reader could not read, by reason.
pub(super) async fn read(
    environment: &Arc<Environment>,
    context: &TaskContext,
    readers: &[Reader],
) -> Result<BTreeMap<String, u64>, TaskError> {
    let all: BTreeSet<ContentHash> = readers.iter().flat_map(|r| &r.missing).copied().collect();
    let all: Vec<ContentHash> = all.into_iter().collect();
    context.progress.expect(all.len() as u64);
    let infos = environment.store.media_infos(&all).await?;
    let on_card = readers.iter().any(|reader| reader.device.is_on_card());
    let most = if on_card { CARD_BATCH } else { BATCH };
    let mut sheets = sheets(&all, &infos, divided(most, context)).into_iter();
    let mut failed: BTreeMap<String, u64> = BTreeMap::new();
    let decode = |sheet: Option<Vec<ContentHash>>| {
        let environment = Arc::clone(environment);
        sheet.map(|sheet| {
            tokio::spawn(blocking(move || {
                let decoded = Decoded::of(&environment, &sheet);
                (sheet, Arc::new(decoded))
            }))
        })
    };
    let mut next = decode(sheets.next());
    while let Some(decoding) = next {
        let (sheet, decoded) = decoding.await.map_err(TaskError::fail)??;
        // The next ones are decoded while these are computed.
        next = decode(sheets.next());
        for (position, reader) in readers.iter().enumerate() {
            checkpoint(context)?;
            let reasons = reader.make(environment, context, &sheet, &decoded).await?;
            // Whoever follows meets them again, and counts them then.
            if position == 0 {
                for (reason, count) in reasons {
                    *failed.entry(reason).or_default() += count;
                }
            }
        }
        context.progress.advance(sheet.len() as u64);
    }
    Ok(failed)
}

/// Images in pieces of at most `most`, whose pixels take no more than [`BYTES`] together.
fn sheets(
    images: &[ContentHash],
    infos: &HashMap<ContentHash, MediaInfo>,
    most: usize,
) -> Vec<Vec<ContentHash>> {
    let mut sheets: Vec<Vec<ContentHash>> = Vec::new();
    let mut bytes = 0;
    for image in images {
        let of_this = infos
            .get(image)
            .map_or(0, |info| u64::from(info.width) * u64::from(info.height) * 3);
        bytes += of_this;
        match sheets.last_mut() {
            Some(sheet) if sheet.len() < most && bytes <= BYTES => sheet.push(*image),
            _ => {
                sheets.push(vec![*image]);
                bytes = of_this;
            }
        }
    }
    sheets
}

/// Images of the store that are decoded.
#[derive(Debug, Default)]
pub(super) struct Decoded(HashMap<ContentHash, Picture>);

impl Decoded {
    /// Decodes images on all cores. One that is not there or cannot be read is left out: whoever
    /// asks for it reads its file and says what is wrong.
    fn of(environment: &Environment, images: &[ContentHash]) -> Self {
        let found = images.iter();
        let found = found.filter_map(|image| Some((*image, environment.media.find(image)?)));
        let found: Vec<(ContentHash, PathBuf)> = found.collect();
        let files: Vec<&Path> = found.iter().map(|(_, path)| path.as_path()).collect();
        let pictures = Picture::read_all(&files).into_iter();
        let decoded = found.iter().zip(pictures);
        Self(
            decoded
                .filter_map(|((image, _), picture)| Some((*image, picture.ok()?)))
                .collect(),
        )
    }

    /// An image, decoded or in its file.
    pub(super) fn input<'a>(&'a self, image: ContentHash, file: &'a Path) -> ImageInput<'a> {
        match self.0.get(&image) {
            Some(picture) => ImageInput::Picture(picture),
            None => ImageInput::File(file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_is_full_by_count_or_by_bytes() {
        let images: Vec<ContentHash> = (0..9).map(|n| ContentHash::of(n.to_string())).collect();
        let info = |(content, side): (&ContentHash, u32)| MediaInfo {
            content: *content,
            bytes: 1,
            format: "png".to_owned(),
            width: side,
            height: side,
        };
        // 20,000 a side is more than a sheet; 6,000 is 108 MB, so that two go together.
        let sides = [100, 100, 100, 100, 20_000, 6_000, 6_000, 6_000, 100];
        let infos = images.iter().zip(sides).map(info);
        let infos = infos.map(|info| (info.content, info)).collect();
        let lengths: Vec<usize> = sheets(&images, &infos, 3).iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 1, 1, 2, 2]);
    }
}
