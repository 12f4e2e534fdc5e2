//! What a captioner sees of a picture: the settings of an image processor of transformers.

use std::path::Path;

use image::RgbImage;
use serde::Deserialize;
use serde_json::Value;

use crate::encoders::{
    Error, ImageError,
    resample::{Digits, Filter},
    transform::{Fit, Transform},
};

/// The mean and the standard deviation of each channel in the data of the first CLIP models.
const CLIP: ([f32; 3], [f32; 3]) = (
    [0.481_454_66, 0.457_827_5, 0.408_210_73],
    [0.268_629_54, 0.261_302_6, 0.275_777_1],
);

/// A picture → numbers.
#[derive(Clone, Debug)]
pub(in crate::encoders) struct Pictures {
    transform: Transform,
    /// Whether a picture of another size is scaled rather than refused.
    resizes: bool,
    /// How many vectors the processor says that a picture becomes, where it says so.
    pub(in crate::encoders) vectors: Option<usize>,
}

/// The settings; each that is not there has the library's default.
///
/// Source: `BlipImageProcessor` and `CLIPImageProcessor` of transformers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<u64>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    do_pad: Option<bool>,
    image_seq_length: Option<usize>,
}

/// A size as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Square(u32),
    Sides { height: u32, width: u32 },
    Other(Value),
}

impl Size {
    /// Height and width.
    fn sides(&self, key: &str) -> Result<[u32; 2], String> {
        match self {
            Self::Square(side) | Self::Sides { height: side, .. } if *side == 0 => {
                Err(format!("`{key}` is zero"))
            }
            Self::Square(side) => Ok([*side; 2]),
            Self::Sides { height, width } => Ok([*height, *width]),
            Self::Other(value) => Err(format!(
                "`{key}` is {value}; it can be {{\"height\": …, \"width\": …}}"
            )),
        }
    }
}

impl Pictures {
    /// What the files of a directory say; `side` is the default size.
    ///
    /// The settings are a part of `processor_config.json`, where the library's fifth version puts
    /// them, or stand in `preprocessor_config.json`.
    pub(in crate::encoders) fn of_directory(directory: &Path, side: u32) -> Result<Self, Error> {
        let read = |name: &str| -> Result<Option<Value>, Error> {
            let path = directory.join(name);
            if !path.is_file() {
                return Ok(None);
            }
            let file = serde_json::from_slice(&fs_err::read(&path)?);
            file.map(Some).map_err(|error| Error::Checkpoint {
                path,
                reason: error.to_string(),
            })
        };
        let joint = read("processor_config.json")?
            .and_then(|mut file| file.get_mut("image_processor").map(Value::take));
        let (name, file) = match joint {
            Some(file) => ("processor_config.json", Some(file)),
            None => (
                "preprocessor_config.json",
                read("preprocessor_config.json")?,
            ),
        };
        let unusable = |reason: String| Error::Checkpoint {
            path: directory.join(name),
            reason,
        };
        let file = file.ok_or_else(|| Error::Checkpoint {
            path: directory.to_owned(),
            reason: "it holds neither `processor_config.json` with an `image_processor` nor \
                     `preprocessor_config.json`"
                .to_owned(),
        })?;
        let file: File =
            serde_json::from_value(file).map_err(|error| unusable(error.to_string()))?;
        Self::new(&file, side).map_err(unusable)
    }

    fn new(file: &File, side: u32) -> Result<Self, String> {
        let size = match &file.size {
            Some(size) => size.sides("size")?,
            None => [side; 2],
        };
        if file.do_center_crop == Some(true) {
            let cut = file
                .crop_size
                .as_ref()
                .map_or(Ok(size), |size| size.sides("crop_size"))?;
            if cut != size {
                return Err(format!(
                    "`do_center_crop` is true and `crop_size` is {cut:?}; it can only be `size`, \
                     {size:?}"
                ));
            }
        }
        if file.do_pad == Some(true) {
            return Err("`do_pad` is true; it can only be false".to_owned());
        }
        let filter = match file.resample {
            None | Some(3) => Filter::Bicubic,
            Some(2) => Filter::Bilinear,
            Some(1) => Filter::Lanczos,
            Some(other) => {
                return Err(format!(
                    "`resample` is {other}; 1 (Lanczos), 2 (bilinear) and 3 (bicubic) can be \
                     computed"
                ));
            }
        };
        // torchvision has no such filter; there Pillow takes its place.
        let digits = if filter == Filter::Lanczos {
            Digits::Pillow
        } else {
            Digits::Torchvision
        };
        // The transform divides by 255; what the file divides by otherwise goes into the rest.
        let factor = if file.do_rescale == Some(false) {
            1.0
        } else {
            file.rescale_factor.unwrap_or(1.0 / 255.0)
        };
        let (mean, std) = if file.do_normalize == Some(false) {
            ([0.0; 3], [1.0; 3])
        } else {
            (
                file.image_mean.unwrap_or(CLIP.0),
                file.image_std.unwrap_or(CLIP.1),
            )
        };
        #[expect(clippy::cast_possible_truncation, reason = "pixels are 32-bit floats")]
        let scaled = |value: f32| (f64::from(value) / (factor * 255.0)) as f32;
        Ok(Self {
            transform: Transform {
                size,
                scaled: size,
                fit: Fit::Squash,
                filter,
                digits,
                mean: mean.map(scaled),
                std: std.map(scaled),
            },
            resizes: file.do_resize != Some(false),
            vectors: file.image_seq_length,
        })
    }

    /// Height and width of what a network sees.
    pub(in crate::encoders) fn size(&self) -> [usize; 2] {
        self.transform.size()
    }

    /// The numbers of one picture.
    ///
    /// # Shapes
    /// - output: `[3, height, width]`, row-major
    pub(in crate::encoders) fn prepare(&self, picture: &RgbImage) -> Result<Vec<f32>, ImageError> {
        let [height, width] = self.transform.size;
        if !self.resizes && picture.dimensions() != (width, height) {
            return Err(ImageError::Decode(format!(
                "it is {}×{} pixels; the checkpoint does not scale, and reads {width}×{height}",
                picture.width(),
                picture.height()
            )));
        }
        self.transform.apply(picture)
    }
}
