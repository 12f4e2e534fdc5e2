//! Pixels → files.

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
    },
};

use super::{Frame, canvas::Canvas};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JPEG of medium quality.
    Jpeg,
    /// PNG.
    Png,
}

impl Format {
    /// What the file's name ends in.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }

    /// The media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

/// The file of `pixels`, which are as many as the frame says.
pub(super) fn encode(frame: Frame, pixels: &[u8]) -> Vec<u8> {
    let Frame {
        width,
        height,
        format,
    } = frame;
    let mut file = Vec::with_capacity(64 * 1024);
    let written = match format {
        Format::Jpeg => JpegEncoder::new_with_quality(&mut file, 80).write_image(
            pixels,
            width,
            height,
            ExtendedColorType::Rgb8,
        ),
        Format::Png => {
            PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up)
                .write_image(pixels, width, height, ExtendedColorType::Rgb8)
        }
    };
    written.expect("a small RGB image can be written to memory");
    file
}

/// What is shown in place of an image that is gone: a grey PNG of 130 × 60 pixels.
pub(crate) fn placeholder() -> Vec<u8> {
    let frame = Frame {
        width: 130,
        height: 60,
        format: Format::Png,
    };
    let mut canvas = Canvas::new(frame.width, frame.height);
    canvas.gradient([222; 3], [222; 3]);
    for line in 0..3 {
        let y = 14.0 + 12.0 * f64::from(line);
        canvas.rectangle((14.0, y), (102.0 - 20.0 * f64::from(line), 4.0), [150; 3]);
    }
    encode(frame, canvas.pixels())
}

/// A small file that says it holds 50,000 × 50,000 pixels.
pub(crate) fn bomb() -> Vec<u8> {
    let mut file = placeholder();
    // The header stands right behind the signature: its length, its name, its 13 bytes, its sum.
    for at in [16, 20] {
        file[at..at + 4].copy_from_slice(&50_000_u32.to_be_bytes());
    }
    let sum = checksum(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

/// The checksum of a part of a PNG file (CRC-32 of ISO 3309).
fn checksum(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::ImageReader;

    use super::*;

    #[test]
    fn a_bomb_is_small_and_says_that_it_is_large() {
        let file = bomb();
        assert!(file.len() < 4096);
        let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
        assert_eq!(reader.unwrap().into_dimensions().unwrap(), (50_000, 50_000));
    }
}
