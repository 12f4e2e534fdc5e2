//! Images → vectors.

use std::{io::Cursor, path::Path};

use burn::tensor::{Device, Tensor, TensorData};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use super::{
    DeviceSpec, Error, ImageError, Kind, WeightsSettings,
    efficientnet::{self, ChannelsLast, EfficientNet, SIDE},
    fingerprint,
    weights::{self, catalogue},
    workers,
};
use crate::corpus::Fingerprint;

/// Images that one launch on a graphics card holds.
const IMAGES_PER_LAUNCH: usize = 256;
/// The longest side that is decoded, in pixels.
const MAX_SIDE: u32 = 20_000;
/// The memory that one decoded image may take.
const MAX_BYTES: u64 = 512 << 20;

/// One image, as it comes.
#[derive(Clone, Copy, Debug)]
pub enum ImageInput<'a> {
    /// A file's bytes: JPEG, PNG, WebP or GIF.
    Bytes(&'a [u8]),
    /// A file on this machine.
    File(&'a Path),
    /// Pixels that were decoded elsewhere, upright.
    Pixels(&'a RgbImage),
}

/// A loaded image encoder; may be shared between threads.
#[derive(Debug)]
pub struct ImageEncoder {
    name: String,
    fingerprint: Fingerprint,
    dimension: usize,
    network: Network,
}

/// The network where it computes.
#[derive(Debug)]
enum Network {
    /// One picture on one core.
    Core(Box<ChannelsLast>),
    /// Batches on LibTorch.
    Batch {
        model: Box<EfficientNet>,
        device: Device,
    },
}

/// Loads a named image encoder.
pub fn load_image(
    name: &str,
    device: &DeviceSpec,
    weights: &WeightsSettings,
) -> Result<ImageEncoder, Error> {
    let opened = device.open()?;
    let known = || catalogue::names(Some(Kind::Image));
    let entry = catalogue::find(name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
        known: known(),
    })?;
    if entry.kind != Kind::Image {
        return Err(Error::WrongKind {
            name: name.to_owned(),
            found: entry.kind.with_article(),
            wanted: Kind::Image.with_article(),
            known: known(),
        });
    }
    let located = weights::locate(entry, weights)?;
    let file = located.file(&entry.weights);
    let network = if device.is_exact() {
        Network::Core(Box::new(efficientnet::load_channels_last(file)?))
    } else {
        Network::Batch {
            model: Box::new(efficientnet::load(file, &opened)?),
            device: opened,
        }
    };
    Ok(ImageEncoder {
        name: name.to_owned(),
        fingerprint: fingerprint::of_entry(entry),
        dimension: entry.dimension,
        network,
    })
}

impl ImageEncoder {
    /// The name.
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

    /// One result per image, in the images' order; a broken image harms no other.
    ///
    /// On Flex each image is decoded and computed by one core, so its vector has the same bytes in
    /// any company. On LibTorch the cores decode and the device computes in batches.
    pub fn embed(&self, images: &[ImageInput<'_>]) -> Vec<Result<Vec<f32>, ImageError>> {
        match &self.network {
            Network::Core(model) => workers::map(images, |image| model.forward(&prepare(*image)?)),
            Network::Batch { model, device } => images
                .chunks(IMAGES_PER_LAUNCH)
                .flat_map(|chunk| embed_together(chunk, model, device))
                .collect(),
        }
    }
}

/// Decodes on all cores, then computes the good ones as one batch.
fn embed_together(
    images: &[ImageInput<'_>],
    model: &EfficientNet,
    device: &Device,
) -> Vec<Result<Vec<f32>, ImageError>> {
    let prepared = workers::map(images, |image| prepare(*image));
    let good: Vec<f32> = prepared.iter().flatten().flatten().copied().collect();
    let count = good.len() / (3 * SIDE * SIDE);
    let computed = if count == 0 {
        Ok(Vec::new())
    } else {
        compute(good, count, model, device)
    };
    match computed {
        Ok(vectors) => {
            let mut vectors = vectors.into_iter();
            prepared
                .into_iter()
                .map(|image| image.map(|_| vectors.next().expect("a vector for each good image")))
                .collect()
        }
        Err(error) => {
            let words = error.to_string();
            prepared
                .into_iter()
                .map(|image| image.and_then(|_| Err(ImageError::Compute(words.clone()))))
                .collect()
        }
    }
}

/// The vectors of `count` prepared images.
fn compute(
    pixels: Vec<f32>,
    count: usize,
    model: &EfficientNet,
    device: &Device,
) -> Result<Vec<Vec<f32>>, ImageError> {
    let input = TensorData::new(pixels, [count, SIDE, SIDE, 3]);
    let features = model
        .forward(Tensor::from_data(input, device))
        .try_into_vec_as::<f32>()
        .map_err(|error| ImageError::Compute(error.to_string()))?;
    Ok(features
        .chunks_exact(features.len() / count)
        .map(<[f32]>::to_vec)
        .collect())
}

/// An image → the numbers that the network reads.
fn prepare(image: ImageInput<'_>) -> Result<Vec<f32>, ImageError> {
    match image {
        ImageInput::Bytes(bytes) => efficientnet::preprocess(&decode(bytes)?),
        ImageInput::File(path) => efficientnet::preprocess(&decode(&fs_err::read(path)?)?),
        ImageInput::Pixels(pixels) => efficientnet::preprocess(pixels),
    }
}

/// A file's bytes → upright pixels.
fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let broken = |error: image::ImageError| ImageError::Decode(error.to_string());
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}
