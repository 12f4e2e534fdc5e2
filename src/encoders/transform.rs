//! A picture → the numbers that a model was trained on, as the Python libraries make them.

use image::{Rgb, RgbImage, imageops};

use super::{
    ImageError,
    resample::{Digits, Filter, Span, resample},
};

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
    pub(super) filter: Filter,
    pub(super) digits: Digits,
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
        let cut = self.cut(picture);
        let mut numbers = Vec::with_capacity(cut.as_raw().len());
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let values = cut.pixels().map(|pixel| pixel.0[channel]);
            numbers.extend(values.map(|value| (f32::from(value) / 255.0 - mean) / std));
        }
        Ok(numbers)
    }

    /// The picture, scaled and cut.
    fn cut(&self, picture: &RgbImage) -> RgbImage {
        let [height, width] = self.size;
        let (scaled_width, scaled_height) = self.scaled_size(picture.dimensions());
        let (across, before) = middle(picture.width(), scaled_width, width);
        let (down, above) = middle(picture.height(), scaled_height, height);
        let inner = resample(picture, across, down, self.filter, self.digits);
        if inner.dimensions() == (width, height) {
            return inner;
        }
        let border = match self.fit {
            Fit::Border => self.mean.map(|mean| {
                let level = whole(f64::from(mean * 255.0).round_ties_even());
                u8::try_from(level).unwrap_or(u8::MAX)
            }),
            Fit::Center | Fit::Squash => [0; 3],
        };
        let mut cut = RgbImage::from_pixel(width, height, Rgb(border));
        imageops::replace(&mut cut, &inner, before, above);
        cut
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

/// `have` pixels become `scaled`, of which the middle `want` are kept; behind the second number of
/// border, whose larger half follows, where there are too few.
fn middle(have: u32, scaled: u32, want: u32) -> (Span, i64) {
    let start = f64::from(scaled.saturating_sub(want)) / 2.0;
    let span = Span {
        have,
        scaled,
        start: whole(start.round_ties_even()),
        kept: want.min(scaled),
    };
    (span, i64::from(want.saturating_sub(scaled) / 2))
}
