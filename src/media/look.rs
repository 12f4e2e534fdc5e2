//! How an image looks, in 64 bits, so that a repost is found that has other bytes.

use image::RgbImage;

use crate::corpus::Look;

/// Columns and rows of the grid whose neighbours are compared.
const GRID: (u32, u32) = (9, 8);
/// Where the lightest and the darkest place of the grid differ by less, of 255, the comparisons
/// tell noise.
const FLAT: u64 = 6;

/// The look of `picture`; none where it has one colour.
///
/// A dHash: the picture's lightness, averaged over a grid of 9 × 8, and for each two neighbours in
/// a row whether the left one is lighter.
pub(super) fn look(picture: &RgbImage) -> Option<Look> {
    let (width, height) = picture.dimensions();
    if width == 0 || height == 0 {
        return None;
    }
    let (columns, rows) = GRID;
    let mut bits = 0;
    let (mut lightest, mut darkest) = (0, u64::MAX);
    for row in 0..rows {
        let lights = (0..columns).map(|column| {
            mean(
                picture,
                span(column, columns, width),
                span(row, rows, height),
            )
        });
        let lights: Vec<u64> = lights.collect();
        for pair in lights.windows(2) {
            bits = bits << 1 | u64::from(pair[0] > pair[1]);
        }
        lightest = lightest.max(lights.iter().copied().max().unwrap_or(0));
        darkest = darkest.min(lights.iter().copied().min().unwrap_or(0));
    }
    (lightest - darkest >= FLAT * SCALE).then_some(Look(bits))
}

/// The pixels of part `index` of `parts` along a side; at least one.
fn span(index: u32, parts: u32, length: u32) -> std::ops::Range<u32> {
    let at = |index: u32| {
        let exact = u64::from(index) * u64::from(length) / u64::from(parts);
        u32::try_from(exact).unwrap_or(length)
    };
    let from = at(index).min(length - 1);
    from..at(index + 1).max(from + 1)
}

/// Lightness is counted in parts of this many of a step of 255.
const SCALE: u64 = 1000;

/// The mean lightness (Rec. 601) of some pixels.
fn mean(picture: &RgbImage, columns: std::ops::Range<u32>, rows: std::ops::Range<u32>) -> u64 {
    let count = u64::from(columns.end - columns.start) * u64::from(rows.end - rows.start);
    let mut sum = 0;
    for y in rows {
        for x in columns.clone() {
            let [red, green, blue] = picture.get_pixel(x, y).0.map(u64::from);
            sum += 299 * red + 587 * green + 114 * blue;
        }
    }
    sum / count
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::media::{Limits, copy::copy_of, decode, encode_jpeg, encode_png};

    /// Soft blots, as photographs have them, by a seed.
    fn picture(seed: u64, side: u32) -> RgbImage {
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let waves: Vec<[f64; 4]> = (0..6)
            .map(|_| std::array::from_fn(|_| dice.random_range(0.0..6.0)))
            .collect();
        RgbImage::from_fn(side, side, |x, y| {
            let (x, y) = (
                f64::from(x) / f64::from(side),
                f64::from(y) / f64::from(side),
            );
            let light: f64 = waves
                .iter()
                .map(|[a, b, c, d]| (a * x * 2.0 + b * y * 2.0 + c).sin() * d)
                .sum();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to a byte"
            )]
            let byte = (128.0 + light * 6.0).clamp(0.0, 255.0) as u8;
            Rgb([byte, byte / 2, 255 - byte])
        })
    }

    #[test]
    fn copies_look_alike_and_others_do_not() {
        let limits = Limits::default();
        let looks: Vec<Look> = (0..40)
            .map(|seed| look(&picture(seed, 400)).unwrap())
            .collect();
        for (seed, original) in (0..40).zip(&looks) {
            let bytes = encode_png(&picture(seed, 400)).unwrap();
            let (small, _) = copy_of(&bytes, 120, &limits).unwrap();
            let poor = encode_jpeg(&picture(seed, 400), 30).unwrap();
            for copy in [small, poor] {
                let copy = look(&decode(&copy, &limits).unwrap()).unwrap();
                assert!(copy.distance(*original) <= Look::ALIKE, "{seed}");
            }
        }
        let pairs = (0..40).flat_map(|a| (0..a).map(move |b| (a, b)));
        let alike = pairs.filter(|&(a, b)| looks[a].distance(looks[b]) <= Look::ALIKE);
        assert_eq!(alike.count(), 0);
    }

    #[test]
    fn what_has_one_colour_has_no_look() {
        assert_eq!(look(&RgbImage::from_pixel(50, 50, Rgb([9, 9, 9]))), None);
        assert_eq!(look(&RgbImage::new(0, 0)), None);
        assert!(look(&picture(1, 3)).is_some());
    }
}
