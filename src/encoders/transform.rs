//! A picture → the numbers that a model was trained on, as the Python libraries make them.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::{Rgb, RgbImage, imageops};

use super::ImageError;

/// Scaling, cutting and normalising.
///
/// Source: `transforms_imagenet_eval` of timm's `data/transforms_factory.py`, with the rounding of
/// torchvision's `Resize` and `CenterCrop` and of Pillow's `resize`.
#[derive(Clone, Debug)]
pub(super) struct Transform {
    /// Height and width of the result.
    pub(super) size: [u32; 2],
    /// Height and width before the cut.
    pub(super) scaled: [u32; 2],
    pub(super) fit: Fit,
    pub(super) filter: FilterType,
    /// The mean of each channel, of values from 0 to 1.
    pub(super) mean: [f32; 3],
    /// The standard deviation of each channel.
    pub(super) std: [f32; 3],
}

/// What becomes of a picture of another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Its middle is kept.
    Center,
    /// It is squeezed.
    Squash,
    /// It is kept whole, with borders.
    Border,
}

impl Transform {
    /// Height and width of what it gives.
    pub(super) fn size(&self) -> [usize; 2] {
        self.size.map(|side| side as usize)
    }

    /// The numbers of one picture.
    ///
    /// # Shapes
    /// - output: `[3, height, width]`, row-major
    pub(super) fn apply(&self, picture: &RgbImage) -> Result<Vec<f32>, ImageError> {
        let (width, height) = picture.dimensions();
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        let cut = self.cut(picture)?;
        let mut numbers = Vec::with_capacity(cut.as_raw().len());
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let values = cut.pixels().map(|pixel| pixel.0[channel]);
            numbers.extend(values.map(|value| (f32::from(value) / 255.0 - mean) / std));
        }
        Ok(numbers)
    }

    /// The picture, scaled and cut.
    fn cut(&self, picture: &RgbImage) -> Result<RgbImage, ImageError> {
        let [height, width] = self.size;
        let (scaled_width, scaled_height) = self.scaled_size(picture.dimensions());
        let (across, down) = (
            Span::new(picture.width(), scaled_width, width),
            Span::new(picture.height(), scaled_height, height),
        );
        let inner = resize(picture, &across, &down, self.filter)?;
        if inner.dimensions() == (width, height) {
            return Ok(inner);
        }
        let border = match self.fit {
            Fit::Border => self.mean.map(|mean| {
                let level = whole(f64::from(mean * 255.0).round_ties_even());
                u8::try_from(level).unwrap_or(u8::MAX)
            }),
            Fit::Center | Fit::Squash => [0; 3],
        };
        let mut cut = RgbImage::from_pixel(width, height, Rgb(border));
        imageops::replace(&mut cut, &inner, across.border, down.border);
        Ok(cut)
    }

    /// Width and height of a picture of these before the cut.
    fn scaled_size(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let [to_height, to_width] = self.scaled;
        match self.fit {
            Fit::Squash => (to_width, to_height),
            // The shorter side is given, the longer one is cut down to whole pixels.
            Fit::Center if to_width == to_height => {
                let longer = |length: u32, shorter: u32| {
                    let exact = u64::from(to_width) * u64::from(length) / u64::from(shorter);
                    u32::try_from(exact).unwrap_or(u32::MAX)
                };
                if width <= height {
                    (to_width, longer(height, width))
                } else {
                    (longer(width, height), to_height)
                }
            }
            Fit::Center | Fit::Border => {
                let down = f64::from(height) / f64::from(to_height);
                let across = f64::from(width) / f64::from(to_width);
                let ratio = if self.fit == Fit::Border {
                    down.max(across)
                } else {
                    down.min(across)
                };
                let to = |length: u32| whole((f64::from(length) / ratio).round_ties_even());
                (to(width).max(1), to(height).max(1))
            }
        }
    }
}

/// A number that has no fraction; below zero it is zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast keeps within the bounds"
)]
pub(super) const fn whole(value: f64) -> u32 {
    value as u32
}

/// What one axis of a picture becomes. Only what is kept is computed: a strip of 20,000 by 10
/// pixels would have a hundred million in between.
struct Span {
    /// Where what is kept begins in the picture, and how long it is there.
    from: f64,
    length: f64,
    /// How long it is in the result, and behind how much border.
    kept: u32,
    border: i64,
}

impl Span {
    /// `have` pixels become `scaled`, of which the middle `want` are kept.
    fn new(have: u32, scaled: u32, want: u32) -> Self {
        if scaled < want {
            return Self {
                from: 0.0,
                length: f64::from(have),
                kept: scaled,
                // The larger half of a border is behind.
                border: i64::from((want - scaled) / 2),
            };
        }
        let pixel = f64::from(have) / f64::from(scaled);
        let start = (f64::from(scaled - want) / 2.0).round_ties_even();
        Self {
            from: start * pixel,
            // Rounding must not reach over the edge.
            length: (f64::from(want) * pixel).min(f64::from(have) - start * pixel),
            kept: want,
            border: 0,
        }
    }
}

/// A part of a picture at another size, by an antialiasing filter in 8 bits as Pillow does it:
/// first across, then down, rounded in between. The library would go down first, as Pillow does
/// from version 13 on with some pictures that lose more of their height than of their width.
fn resize(
    picture: &RgbImage,
    across: &Span,
    down: &Span,
    filter: FilterType,
) -> Result<RgbImage, ImageError> {
    // Only the rows that the second pass looks at; the widest filter reaches three pixels.
    let reach = 3.0 * (down.length / f64::from(down.kept)).max(1.0) + 1.0;
    let first = (down.from - reach).floor().max(0.0);
    let end = (down.from + down.length + reach).ceil();
    let rows = end.min(f64::from(picture.height())) - first;
    let narrow = pass(
        picture,
        [across.from, first, across.length, rows],
        [across.kept, whole(rows)],
        filter,
    )?;
    let wide = f64::from(across.kept);
    pass(
        &narrow,
        [0.0, down.from - first, wide, down.length],
        [across.kept, down.kept],
        filter,
    )
}

/// A part of a picture (left, top, width, height) at another size (width, height).
fn pass(
    picture: &RgbImage,
    [left, top, wide, high]: [f64; 4],
    [width, height]: [u32; 2],
    filter: FilterType,
) -> Result<RgbImage, ImageError> {
    let broken = |error: &dyn std::fmt::Display| ImageError::Decode(error.to_string());
    // Typed, so that the library's code for the other kinds of pixels is not even compiled.
    let source =
        TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.as_raw())
            .map_err(|error| broken(&error))?;
    let mut target = TypedImage::<U8x3>::new(width, height);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(left, top, wide, high);
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .map_err(|error| broken(&error))?;
    let bytes = target.pixels().iter().flat_map(|pixel| pixel.0).collect();
    Ok(RgbImage::from_raw(width, height, bytes).expect("three bytes for each pixel"))
}
