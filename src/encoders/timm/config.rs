//! What `config.json` of a timm checkpoint says.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::encoders::Error;

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
    /// How one vector is made of the model's output, where it is not the model's default.
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
    /// Reads a `config.json`; `None` where it is that of another library.
    pub(in crate::encoders) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let unusable = |error: serde_json::Error| Error::Checkpoint {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let value: Value = serde_json::from_slice(&fs_err::read(path)?).map_err(unusable)?;
        if value.get("architecture").is_none() {
            return Ok(None);
        }
        serde_json::from_value(value).map(Some).map_err(unusable)
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
