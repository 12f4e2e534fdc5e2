//! An image → what is sent of it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::imageops::{FilterType, resize};

use super::{Question, Refusal};
use crate::media::{Limits, decode, encode_jpeg};

/// The quality of the JPEG.
const QUALITY: u8 = 90;

impl Question {
    /// The bytes of the request about the image that is the file `bytes`.
    pub(super) fn body(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
        let jpeg = self.jpeg(bytes, limits)?;
        let image = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg));
        Ok(self.request(&image).to_string().into_bytes())
    }

    /// The image upright, over white, no larger than is asked for.
    fn jpeg(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
        let refused = |reason: &str, message: String| Refusal::Image {
            reason: reason.to_owned(),
            message,
        };
        let mut picture =
            decode(bytes, limits).map_err(|fault| refused(fault.reason(), fault.to_string()))?;
        let (width, height) = fit(picture.dimensions(), self.max_side);
        if (width, height) != picture.dimensions() {
            picture = resize(&picture, width, height, FilterType::CatmullRom);
        }
        encode_jpeg(&picture, QUALITY).map_err(|error| refused("corrupt", error.to_string()))
    }
}

/// Width and height of the same shape whose longer side is at most `max_side`.
fn fit((width, height): (u32, u32), max_side: usize) -> (u32, u32) {
    let longer = u64::from(width.max(height));
    let most = max_side as u64;
    if longer <= most {
        return (width, height);
    }
    let scaled = |side: u32| {
        let side = (u64::from(side) * most + longer / 2) / longer;
        u32::try_from(side.max(1)).unwrap_or(u32::MAX)
    };
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_is_bounded_and_the_shape_kept() {
        for (size, expected) in [
            ((800, 600), (800, 600)),
            ((1024, 1024), (1024, 1024)),
            ((4000, 3000), (1024, 768)),
            ((3000, 4001), (768, 1024)),
            ((20_000, 10), (1024, 1)),
            ((1, 1), (1, 1)),
        ] {
            assert_eq!(fit(size, 1024), expected);
        }
    }
}
