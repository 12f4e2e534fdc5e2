//! Images → vectors.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use super::{
    DeviceSpec, Error, ImageError, ImageInput, Kind, TextOptions, WeightsSettings, ahead,
    efficientnet, fingerprint,
    picture::pixels,
    timm::TimmNetwork,
    weights::{self, catalogue},
    workers,
};
use crate::corpus::Fingerprint;

/// A loaded image encoder; may be shared between threads.
#[derive(Debug)]
pub struct ImageEncoder {
    name: String,
    fingerprint: Fingerprint,
    dimension: usize,
    network: Box<dyn Network>,
}

/// A network that makes one vector of each picture.
pub(super) trait Network: std::fmt::Debug + Send + Sync {
    /// The numbers that it reads of a picture; of one length for all.
    fn prepare(&self, picture: &RgbImage) -> Result<Vec<f32>, ImageError>;

    /// The vectors of `count` pictures, whose numbers come one after the other.
    fn compute(&self, numbers: Vec<f32>, count: usize) -> Result<Vec<Vec<f32>>, ImageError>;

    /// How pictures are best given to it.
    fn batches(&self) -> Batches;
}

/// How pictures are best given to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batches {
    /// Each core computes its own.
    Alone,
    /// At most so many at a time; the cores that prepare them compute them too.
    Together(usize),
    /// At most so many at a time, prepared while the device computes those before.
    Ahead(usize),
}

impl Batches {
    /// The best for a device that takes so many pictures at a time.
    pub(super) const fn on(spec: DeviceSpec, count: usize) -> Self {
        if spec.is_exact() {
            Self::Alone
        } else if spec.is_on_card() {
            Self::Ahead(count)
        } else {
            Self::Together(count)
        }
    }
}

/// Loads a named image encoder, or a checkpoint that timm wrote.
pub fn load_image(
    name_or_dir: &str,
    device: &DeviceSpec,
    weights: &WeightsSettings,
) -> Result<ImageEncoder, Error> {
    let opened = device.open()?;
    let known = || catalogue::names(Some(Kind::Image));
    let Some(entry) = catalogue::find(name_or_dir) else {
        let directory = fingerprint::existing_directory(name_or_dir, Some(Kind::Image))?;
        return of_directory(directory, *device, opened);
    };
    if entry.kind != Kind::Image {
        return Err(Error::WrongKind {
            name: name_or_dir.to_owned(),
            found: entry.kind.with_article(),
            wanted: Kind::Image.with_article(),
            known: known(),
        });
    }
    let located = weights::locate(entry, weights)?;
    let (file, fingerprint) = (located.file(&entry.weights), fingerprint::of_entry(entry));
    if entry.timm_architecture().is_some() {
        let config = located.file("config.json");
        let network = TimmNetwork::of_files(config, file, *device, opened)?;
        return Ok(of_timm(name_or_dir, fingerprint, network));
    }
    Ok(ImageEncoder {
        name: name_or_dir.to_owned(),
        fingerprint,
        dimension: efficientnet::FEATURES,
        network: efficientnet::network(file, *device, opened)?,
    })
}

/// The checkpoint in a directory.
fn of_directory(directory: &Path, spec: DeviceSpec, device: Device) -> Result<ImageEncoder, Error> {
    let fingerprint = fingerprint::of_directory(directory, TextOptions::default())?;
    let network = TimmNetwork::load(directory, spec, device)?;
    Ok(of_timm(
        &directory.display().to_string(),
        fingerprint,
        network,
    ))
}

fn of_timm(name: &str, fingerprint: Fingerprint, network: TimmNetwork) -> ImageEncoder {
    ImageEncoder {
        name: name.to_owned(),
        fingerprint: fingerprint::in_precision(fingerprint, network.precision()),
        dimension: network.dimension(),
        network: Box::new(network),
    }
}

impl ImageEncoder {
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

    /// One result per image, in the images' order; a broken image harms no other.
    ///
    /// On Flex each image is decoded and computed by one core, so its vector has the same bytes in
    /// any company. On LibTorch the cores decode and the device computes in batches; on
    /// a graphics card both at the same time.
    pub fn embed(&self, images: &[ImageInput<'_>]) -> Vec<Result<Vec<f32>, ImageError>> {
        let network = self.network.as_ref();
        let prepared =
            |images: &[ImageInput<'_>]| workers::map(images, |image| prepare(*image, network));
        match network.batches() {
            Batches::Alone => workers::map(images, |image| {
                let mut vectors = network.compute(prepare(*image, network)?, 1)?;
                Ok(vectors.swap_remove(0))
            }),
            Batches::Together(count) => images
                .chunks(count)
                .flat_map(|images| compute(prepared(images), network))
                .collect(),
            Batches::Ahead(count) => ahead::map(images.chunks(count), prepared, |prepared| {
                compute(prepared, network)
            })
            .into_iter()
            .flatten()
            .collect(),
        }
    }
}

/// Computes the good ones of prepared pictures as one batch.
fn compute(
    prepared: Vec<Result<Vec<f32>, ImageError>>,
    network: &dyn Network,
) -> Vec<Result<Vec<f32>, ImageError>> {
    let count = prepared.iter().flatten().count();
    let good: Vec<f32> = prepared.iter().flatten().flatten().copied().collect();
    let computed = if count == 0 {
        Ok(Vec::new())
    } else {
        network.compute(good, count)
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

/// The vectors that a network made: the rows of its answer.
///
/// # Shapes
/// - vectors: `[pictures, dimension]`
pub(super) fn rows(vectors: Tensor<2>) -> Result<Vec<Vec<f32>>, ImageError> {
    let [_, dimension] = vectors.dims();
    let values = vectors
        .try_into_vec_as::<f32>()
        .map_err(|error| ImageError::Compute(error.to_string()))?;
    Ok(values
        .chunks_exact(dimension)
        .map(<[f32]>::to_vec)
        .collect())
}

/// An image → the numbers that the network reads.
fn prepare(image: ImageInput<'_>, network: &dyn Network) -> Result<Vec<f32>, ImageError> {
    network.prepare(pixels(image)?.as_ref())
}
