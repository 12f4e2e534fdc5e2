//! A smaller copy of an image, for encoders that come when the image itself is gone.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;

use super::{Fault, Limits, decode, encode_jpeg};

/// The quality of a copy: what encoders see of it hardly differs from what they see of the image.
const QUALITY: u8 = 92;

/// `bytes` as a JPEG, upright, whose longer side has `side` pixels; and its picture.
///
/// # Errors
///
/// Where it cannot be decoded.
pub(super) fn copy_of(
    bytes: &[u8],
    side: u32,
    limits: &Limits,
) -> Result<(Vec<u8>, RgbImage), Fault> {
    let picture = decode(bytes, limits)?;
    let (width, height) = picture.dimensions();
    let longer = width.max(height).max(1);
    let to = |length: u32| {
        let exact = u64::from(length) * u64::from(side) / u64::from(longer);
        u32::try_from(exact.max(1)).unwrap_or(side)
    };
    let small = resized(&picture, to(width), to(height)).ok_or(Fault::Corrupt)?;
    let bytes = encode_jpeg(&small, QUALITY).map_err(|_| Fault::Corrupt)?;
    Ok((bytes, small))
}

/// The picture at another size; none where it is empty.
fn resized(picture: &RgbImage, width: u32, height: u32) -> Option<RgbImage> {
    let (have_width, have_height) = picture.dimensions();
    let from =
        TypedImageRef::<U8x3>::from_buffer(have_width, have_height, picture.as_raw()).ok()?;
    // Typed, so that the library's code for the other kinds of pixels is not even compiled.
    let mut to = TypedImage::<U8x3>::new(width, height);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize_typed(&from, &mut to, &options).ok()?;
    let bytes = to.pixels().iter().flat_map(|pixel| pixel.0).collect();
    RgbImage::from_raw(width, height, bytes)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::media::{encode_png, probe};

    #[test]
    fn a_copy_has_the_shape_of_the_image_and_looks_like_it() {
        let limits = Limits::default();
        let byte = |value: u32| u8::try_from(value % 256).unwrap();
        let picture = RgbImage::from_fn(900, 300, |x, y| {
            Rgb([byte(x / 4), byte(y / 2), byte((x + y) / 8)])
        });
        let (copy, _) = copy_of(&encode_png(&picture).unwrap(), 600, &limits).unwrap();
        let info = probe(&copy, &limits).unwrap();
        assert_eq!(
            (info.width, info.height, info.format.as_str()),
            (600, 200, "jpeg")
        );
        let small = decode(&copy, &limits).unwrap();
        for (x, y) in [(0, 0), (300, 100), (599, 199)] {
            let (seen, meant) = (
                small.get_pixel(x, y),
                picture.get_pixel(x * 3 / 2, y * 3 / 2),
            );
            for channel in 0..3 {
                assert!(
                    seen.0[channel].abs_diff(meant.0[channel]) <= 6,
                    "{seen:?} {meant:?}"
                );
            }
        }
        assert!(copy_of(b"no image", 600, &limits).is_err());
        let strip = RgbImage::new(2000, 1);
        let (copy, _) = copy_of(&encode_png(&strip).unwrap(), 600, &limits).unwrap();
        assert_eq!(decode(&copy, &limits).unwrap().dimensions(), (600, 1));
    }
}
