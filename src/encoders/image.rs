//! Images → vectors.
//!
//! A file is read as `ImageOps.exif_transpose(Image.open(file)).convert("RGB")` of Pillow reads it:
//! turned upright as its EXIF block says, since a photograph that lies on its side is another one
//! to a network; the colours of what is see-through as they are stored, without a ground behind
//! them; ink by the plain formula, without a profile; the first picture of an animation. Files
//! without losses have the same pixels, JPEG differs by at most three steps of 255. Only 16 bits of
//! grey are not what Pillow makes of them, for it takes everything above 255 of 65,535 for white;
//! here they are rounded to 8 bits. See `tests/reference/picture_formats.py`. A file that is cut off
//! is refused, as Pillow does.
//!
//! A JPEG is decoded whole, though a network sees little of it. To decode it at a half or a quarter
//! (crate `jpeg-decoder` 0.3.2, so that what is left has at least twice the side that is needed) was
//! measured: decoding and scaling took 1.0 to 1.4 times less of a core for pictures of 2,000 to
//! 3,000 pixels, 1.5 to 2.0 times less for 4,000 × 3,000, for most of the time goes into reading the
//! bits, of which none can be left out; and no vector of EfficientNet-Lite0 kept a cosine of 0.9999
//! to that of the whole picture (0.995 to 0.9998, at 224 and at 384 pixels).

use std::{borrow::Cow, io::Cursor, path::Path};

use burn::tensor::{Device, Tensor};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage, Rgba};

use super::{
    DeviceSpec, Error, ImageError, Kind, TextOptions, WeightsSettings, ahead, efficientnet,
    fingerprint,
    timm::TimmNetwork,
    weights::{self, catalogue},
    workers,
};
use crate::{corpus::Fingerprint, media};

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

/// The upright pixels of an image.
pub(super) fn pixels(image: ImageInput<'_>) -> Result<Cow<'_, RgbImage>, ImageError> {
    match image {
        ImageInput::Bytes(bytes) => decode(bytes).map(Cow::Owned),
        ImageInput::File(path) => decode(&fs_err::read(path)?).map(Cow::Owned),
        ImageInput::Pixels(pixels) => Ok(Cow::Borrowed(pixels)),
    }
}

/// An image's pixels on white, where it lets something through.
///
/// Source: `convert_to_rgb` of transformers' `image_transforms.py`, with the rounding of Pillow's
/// `alpha_composite`.
pub(super) fn over_white(image: ImageInput<'_>) -> Result<Cow<'_, RgbImage>, ImageError> {
    let picture = match image {
        ImageInput::Bytes(bytes) => upright(bytes)?,
        ImageInput::File(path) => upright(&fs_err::read(path)?)?,
        ImageInput::Pixels(pixels) => return Ok(Cow::Borrowed(pixels)),
    };
    if !picture.color().has_alpha() {
        return Ok(Cow::Owned(picture.into_rgb8()));
    }
    let picture = picture.into_rgba8();
    let (width, height) = picture.dimensions();
    Ok(Cow::Owned(RgbImage::from_fn(width, height, |x, y| {
        let Rgba([red, green, blue, opaque]) = *picture.get_pixel(x, y);
        Rgb([red, green, blue].map(|level| on_white(level, opaque)))
    })))
}

/// One channel of a pixel of which `opaque` of 255 parts are there.
fn on_white(level: u8, opaque: u8) -> u8 {
    let opaque = u32::from(opaque);
    let sum = u32::from(level) * opaque + 255 * (255 - opaque) + 128;
    u8::try_from((sum + (sum >> 8)) >> 8).unwrap_or(u8::MAX)
}

/// A file's bytes → upright pixels.
fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    Ok(upright(bytes)?.into_rgb8())
}

fn upright(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let broken = |error: image::ImageError| ImageError::Decode(error.to_string());
    let refused = |words: &str| Err(ImageError::Decode(words.to_owned()));
    match media::sniff(bytes) {
        None if media::is_html(bytes) => return refused("it is a web page"),
        None => return refused("it is not a JPEG, PNG, WebP or GIF file"),
        // What is missing of it would be grey without a word.
        Some(format) if !media::is_whole(format, bytes) => return refused("the file is cut off"),
        Some(_) => {}
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_SIDE || decoder.total_bytes() > MAX_BYTES {
        return refused(&format!(
            "it has {width}×{height} pixels; at most {MAX_SIDE} a side and {} MiB in all are read",
            MAX_BYTES >> 20
        ));
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}
