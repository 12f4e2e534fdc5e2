//! A part of a picture at another size, digit for digit as Pillow or torchvision computes it.
//!
//! Our own loops, because encoders are compared with those that these libraries fed, and both weigh
//! differently: the crate `fast_image_resize` is faster and has torchvision's 15 bits where Pillow
//! has 22, so that up to one number in 18 of a picture differs by a step of 255. The tower of
//! Visualized-BGE at full size with random weights showed that as a cosine of 0.999985.
//!
//! Sources: `ImagingResample` of Pillow's `src/libImaging/Resample.c`; for tensors of bytes
//! `PyTorch`'s `aten/src/ATen/native/cpu/UpSampleKernel.cpp`. Both go first across, then down, and
//! round in between; from version 13 on Pillow goes down first with some pictures that lose more of
//! their height than of their width.

use image::RgbImage;

/// Whose digits a weight has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    /// Pillow's: 22 bits behind the point.
    Pillow,
    /// torchvision's for tensors of bytes: as many as let the largest weight of an axis fit 16 bits.
    Torchvision,
}

impl Digits {
    /// The bits behind the point of weights of which this is the largest.
    fn bits(self, largest: f64) -> u32 {
        let fits = |bits: &u32| (largest * f64::from(1 << bits) + 0.5).floor() < f64::from(1 << 15);
        match self {
            Self::Pillow => MOST_BITS,
            Self::Torchvision => (1..=MOST_BITS).take_while(fits).last().unwrap_or(0),
        }
    }
}

/// With more bits a sum of 255 times each weight would not fit 32.
const MOST_BITS: u32 = 22;

/// How much the pixels around a place count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Box,
    Bilinear,
    Hamming,
    /// Cubic, with a = −0.5.
    Bicubic,
    Lanczos,
}

impl Filter {
    /// How far it reaches, in pixels.
    const fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight of what is `x` pixels away.
    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| {
            let angle = x * std::f64::consts::PI;
            if x == 0.0 { 1.0 } else { angle.sin() / angle }
        };
        let far = x.abs();
        match self {
            Self::Box if x > -0.5 && x <= 0.5 => 1.0,
            Self::Bilinear if far < 1.0 => 1.0 - far,
            Self::Hamming if far < 1.0 => {
                sinc(far) * (0.54 + 0.46 * (far * std::f64::consts::PI).cos())
            }
            Self::Bicubic if far < 1.0 => (1.5 * far - 2.5) * far * far + 1.0,
            Self::Bicubic if far < 2.0 => (((far - 5.0) * far + 8.0) * far - 4.0) * -0.5,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

/// What one axis of a picture becomes. Only what is kept is computed: a strip of 20,000 by 10
/// pixels would have a hundred million in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// How long it is.
    pub(super) have: u32,
    /// How long it would be at the other size.
    pub(super) scaled: u32,
    /// The first pixel of that which is kept, and how many are.
    pub(super) start: u32,
    pub(super) kept: u32,
}

/// The pixels that make one, with their weights.
struct Taps<T> {
    first: usize,
    weights: Vec<T>,
}

/// What the pixels of one axis are made of, in numbers with a fixed point.
struct Axis {
    taps: Vec<Taps<i32>>,
    bits: u32,
}

impl Axis {
    /// The first pixel that is looked at, and the one behind the last.
    fn reach(&self) -> (usize, usize) {
        let first = self.taps.first().map_or(0, |taps| taps.first);
        let end = self.taps.last();
        (first, end.map_or(0, |taps| taps.first + taps.weights.len()))
    }

    /// A weighted sum as a level of 0 to 255, rounded.
    fn level(&self, sum: i32) -> u8 {
        let half = (1 << self.bits) >> 1;
        let level = (sum + half) >> self.bits;
        u8::try_from(level.clamp(0, 255)).unwrap_or(u8::MAX)
    }
}

impl Span {
    /// Per pixel that is kept, what it is made of.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the casts keep within the picture"
    )]
    fn taps(self, filter: Filter) -> Vec<Taps<f64>> {
        let scale = f64::from(self.have) / f64::from(self.scaled);
        let wide = scale.max(1.0);
        let reach = filter.support() * wide;
        let of_pixel = |at: u32| {
            let center = (f64::from(at) + 0.5) * scale;
            let first = (center - reach + 0.5).max(0.0) as u32;
            let end = ((center + reach + 0.5) as u32).min(self.have);
            let mut weights: Vec<f64> = (first..end)
                .map(|from| filter.weight((f64::from(from) - center + 0.5) * wide.recip()))
                .collect();
            let sum: f64 = weights.iter().sum();
            for weight in &mut weights {
                *weight /= sum;
            }
            Taps {
                first: first as usize,
                weights,
            }
        };
        (self.start..self.start + self.kept).map(of_pixel).collect()
    }

    /// The same with a fixed point.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a weight is at most two, with 22 bits behind the point"
    )]
    fn axis(self, filter: Filter, digits: Digits) -> Axis {
        let taps = self.taps(filter);
        let all = taps.iter().flat_map(|taps| &taps.weights);
        let bits = digits.bits(all.fold(0.0, |largest, weight| f64::max(largest, *weight)));
        let one = f64::from(1 << bits);
        let fixed = |taps: Taps<f64>| Taps {
            first: taps.first,
            weights: taps
                .weights
                .iter()
                .map(|weight| (weight * one).round() as i32)
                .collect(),
        };
        Axis {
            taps: taps.into_iter().map(fixed).collect(),
            bits,
        }
    }
}

/// What is kept of a picture at the other size: `across.kept` by `down.kept` pixels.
pub(super) fn resample(
    picture: &RgbImage,
    across: Span,
    down: Span,
    filter: Filter,
    digits: Digits,
) -> RgbImage {
    let (columns, rows) = (across.axis(filter, digits), down.axis(filter, digits));
    // Only the rows that the second pass looks at.
    let (first, end) = rows.reach();
    let (width, narrow) = (picture.width() as usize * 3, columns.taps.len() * 3);
    let mut crossed = Vec::with_capacity((end - first) * narrow);
    let mut planes = [const { Vec::new() }; 3];
    for row in picture.as_raw()[first * width..end * width].chunks_exact(width.max(1)) {
        // Neighbours side by side: the compiler then multiplies several at once.
        for (channel, plane) in planes.iter_mut().enumerate() {
            plane.clear();
            plane.extend(row.iter().skip(channel).step_by(3).copied());
        }
        for taps in &columns.taps {
            let within = taps.first..taps.first + taps.weights.len();
            crossed.extend(planes.each_ref().map(|plane| {
                let pairs = plane[within.clone()].iter().zip(&taps.weights);
                columns.level(
                    pairs
                        .map(|(&value, weight)| i32::from(value) * weight)
                        .sum(),
                )
            }));
        }
    }
    let mut bytes = Vec::with_capacity(rows.taps.len() * narrow);
    let mut sums = vec![0; narrow];
    for taps in &rows.taps {
        sums.fill(0);
        let seen = crossed[(taps.first - first) * narrow..].chunks_exact(narrow.max(1));
        for (row, weight) in seen.zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        bytes.extend(sums.iter().map(|&sum| rows.level(sum)));
    }
    RgbImage::from_raw(across.kept, down.kept, bytes).expect("three bytes for each pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of grey, of odd sizes, through both axes.
    fn picture() -> RgbImage {
        RgbImage::from_fn(23, 17, |x, y| {
            let level = |by: u32| u8::try_from((x * x * by + y * 37) % 256).unwrap();
            image::Rgb([level(7), level(3), level(11)])
        })
    }

    fn whole(have: u32, scaled: u32) -> Span {
        Span {
            have,
            scaled,
            start: 0,
            kept: scaled,
        }
    }

    #[test]
    fn a_part_is_that_part_of_the_whole() {
        for filter in [
            Filter::Box,
            Filter::Bilinear,
            Filter::Hamming,
            Filter::Bicubic,
            Filter::Lanczos,
        ] {
            for (width, height) in [(9, 7), (23, 17), (31, 40), (1, 1), (64, 5)] {
                let (across, down) = (whole(23, width), whole(17, height));
                let all = resample(&picture(), across, down, filter, Digits::Pillow);
                let part = |span: Span| Span {
                    start: span.kept / 3,
                    kept: span.kept.div_ceil(2),
                    ..span
                };
                let (inner_across, inner_down) = (part(across), part(down));
                let inner = resample(&picture(), inner_across, inner_down, filter, Digits::Pillow);
                for (x, y, pixel) in inner.enumerate_pixels() {
                    let there = all.get_pixel(x + inner_across.start, y + inner_down.start);
                    assert_eq!(pixel, there, "{filter:?} {width}x{height} at {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        for digits in [Digits::Pillow, Digits::Torchvision] {
            let same = resample(
                &picture(),
                whole(23, 23),
                whole(17, 17),
                Filter::Bicubic,
                digits,
            );
            assert_eq!(same, picture());
        }
    }

    #[test]
    fn as_many_bits_as_fit() {
        assert_eq!(Digits::Pillow.bits(1.0), 22);
        // 2^14 fits, 2^15 does not.
        assert_eq!(Digits::Torchvision.bits(1.0), 14);
        assert_eq!(Digits::Torchvision.bits(0.5), 15);
        assert_eq!(Digits::Torchvision.bits(0.03), 20);
        assert_eq!(Digits::Torchvision.bits(0.0), 22);
    }
}
