//! Image files → pixels.
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

use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage, Rgba, RgbaImage};

use super::{ImageError, workers};
use crate::media;

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
    /// A file that several encoders read, decoded once.
    Picture(&'a Picture),
}

/// A decoded file: its pixels, upright, and how much each lets through.
#[derive(Debug)]
pub struct Picture(DynamicImage);

impl Picture {
    /// Reads files, each on one core; a broken one harms no other.
    pub fn read_all(files: &[&Path]) -> Vec<Result<Self, ImageError>> {
        workers::map(files, |file| upright(&fs_err::read(file)?).map(Self))
    }
}

/// The upright pixels of an image.
pub(super) fn pixels(image: ImageInput<'_>) -> Result<Cow<'_, RgbImage>, ImageError> {
    let picture = match image {
        ImageInput::Bytes(bytes) => upright(bytes)?,
        ImageInput::File(path) => upright(&fs_err::read(path)?)?,
        ImageInput::Pixels(pixels) => return Ok(Cow::Borrowed(pixels)),
        ImageInput::Picture(Picture(picture)) => return Ok(rgb(picture)),
    };
    Ok(Cow::Owned(picture.into_rgb8()))
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
        ImageInput::Picture(Picture(picture)) if picture.color().has_alpha() => {
            return Ok(Cow::Owned(composed(&picture.to_rgba8())));
        }
        ImageInput::Picture(Picture(picture)) => return Ok(rgb(picture)),
    };
    Ok(Cow::Owned(if picture.color().has_alpha() {
        composed(&picture.into_rgba8())
    } else {
        picture.into_rgb8()
    }))
}

/// A picture's colours, as they are stored.
fn rgb(picture: &DynamicImage) -> Cow<'_, RgbImage> {
    match picture {
        DynamicImage::ImageRgb8(pixels) => Cow::Borrowed(pixels),
        other => Cow::Owned(other.to_rgb8()),
    }
}

/// A picture on white.
fn composed(picture: &RgbaImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let Rgba([red, green, blue, opaque]) = *picture.get_pixel(x, y);
        Rgb([red, green, blue].map(|level| on_white(level, opaque)))
    })
}

/// One channel of a pixel of which `opaque` of 255 parts are there.
fn on_white(level: u8, opaque: u8) -> u8 {
    let opaque = u32::from(opaque);
    let sum = u32::from(level) * opaque + 255 * (255 - opaque) + 128;
    u8::try_from((sum + (sum >> 8)) >> 8).unwrap_or(u8::MAX)
}

/// A file's bytes → its picture, turned as its EXIF block says.
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
