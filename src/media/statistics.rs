//! How an image looks, in numbers that need no encoder.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "features are f32, and lightness lies between 0 and 255"
)]

use image::{
    RgbImage,
    imageops::{FilterType, resize},
};

use crate::corpus::ImageStatistics;

/// Pictures whose longer side has more pixels are made so small first: what is told must not depend
/// on the size at which somebody uploaded it.
const SIDE: u32 = 256;
/// The steps of lightness that the entropy tells apart.
const STEPS: usize = 256;

/// The numbers of `picture`; none where it has no pixels.
///
/// Colourfulness is `M̂⁽³⁾` of Hasler and Süsstrunk (2003), *Measuring colourfulness in natural
/// images*; sharpness the variance of the Laplacian (Pech-Pacheco et al. 2000).
pub fn statistics(picture: &RgbImage) -> Option<ImageStatistics> {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if width == 0 || height == 0 {
        return None;
    }
    if longer > SIDE {
        let to = |length: u32| (length * SIDE).div_ceil(longer).max(1);
        let small = resize(picture, to(width), to(height), FilterType::Triangle);
        return Some(numbers(&small));
    }
    Some(numbers(picture))
}

fn numbers(picture: &RgbImage) -> ImageStatistics {
    let pixels = || picture.pixels().map(|pixel| pixel.0.map(f64::from));
    let light: Vec<f64> = pixels()
        .map(|[red, green, blue]| 0.299 * red + 0.587 * green + 0.114 * blue)
        .collect();
    let (brightness, contrast) = moments(light.iter().copied());
    let (red_green, of_red_green) = moments(pixels().map(|[red, green, _]| red - green));
    let (yellow_blue, of_yellow_blue) =
        moments(pixels().map(|[red, green, blue]| f64::midpoint(red, green) - blue));
    let colourfulness = of_red_green.hypot(of_yellow_blue) + 0.3 * red_green.hypot(yellow_blue);
    let (_, edges) = moments(laplacian(&light, picture.width() as usize));
    ImageStatistics {
        brightness: (brightness / 255.0) as f32,
        contrast: (contrast / 255.0) as f32,
        colourfulness: (colourfulness / 255.0) as f32,
        sharpness: edges.powi(2).ln_1p() as f32,
        entropy: entropy(&light) as f32,
    }
}

/// Mean and standard deviation; zeros of nothing.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (sum, count) = values
        .clone()
        .fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
    if count == 0.0 {
        return (0.0, 0.0);
    }
    let mean = sum / count;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

/// The sum of the four neighbours less four times the place itself, of all places that have four.
fn laplacian(light: &[f64], width: usize) -> impl Iterator<Item = f64> + Clone {
    let height = light.len() / width;
    let inner = (1..height.saturating_sub(1))
        .flat_map(move |y| (1..width.saturating_sub(1)).map(move |x| y * width + x));
    inner.map(move |at| {
        light[at - 1] + light[at + 1] + light[at - width] + light[at + width] - 4.0 * light[at]
    })
}

/// The entropy of the lightness in bits, 0 to 8.
fn entropy(light: &[f64]) -> f64 {
    let mut counts = [0.0; STEPS];
    for value in light {
        counts[(value.round() as usize).min(STEPS - 1)] += 1.0;
    }
    let shares = counts.iter().map(|count| count / light.len() as f64);
    let told = shares.filter(|share| *share > 0.0);
    -told.map(|share: f64| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// Values of `NumPy`'s `mean`, `std` and `log2` on the same pixels.
    #[test]
    fn the_numbers_are_those_of_numpy() {
        let byte = |value: u32| (value % 256) as u8;
        let picture = RgbImage::from_fn(17, 11, |x, y| {
            Rgb([byte(x * 15), byte(y * 23 + x), byte(x * y * 7)])
        });
        let found = statistics(&picture).unwrap();
        for (found, expected) in found.values().into_iter().zip(EXPECTED) {
            assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    const EXPECTED: [f32; 5] = [0.469_461_4, 0.211_39, 0.508_223_4, 6.708_668_5, 6.969_145_3];

    #[test]
    fn one_colour_has_neither_contrast_nor_edges() {
        let grey = RgbImage::from_pixel(5, 3, Rgb([128; 3]));
        let found = statistics(&grey).unwrap();
        assert!((found.brightness - 128.0 / 255.0).abs() < 1e-6);
        let is_none = |value: &f32| value.abs() < 1e-9;
        assert!(found.values()[1..].iter().all(is_none), "{found:?}");
        assert!(statistics(&RgbImage::new(0, 3)).is_none());
        let dark = statistics(&RgbImage::new(1, 1)).unwrap();
        assert!(dark.values().iter().all(is_none), "{dark:?}");
    }

    #[test]
    fn the_size_of_an_upload_changes_little() {
        let wave = |at: u32, of: u32| {
            let part = f64::from(at) / f64::from(of) * 12.0;
            (127.0 + 120.0 * part.sin()) as u8
        };
        let picture = |side: u32| {
            RgbImage::from_fn(side, side / 2, |x, y| {
                Rgb([wave(x, side), wave(y, side), wave(x + y, side)])
            })
        };
        let (large, small) = (statistics(&picture(1024)), statistics(&picture(512)));
        for (large, small) in large
            .unwrap()
            .values()
            .into_iter()
            .zip(small.unwrap().values())
        {
            assert!((large - small).abs() < 0.05, "{large} {small}");
        }
    }
}
