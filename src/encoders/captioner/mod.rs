//! Images → sentences, by checkpoints that `save_pretrained` of transformers wrote.

mod meant;
mod pictures;
mod words;

use serde::{Deserialize, Serialize};

pub use meant::{captioner_fingerprint, captioner_precision, look_at_captioner};
pub(super) use pictures::Pictures;
pub(super) use words::Words;

use super::{
    DeviceSpec, Error, ImageError, ImageInput, WeightsSettings, blip::BlipCaptioner,
    checkpoint::Identity, fingerprint, florence::FlorenceCaptioner, generation::Rules, picture,
    workers,
};
use crate::corpus::Fingerprint;

/// The pictures that one core computes together: their rows share each reading of the weights.
const PICTURES_PER_JOB: usize = 4;
/// The pictures that LibTorch computes together on a processor.
const PICTURES_PER_BATCH: usize = 8;
/// The same on a graphics card.
const PICTURES_PER_LAUNCH: usize = 64;

/// A loaded captioner; may be shared between threads.
#[derive(Debug)]
pub struct Captioner {
    name: String,
    files: Identity,
    network: Box<dyn Network>,
    spec: DeviceSpec,
}

/// What a caption shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptionOptions {
    /// How the caption begins (BLIP), or the task (Florence-2). Default: nothing, `<CAPTION>`
    pub prompt: Option<String>,
    /// The most tokens to generate. Default: the checkpoint's
    pub max_tokens: Option<usize>,
    /// The rows that compete; 1 is greedy. Default: the checkpoint's
    pub beams: Option<usize>,
}

/// A caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The words.
    pub text: String,
    /// The tokens, a prompt's included where the caption begins with it; without those for the
    /// start and the end.
    pub token_ids: Vec<u32>,
}

/// A network that writes a caption for each picture.
pub(super) trait Network: std::fmt::Debug + Send + Sync {
    /// What a picture becomes.
    fn pictures(&self) -> &Pictures;

    /// The tokenizer.
    fn words(&self) -> &Words;

    /// What to do for a prompt.
    fn plan(&self, options: &CaptionOptions) -> Result<Plan, String>;

    /// The row of tokens of each picture, from the prompt's first to the end.
    fn write(&self, pictures: &[&[f32]], plan: &Plan) -> Vec<Result<Vec<u32>, ImageError>>;
}

/// What a network does for all pictures of a call.
#[derive(Debug)]
pub(super) struct Plan {
    /// The tokens that the decoder is given.
    pub prompt: Vec<u32>,
    /// How many tokens begin a row and are no part of the caption.
    pub start: usize,
    /// The tokens that are read with the picture.
    pub question: Vec<u32>,
    /// How it goes on.
    pub rules: Rules,
}

/// Loads a named captioner, or that in a directory that `save_pretrained` of transformers wrote:
/// BLIP or Florence-2.
pub fn load_captioner(
    name_or_dir: &str,
    device: &DeviceSpec,
    weights: &WeightsSettings,
) -> Result<Captioner, Error> {
    let opened = device.open()?;
    let (directory, files) = meant::files(name_or_dir, weights)?;
    let network: Box<dyn Network> = match meant::model_type(&directory)?.as_str() {
        "blip" => Box::new(BlipCaptioner::load(&directory, *device, opened)?),
        "florence2" => Box::new(FlorenceCaptioner::load(&directory, *device, opened)?),
        other => {
            return Err(Error::Checkpoint {
                path: directory.join("config.json"),
                reason: format!(
                    "`model_type` is `{other}`; captioners of type `blip` and `florence2` can be \
                     read"
                ),
            });
        }
    };
    Ok(Captioner {
        name: name_or_dir.to_owned(),
        files,
        network,
        spec: *device,
    })
}

impl Captioner {
    /// The name, or the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes its captions comparable.
    pub fn fingerprint(&self, options: &CaptionOptions) -> Fingerprint {
        fingerprint::of_captioner(&self.files, options, self.spec.precision())
    }

    /// Whether captions can be made so.
    pub fn check(&self, options: &CaptionOptions) -> Result<(), Error> {
        let plan = self.network.plan(options);
        plan.map(drop).map_err(Error::Caption)
    }

    /// One result per image, in the images' order; a broken image harms no other.
    ///
    /// On Flex each core computes a few images, on LibTorch the cores decode and the device
    /// computes in batches. How many are computed together may move a score by a rounding error.
    pub fn caption(
        &self,
        images: &[ImageInput<'_>],
        options: &CaptionOptions,
    ) -> Vec<Result<Generated, ImageError>> {
        let plan = match self.network.plan(options) {
            Ok(plan) => plan,
            Err(reason) => {
                let refused = |_| Err(ImageError::Compute(reason.clone()));
                return images.iter().map(refused).collect();
            }
        };
        if !self.spec.is_exact() {
            let count = if self.spec.is_on_card() {
                PICTURES_PER_LAUNCH
            } else {
                PICTURES_PER_BATCH
            };
            let batches = images.chunks(count).flat_map(|images| {
                let prepared = workers::map(images, |image| self.prepare(*image));
                self.write(prepared, &plan)
            });
            return batches.collect();
        }
        let cores = workers::count();
        let count = images.len().div_ceil(cores).clamp(1, PICTURES_PER_JOB);
        let jobs: Vec<&[ImageInput<'_>]> = images.chunks(count).collect();
        let written = workers::map(&jobs, |images| {
            let prepared = images.iter().map(|image| self.prepare(*image));
            self.write(prepared.collect(), &plan)
        });
        written.into_iter().flatten().collect()
    }

    /// An image → the numbers that the network reads.
    fn prepare(&self, image: ImageInput<'_>) -> Result<Vec<f32>, ImageError> {
        let picture = picture::over_white(image)?;
        self.network.pictures().prepare(&picture)
    }

    /// The captions of the pictures that could be read, in their places.
    fn write(
        &self,
        prepared: Vec<Result<Vec<f32>, ImageError>>,
        plan: &Plan,
    ) -> Vec<Result<Generated, ImageError>> {
        let good: Vec<&[f32]> = prepared.iter().flatten().map(Vec::as_slice).collect();
        let mut written = if good.is_empty() {
            Vec::new().into_iter()
        } else {
            self.network.write(&good, plan).into_iter()
        };
        prepared
            .into_iter()
            .map(|picture| {
                picture.and_then(|_| {
                    let row = written.next().expect("a row for each good picture");
                    self.generated(&row?, plan)
                })
            })
            .collect()
    }

    fn generated(&self, row: &[u32], plan: &Plan) -> Result<Generated, ImageError> {
        let text = self.network.words().decode(row);
        let mut ids = &row[plan.start.min(row.len())..];
        if let Some((last, rest)) = ids.split_last()
            && plan.rules.ends.contains(last)
        {
            ids = rest;
        }
        Ok(Generated {
            text: text.map_err(ImageError::Compute)?,
            token_ids: ids.to_vec(),
        })
    }
}
