//! What `config.json` of a timm checkpoint says.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::encoders::{
    Error,
    resample::{Digits, Filter},
    transform::{Fit, Transform, whole},
};

/// The file, under timm's names.
///
/// Source: `save_config_for_hf` of timm's `models/_hub.py`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::encoders) struct TimmConfig {
    /// The function that builds the model, such as `vit_base_patch16_224`.
    pub architecture: String,
    /// What that function was given over its defaults.
    #[serde(default)]
    pub model_args: Map<String, Value>,
    /// How one vector is made of the model's output. timm tells it here, but builds the model after
    /// `model_args` and what the function's name stands for.
    #[serde(default)]
    pub global_pool: Option<String>,
    /// What the model wants to see.
    pub pretrained_cfg: Pretrained,
}

/// What the model wants to see.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::encoders) struct Pretrained {
    /// Channels, height, width. Default: 3 × 224 × 224
    #[serde(default = "input_size")]
    pub input_size: [usize; 3],
    /// The filter that scales. Default: `bicubic`
    #[serde(default = "bicubic")]
    pub interpolation: String,
    /// How much of the scaled picture is kept. Default: 0.875
    #[serde(default = "crop_pct")]
    pub crop_pct: f64,
    /// What becomes of a picture of another shape: `center`, `squash` or `border`. Default:
    /// `center`
    #[serde(default = "center")]
    pub crop_mode: String,
    /// The model is built for pictures of `input_size`, where nothing else is given.
    #[serde(default)]
    pub fixed_input_size: bool,
    /// The mean of each channel, of values from 0 to 1. Default: `ImageNet`'s
    #[serde(default = "mean")]
    pub mean: [f32; 3],
    /// The standard deviation of each channel. Default: `ImageNet`'s
    #[serde(default = "std")]
    pub std: [f32; 3],
}

const fn input_size() -> [usize; 3] {
    [3, 224, 224]
}

fn bicubic() -> String {
    "bicubic".to_owned()
}

const fn crop_pct() -> f64 {
    0.875
}

fn center() -> String {
    "center".to_owned()
}

const fn mean() -> [f32; 3] {
    [0.485, 0.456, 0.406]
}

const fn std() -> [f32; 3] {
    [0.229, 0.224, 0.225]
}

impl TimmConfig {
    /// Reads a `config.json`.
    pub(in crate::encoders) fn read(path: &Path) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("{reason}; image encoders are read as timm writes them"),
        };
        let file: Value = serde_json::from_slice(&fs_err::read(path)?)
            .map_err(|error| unusable(error.to_string()))?;
        if let (None, Some(Value::String(kind))) =
            (file.get("architecture"), file.get("model_type"))
        {
            return Err(unusable(format!(
                "it has no `architecture`, but `model_type` `{kind}`, of transformers"
            )));
        }
        serde_json::from_value(file).map_err(|error| unusable(error.to_string()))
    }

    /// Whether the model was built with this, other than with nothing.
    pub(in crate::encoders) fn is_given(&self, name: &str) -> bool {
        !self.model_args.get(name).is_none_or(Value::is_null)
    }

    /// How one vector is made of the model's output, where the function builds it with `built`.
    pub(in crate::encoders) fn pool<'a>(&'a self, built: &'a str) -> Result<&'a str, String> {
        match (self.word("global_pool"), self.global_pool.as_deref()) {
            (Some(given), _) => Ok(given),
            (None, Some(told)) if told != built => Err(format!(
                "`global_pool` is `{told}`, but `{}` without `model_args.global_pool` is built \
                 with `{built}`",
                self.architecture
            )),
            (None, _) => Ok(built),
        }
    }

    /// An error where timm adds other vectors to the patches than those of the file: models for
    /// pictures of `any_size` resample them, unless the patches are those for which the model
    /// is built, or as many in a square.
    ///
    /// Source: `resample_abs_pos_embed` of timm's `layers/pos_embed.py`, and
    /// `_update_default_model_kwargs` of its `models/_builder.py`.
    pub(in crate::encoders) fn check_places(
        &self,
        patch: [usize; 2],
        any_size: bool,
    ) -> Result<(), String> {
        let [_, height, width] = self.pretrained_cfg.input_size;
        let [high, wide] = patch;
        let fills = height.is_multiple_of(high) && width.is_multiple_of(wide);
        if !fills && self.flag("dynamic_img_pad")?.unwrap_or(false) {
            return Err(format!(
                "`dynamic_img_pad` is `true`, and patches of {high} by {wide} do not fill \
                 `input_size`, {height} by {width} pixels; padding cannot be computed"
            ));
        }
        let any_size = self.flag("dynamic_img_size")?.unwrap_or(any_size);
        let as_built = match self.model_args.get("img_size") {
            None | Some(Value::Null) => self.pretrained_cfg.fixed_input_size,
            Some(Value::Array(sides)) => *sides == [Value::from(height), Value::from(width)],
            Some(side) => height == width && side.as_u64() == Some(height as u64),
        };
        if any_size && !as_built && height / high != width / wide {
            return Err(format!(
                "`dynamic_img_size` is `true` and `input_size` is {height} by {width} pixels, for \
                 which timm resamples `pos_embed`; that cannot be computed"
            ));
        }
        Ok(())
    }

    /// A switch that the model was built with.
    pub(in crate::encoders) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        match self.model_args.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(format!(
                "`{name}` is `{other}`; `true` and `false` are known"
            )),
        }
    }

    /// A whole number that the model was built with.
    pub(in crate::encoders) fn number(&self, name: &str) -> Option<usize> {
        let value = self.model_args.get(name)?.as_u64()?;
        usize::try_from(value).ok()
    }

    /// A word that the model was built with.
    pub(in crate::encoders) fn word(&self, name: &str) -> Option<&str> {
        self.model_args.get(name)?.as_str()
    }
}

/// Whether a word of a function's name tells the size of patches or of pictures.
pub(in crate::encoders) fn is_size(word: &str) -> bool {
    let digits = word.strip_prefix("patch").unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl Pretrained {
    /// The transform of a checkpoint; the words for what cannot be done.
    pub(super) fn transform(&self) -> Result<Transform, String> {
        let [channels, height, width] = self.input_size;
        if channels != 3 {
            return Err(format!(
                "`input_size` has {channels} channels; pictures have 3"
            ));
        }
        if !(self.crop_pct > 0.0 && self.crop_pct <= 4.0) {
            return Err(format!("`crop_pct` is {}", self.crop_pct));
        }
        let side = |length: usize| {
            u32::try_from(length)
                .ok()
                .filter(|length| (1..=8192).contains(length))
                .ok_or_else(|| format!("`input_size` has a side of {length} pixels"))
        };
        let size = [side(height)?, side(width)?];
        Ok(Transform {
            size,
            scaled: size.map(|side| whole((f64::from(side) / self.crop_pct).floor())),
            fit: match self.crop_mode.as_str() {
                "center" => Fit::Center,
                "squash" => Fit::Squash,
                "border" => Fit::Border,
                other => {
                    return Err(format!(
                        "`crop_mode` is `{other}`; `center`, `squash` and `border` are known"
                    ));
                }
            },
            digits: Digits::Pillow,
            filter: match self.interpolation.as_str() {
                "bicubic" => Filter::Bicubic,
                "bilinear" => Filter::Bilinear,
                "lanczos" => Filter::Lanczos,
                "box" => Filter::Box,
                "hamming" => Filter::Hamming,
                other => {
                    return Err(format!(
                        "`interpolation` is `{other}`; `bicubic`, `bilinear`, `lanczos`, `box` and \
                         `hamming` are known"
                    ));
                }
            },
            mean: self.mean,
            std: self.std,
        })
    }
}
