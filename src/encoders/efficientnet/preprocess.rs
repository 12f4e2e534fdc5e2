//! A picture → the numbers that the network was trained on.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;

use crate::encoders::ImageError;

/// The side of the square that the network sees, in pixels.
pub(in crate::encoders) const SIDE: usize = 224;

/// The middle square of the picture, scaled to [`SIDE`] with an antialiasing bicubic filter, as
/// `(value − 127) / 128`.
///
/// # Shapes
/// - output: `[SIDE, SIDE, 3]`, row-major, red first
pub(in crate::encoders) fn preprocess(picture: &RgbImage) -> Result<Vec<f32>, ImageError> {
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::Empty { width, height });
    }
    let decode = |error: &dyn std::fmt::Display| ImageError::Decode(error.to_string());
    // Typed, so that the library's code for the other kinds of pixels is not even compiled.
    let source = TypedImageRef::<U8x3>::from_buffer(width, height, picture.as_raw())
        .map_err(|error| decode(&error))?;
    let side = u32::try_from(SIDE).expect("the side is small");
    let mut square = TypedImage::<U8x3>::new(side, side);
    let shorter = f64::from(width.min(height));
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(
            (f64::from(width) - shorter) / 2.0,
            (f64::from(height) - shorter) / 2.0,
            shorter,
            shorter,
        );
    Resizer::new()
        .resize_typed(&source, &mut square, &options)
        .map_err(|error| decode(&error))?;
    Ok(square
        .pixels()
        .iter()
        .flat_map(|pixel| pixel.0)
        .map(|value| (f32::from(value) - 127.0) / 128.0)
        .collect())
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn takes_the_middle_and_scales_the_values() {
        // Grey in the middle square, other colours left and right of it.
        let picture = RgbImage::from_fn(640, 320, |x, _| {
            if (160..480).contains(&x) {
                Rgb([127, 255, 0])
            } else {
                Rgb([9, 9, 9])
            }
        });
        let values = preprocess(&picture).unwrap();
        assert_eq!(values.len(), 3 * SIDE * SIDE);
        let centre = SIDE * SIDE / 2 + SIDE / 2;
        let pixel: Vec<u32> = values[centre * 3..][..3]
            .iter()
            .map(|v| v.to_bits())
            .collect();
        assert_eq!(pixel, [0.0_f32, 1.0, -127.0 / 128.0].map(f32::to_bits));
        assert!(preprocess(&RgbImage::new(0, 3)).is_err());
        assert!(preprocess(&RgbImage::new(1, 1)).is_ok());
    }
}
