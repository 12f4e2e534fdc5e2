//! Bytes → pixels, within limits and without trust.

use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult, RgbImage,
    codecs::{jpeg::JpegEncoder, png::PngEncoder},
    metadata::Orientation,
};

use super::{Format, is_html, sniff, whole::is_whole};
use crate::corpus::{ContentHash, MediaInfo, MediaOutcome};

/// What a file may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, in bytes.
    pub max_bytes: u64,
    /// The most pixels, width times height.
    pub max_pixels: u64,
    /// The most memory for the decoded pixels, in bytes.
    pub max_alloc: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 25_000_000,
            max_pixels: 50_000_000,
            max_alloc: 256 << 20,
        }
    }
}

/// How many times longer one side of an image may be than the other; a longer strip shows an
/// encoder nothing.
const MAX_ASPECT: u32 = 20;

/// Why a file is no image that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file is larger than allowed.
    #[error("the file is too big")]
    TooBig,
    /// It is a web page.
    #[error("it is a web page, not an image")]
    Html,
    /// It is none of the formats that can be read.
    #[error("it is not a JPEG, PNG, WebP or GIF image")]
    NotImage,
    /// It claims more pixels than allowed.
    #[error("it claims more pixels than allowed")]
    Bomb,
    /// One side is many times longer than the other.
    #[error("one side is more than {MAX_ASPECT} times longer than the other")]
    Aspect,
    /// It has no end.
    #[error("it is cut off")]
    Truncated,
    /// It cannot be decoded.
    #[error("it cannot be decoded")]
    Corrupt,
}

impl Fault {
    /// The reason code of [`MediaOutcome::Refused`].
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooBig => "too_big",
            Self::Html => "html",
            Self::NotImage => "not_image",
            Self::Bomb => "bomb",
            Self::Aspect => "aspect",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
        }
    }
}

impl From<Fault> for MediaOutcome {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault.reason())
    }
}

/// What `bytes` are, by their head and their structure: the size within the limits, and an end.
///
/// No pixel is decoded, so that a flipped bit in the middle is found by [`decode`] only.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<MediaInfo, Fault> {
    guarded(|| {
        let head = Head::read(bytes, limits)?;
        let (mut width, mut height) = head.size;
        if width.max(height) / width.min(height) > MAX_ASPECT {
            return Err(Fault::Aspect);
        }
        if turned(head.orientation) {
            (width, height) = (height, width);
        }
        Ok(MediaInfo {
            content: ContentHash::of(bytes),
            bytes: bytes.len() as u64,
            format: head.format.name().to_owned(),
            width,
            height,
        })
    })
}

/// The pixels of `bytes` as 8-bit RGB: the right way up by the EXIF orientation, transparent
/// places over white, the first frame of an animation.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, Fault> {
    guarded(|| {
        let head = Head::read(bytes, limits)?;
        let mut reader = reader(head.format, bytes);
        let mut allowed = image::Limits::default();
        // Decoders need room beside the pixels; the pixels were checked above.
        allowed.max_alloc = Some(limits.max_alloc.saturating_mul(2));
        reader.limits(allowed);
        let mut image = reader.decode().map_err(|error| fault(&error))?;
        image.apply_orientation(head.orientation);
        Ok(over_white(image))
    })
}

/// `image` as a JPEG of this quality (1 to 100).
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))?;
    Ok(bytes)
}

/// `image` as a PNG.
pub fn encode_png(image: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut bytes = Vec::new();
    image.write_with_encoder(PngEncoder::new(&mut bytes))?;
    Ok(bytes)
}

/// What the head of a file says.
struct Head {
    format: Format,
    /// Width and height as stored.
    size: (u32, u32),
    orientation: Orientation,
}

impl Head {
    /// Reads the head and holds it against the limits, before any pixel has a place in memory.
    fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Fault> {
        if bytes.len() as u64 > limits.max_bytes {
            return Err(Fault::TooBig);
        }
        let Some(format) = sniff(bytes) else {
            return Err(if is_html(bytes) {
                Fault::Html
            } else {
                Fault::NotImage
            });
        };
        if let Some((width, height)) = claimed_png_size(format, bytes)
            && u64::from(width) * u64::from(height) > limits.max_pixels
        {
            return Err(Fault::Bomb);
        }
        let mut reader = reader(format, bytes);
        // The size must be readable to be refused; nothing is allocated for it here.
        reader.no_limits();
        let mut decoder = reader.into_decoder().map_err(|error| fault(&error))?;
        let size @ (width, height) = decoder.dimensions();
        if width == 0 || height == 0 {
            return Err(Fault::Corrupt);
        }
        if u64::from(width) * u64::from(height) > limits.max_pixels
            || decoder.total_bytes() > limits.max_alloc
        {
            return Err(Fault::Bomb);
        }
        if !is_whole(format, bytes) {
            return Err(Fault::Truncated);
        }
        // A broken EXIF block does not make the picture unusable.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self {
            format,
            size,
            orientation,
        })
    }
}

/// The size in the first chunk of a PNG; a decoder reads on to the pixels before it tells one, and
/// so takes a bomb that has nothing but its head for a broken file.
fn claimed_png_size(format: Format, bytes: &[u8]) -> Option<(u32, u32)> {
    if format != Format::Png || bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    let side = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    Some((side(16)?, side(20)?))
}

fn reader(format: Format, bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    ImageReader::with_format(Cursor::new(bytes), format.decoder())
}

fn fault(error: &ImageError) -> Fault {
    match error {
        ImageError::Limits(_) => Fault::Bomb,
        _ => Fault::Corrupt,
    }
}

/// Whether width and height change places.
const fn turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

fn over_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let mut flat = RgbImage::new(image.width(), image.height());
    for (to, from) in flat.pixels_mut().zip(image.pixels()) {
        let [colours @ .., alpha] = from.0;
        let alpha = u16::from(alpha);
        to.0 = colours.map(|colour| {
            let mixed = (u16::from(colour) * alpha + 255 * (255 - alpha) + 127) / 255;
            u8::try_from(mixed).expect("a mean of two bytes is a byte")
        });
    }
    flat
}

/// A decoder that panics has met a broken file, which must not end more than that file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Corrupt))
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgb, Rgba, RgbaImage};

    use super::*;

    fn picture() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| {
            Rgb([x * 6, y * 8, (x * y) % 251].map(|value| u8::try_from(value).unwrap()))
        })
    }

    fn files() -> Vec<(Format, Vec<u8>)> {
        let image = DynamicImage::from(picture());
        Format::ALL
            .into_iter()
            .map(|format| {
                let mut bytes = Cursor::new(Vec::new());
                image.write_to(&mut bytes, format.decoder()).unwrap();
                (format, bytes.into_inner())
            })
            .collect()
    }

    #[test]
    fn reads_all_formats() {
        for (format, bytes) in files() {
            let info = probe(&bytes, &Limits::default()).unwrap();
            assert_eq!((info.width, info.height), (40, 30));
            assert_eq!(info.format, format.name());
            assert_eq!(info.content, ContentHash::of(&bytes));
            let image = decode(&bytes, &Limits::default()).unwrap();
            assert_eq!(image.dimensions(), (40, 30));
            if matches!(format, Format::Png | Format::Webp) {
                assert_eq!(image, picture());
            }
        }
    }

    #[test]
    fn a_file_without_its_end_is_truncated() {
        let limits = Limits::default();
        for (format, bytes) in files() {
            for part in [3, 2] {
                // Where the cut goes through the head, the decoder finds it first.
                let cut = &bytes[..bytes.len() * (part - 1) / part];
                let is_told = |end| matches!(end, Some(Fault::Truncated | Fault::Corrupt));
                assert!(is_told(probe(cut, &limits).err()), "{format:?}");
                assert!(is_told(decode(cut, &limits).err()), "{format:?}");
            }
            let cut = &bytes[..bytes.len() - 8];
            if format != Format::Webp {
                assert_eq!(probe(cut, &limits), Err(Fault::Truncated), "{format:?}");
                assert_eq!(decode(cut, &limits), Err(Fault::Truncated), "{format:?}");
            }
        }
    }

    #[test]
    fn trailing_bytes_do_no_harm() {
        for (format, mut bytes) in files() {
            bytes.extend_from_slice(&[0; 100]);
            assert!(probe(&bytes, &Limits::default()).is_ok(), "{format:?}");
            assert!(decode(&bytes, &Limits::default()).is_ok(), "{format:?}");
        }
    }

    /// A PNG whose head claims 60,000 × 60,000 pixels, with a valid checksum.
    fn bomb() -> Vec<u8> {
        let mut bytes = encode_png(&picture()).unwrap();
        bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
        let mut sum = !0_u32;
        for byte in &bytes[12..29] {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
            }
        }
        bytes[29..33].copy_from_slice(&(!sum).to_be_bytes());
        bytes
    }

    #[test]
    fn what_claims_too_much_is_a_bomb() {
        assert_eq!(probe(&bomb(), &Limits::default()), Err(Fault::Bomb));
        assert_eq!(decode(&bomb(), &Limits::default()), Err(Fault::Bomb));
        assert_eq!(probe(&bomb()[..33], &Limits::default()), Err(Fault::Bomb));
        let mut jpeg = encode_jpeg(&picture(), 90).unwrap();
        let size = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap() + 5;
        jpeg[size..size + 4].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
        assert_eq!(probe(&jpeg, &Limits::default()), Err(Fault::Bomb));
        let small = Limits {
            max_alloc: 3000,
            ..Limits::default()
        };
        assert_eq!(
            decode(&encode_png(&picture()).unwrap(), &small),
            Err(Fault::Bomb)
        );
    }

    #[test]
    fn what_is_no_image_has_a_reason() {
        let limits = Limits::default();
        assert_eq!(probe(b"<html><p>no", &limits), Err(Fault::Html));
        assert_eq!(probe(b"hello", &limits), Err(Fault::NotImage));
        assert_eq!(probe(b"", &limits), Err(Fault::NotImage));
        assert_eq!(probe(b"\xff\xd8\xff\xe0", &limits), Err(Fault::Corrupt));
        let strip = |length| encode_png(&RgbImage::new(length, 2)).unwrap();
        assert_eq!(probe(&strip(42), &limits), Err(Fault::Aspect));
        assert!(probe(&strip(41), &limits).is_ok());
    }

    #[test]
    fn stands_the_right_way_up() {
        let mut bytes = encode_jpeg(&picture(), 95).unwrap();
        // An EXIF segment with one entry: orientation 6, a quarter turn to the right.
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut segment = vec![0xff, 0xe1, 0, u8::try_from(exif.len() + 2).unwrap()];
        segment.extend_from_slice(exif);
        bytes.splice(2..2, segment);
        let info = probe(&bytes, &Limits::default()).unwrap();
        assert_eq!((info.width, info.height), (30, 40));
        assert_eq!(
            decode(&bytes, &Limits::default()).unwrap().dimensions(),
            (30, 40)
        );
    }

    #[test]
    fn what_is_transparent_shows_white() {
        let image =
            RgbaImage::from_fn(2, 1, |x, _| Rgba([200, 0, 0, if x == 0 { 0 } else { 255 }]));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        let flat = decode(bytes.get_ref(), &Limits::default()).unwrap();
        assert_eq!(flat.into_raw(), [255, 255, 255, 200, 0, 0]);
    }
}
