//! A loaded visual encoder, and how its work is put together.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::{checkpoint, model::Visual};
use crate::{
    corpus::Fingerprint,
    encoders::{
        DeviceSpec, Error, ImageError, ImageInput, Kind, TextOptions, WeightsSettings,
        bert::{self, BertConfig, BertTokenizer, Pooling},
        fingerprint, picture,
        resample::{Digits, Filter},
        text::{self, TOKENS_PER_JOB, TOKENS_PER_LAUNCH},
        transform::{Fit, Transform},
        weights::{self, Entry, catalogue},
        workers,
    },
};

/// The pictures that one launch holds at most.
const PICTURES_AT_ONCE: usize = 64;
/// What the tower was trained on: CLIP's mean and standard deviation of each channel.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// A loaded visual encoder; may be shared between threads.
#[derive(Debug)]
pub struct VisualEncoder {
    name: String,
    fingerprint: Fingerprint,
    dimension: usize,
    tokenizer: BertTokenizer,
    transform: Transform,
    model: Visual,
    /// The longest text beside a picture, in tokens.
    longest_beside: usize,
    spec: DeviceSpec,
    device: Device,
}

/// Whether an encoder has this name that sees an image with its text, or a folder holds one.
pub fn is_visual(name_or_dir: &str) -> bool {
    match catalogue::find(name_or_dir) {
        Some(entry) => entry.kind == Kind::Visual,
        None => {
            checkpoint::weights_in(Path::new(name_or_dir)).is_ok_and(|weights| weights.is_some())
        }
    }
}

/// Loads a named visual encoder, or that in a folder: the text model's `config.json` and
/// `tokenizer.json` beside `Visualized_….pth`.
pub fn load_visual(
    name_or_dir: &str,
    device: &DeviceSpec,
    weights: &WeightsSettings,
) -> Result<VisualEncoder, Error> {
    let opened = device.open()?;
    let parts = match catalogue::find(name_or_dir) {
        Some(entry) if entry.kind != Kind::Visual => {
            return Err(Error::WrongKind {
                name: name_or_dir.to_owned(),
                found: entry.kind.with_article(),
                wanted: Kind::Visual.with_article(),
                known: catalogue::names(Some(Kind::Visual)),
            });
        }
        Some(entry) => Parts::of_entry(entry, weights)?,
        None => Parts::of_directory(fingerprint::existing_directory(
            name_or_dir,
            Some(Kind::Visual),
        )?)?,
    };
    parts.load(name_or_dir, *device, opened)
}

/// The files and settings of a visual encoder.
struct Parts {
    config: BertConfig,
    tokenizer: BertTokenizer,
    weights: PathBuf,
    fingerprint: Fingerprint,
}

impl Parts {
    /// What the catalogue says: files beside those that it names have no say.
    fn of_entry(entry: &Entry, settings: &WeightsSettings) -> Result<Self, Error> {
        let located = weights::locate(entry, settings)?;
        let config = BertConfig::read(located.file("config.json"))?;
        Ok(Self {
            tokenizer: BertTokenizer::read(located.file("tokenizer.json"), config.longest())?,
            config,
            weights: located.file(&entry.weights).to_owned(),
            fingerprint: fingerprint::of_entry(entry),
        })
    }

    fn of_directory(directory: &Path) -> Result<Self, Error> {
        let weights = checkpoint::weights_in(directory)?.ok_or_else(|| Error::Checkpoint {
            path: directory.to_owned(),
            reason: "it holds no visual encoder: its weights have no `visual_proj`".to_owned(),
        })?;
        let config = BertConfig::read(&directory.join("config.json"))?;
        Ok(Self {
            tokenizer: BertTokenizer::of_directory(directory, config.longest())?,
            config,
            weights,
            fingerprint: fingerprint::of_directory(directory, TextOptions::default())?,
        })
    }

    fn load(self, name: &str, spec: DeviceSpec, device: Device) -> Result<VisualEncoder, Error> {
        let Self {
            config,
            tokenizer,
            weights,
            fingerprint,
        } = self;
        let precision = spec.precision();
        let model = checkpoint::load(&config, &weights, &device, precision.dtype())?;
        let side = |axis: usize| u32::try_from(model.size[axis]).unwrap_or(u32::MAX);
        let size = [side(0), side(1)];
        Ok(VisualEncoder {
            name: name.to_owned(),
            fingerprint: fingerprint::in_precision(fingerprint, precision),
            dimension: config.hidden_size,
            tokenizer: tokenizer.for_model(config.vocab_size),
            transform: Transform {
                size,
                scaled: size,
                fit: Fit::Center,
                filter: Filter::Bicubic,
                digits: Digits::Pillow,
                mean: MEAN,
                std: STD,
            },
            // The first position is the first token's, the next are the patches'.
            longest_beside: config.max_position_embeddings - model.patches,
            model,
            spec,
            device,
        })
    }
}

/// One thing to compute: an image, a text, or both.
type Item<'a> = (Option<ImageInput<'a>>, Option<&'a str>);

impl VisualEncoder {
    /// The name, or the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes its vectors comparable.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The length of a vector.
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// One result per item, in the items' order; a broken image harms no other. All have length
    /// one and lie in one space: images, texts, and images with their texts. A text that is too
    /// long is cut; beside an image there is less room.
    ///
    /// On Flex an item's vector has the same bytes in any company.
    pub fn embed(&self, items: &[Item<'_>]) -> Vec<Result<Vec<f32>, ImageError>> {
        let mut results: Vec<Result<Vec<f32>, ImageError>> =
            items.iter().map(|_| Err(ImageError::Nothing)).collect();
        let texts: Vec<&str> = items.iter().map(|(_, text)| text.unwrap_or("")).collect();
        let ids = match self.tokenizer.encode(&texts) {
            Ok(ids) => ids,
            Err(error) => {
                let words = error.to_string();
                return items
                    .iter()
                    .map(|_| Err(ImageError::Text(words.clone())))
                    .collect();
            }
        };
        let (with, without): (Vec<usize>, Vec<usize>) =
            (0..items.len()).partition(|row| items[*row].0.is_some());
        let spoken: Vec<usize> = without
            .into_iter()
            .filter(|row| items[*row].1.is_some())
            .collect();
        for (row, result) in self.embed_texts(&spoken, &ids) {
            results[row] = result;
        }
        for (row, result) in self.embed_images(items, with, ids) {
            results[row] = result;
        }
        results
    }

    /// The vectors of the texts at `rows`, which have no image.
    fn embed_texts(
        &self,
        rows: &[usize],
        ids: &[Vec<u32>],
    ) -> Vec<(usize, Result<Vec<f32>, ImageError>)> {
        let own: Vec<Vec<u32>> = rows.iter().map(|row| ids[*row].clone()).collect();
        let budget = if self.spec.is_on_card() {
            TOKENS_PER_LAUNCH
        } else {
            TOKENS_PER_JOB
        };
        let jobs = text::jobs(&own, budget);
        let compute = |job: &Vec<usize>| {
            let tokens: Vec<&[u32]> = job.iter().map(|row| own[*row].as_slice()).collect();
            vectors(self.model.texts(&tokens, &self.device))
        };
        let computed = if self.spec.is_exact() {
            workers::map(&jobs, compute)
        } else {
            jobs.iter().map(compute).collect()
        };
        let jobs = jobs.iter().zip(computed);
        jobs.flat_map(|(job, vectors)| spread(job.iter().map(|row| rows[*row]), vectors))
            .collect()
    }

    /// The vectors of the images at `rows`, with their texts.
    fn embed_images(
        &self,
        items: &[Item<'_>],
        mut rows: Vec<usize>,
        mut ids: Vec<Vec<u32>>,
    ) -> Vec<(usize, Result<Vec<f32>, ImageError>)> {
        for row in &rows {
            self.cut(&mut ids[*row]);
        }
        let prepare = |row: &usize| match items[*row].0 {
            Some(image) => self.transform.apply(picture::pixels(image)?.as_ref()),
            None => Err(ImageError::Nothing),
        };
        if self.spec.is_exact() {
            let computed = workers::map(&rows, |row| {
                let numbers = prepare(row)?;
                let mut vectors = self.compute(numbers, &[ids[*row].as_slice()])?;
                Ok(vectors.swap_remove(0))
            });
            return rows.into_iter().zip(computed).collect();
        }
        rows.sort_by_key(|row| ids[*row].len());
        let mut results = Vec::with_capacity(rows.len());
        for rows in rows.chunk_by(|a, b| ids[*a].len() == ids[*b].len()) {
            for rows in rows.chunks(PICTURES_AT_ONCE) {
                let mut numbers = Vec::new();
                let mut good = Vec::new();
                for (row, prepared) in rows.iter().zip(workers::map(rows, prepare)) {
                    match prepared {
                        Ok(prepared) => {
                            numbers.extend(prepared);
                            good.push(*row);
                        }
                        Err(error) => results.push((*row, Err(error))),
                    }
                }
                if good.is_empty() {
                    continue;
                }
                let tokens: Vec<&[u32]> = good.iter().map(|row| ids[*row].as_slice()).collect();
                let vectors = self.compute(numbers, &tokens);
                results.extend(spread(good.iter().copied(), vectors));
            }
        }
        results
    }

    /// Leaves so much of a text as has positions beside a picture. Its last token ends it.
    fn cut(&self, ids: &mut Vec<u32>) {
        if ids.len() > self.longest_beside {
            let last = ids.last().copied();
            ids.truncate(self.longest_beside);
            if let (Some(end), Some(last)) = (ids.last_mut(), last) {
                *end = last;
            }
        }
    }

    /// The vectors of pictures, whose numbers come one after the other, with texts of one length.
    pub(in crate::encoders) fn compute(
        &self,
        numbers: Vec<f32>,
        rows: &[&[u32]],
    ) -> Result<Vec<Vec<f32>>, ImageError> {
        let [height, width] = self.model.size;
        let pixels = TensorData::new(numbers, [rows.len(), 3, height, width]);
        let pixels = Tensor::from_data(pixels, &self.device);
        vectors(self.model.pairs(pixels, rows, &self.device))
    }
}

/// The states of first tokens as vectors of length one.
///
/// # Shapes
/// - states: `[rows, 1, hidden]`
fn vectors(states: Tensor<3>) -> Result<Vec<Vec<f32>>, ImageError> {
    let shape = states.dims();
    let states = states
        .try_into_vec_as::<f32>()
        .map_err(|error| ImageError::Compute(error.to_string()))?;
    Ok(bert::pool(&states, shape, Pooling::Cls, true))
}

/// The result of a job for each of its rows.
fn spread(
    rows: impl Iterator<Item = usize>,
    vectors: Result<Vec<Vec<f32>>, ImageError>,
) -> Vec<(usize, Result<Vec<f32>, ImageError>)> {
    match vectors {
        Ok(vectors) => rows.zip(vectors.into_iter().map(Ok)).collect(),
        Err(error) => {
            let words = error.to_string();
            rows.map(|row| (row, Err(ImageError::Compute(words.clone()))))
                .collect()
        }
    }
}
