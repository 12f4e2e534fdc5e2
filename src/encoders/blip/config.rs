//! What `config.json` of a BLIP checkpoint says.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::encoders::{Error, activation::Activation};

/// The settings; each that is not there has the library's default.
///
/// Source: `configuration_blip.py` of transformers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlipConfig {
    architectures: Vec<String>,
    model_type: String,
    pub text_config: TextConfig,
    pub vision_config: VisionConfig,
}

/// Those of the decoder.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub max_position_embeddings: usize,
    pub layer_norm_eps: f64,
    pub bos_token_id: u32,
    pub sep_token_id: u32,
    hidden_act: String,
}

/// Those of the vision tower.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub layer_norm_eps: f64,
    image_size: Value,
    patch_size: Value,
    hidden_act: String,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30_524,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 512,
            layer_norm_eps: 1e-12,
            bos_token_id: 30_522,
            sep_token_id: 102,
            hidden_act: "gelu".to_owned(),
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            layer_norm_eps: 1e-5,
            image_size: Value::from(384),
            patch_size: Value::from(16),
            hidden_act: "gelu".to_owned(),
        }
    }
}

impl BlipConfig {
    /// Reads and checks a directory's `config.json`.
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("config.json");
        let read = || -> Result<Self, String> {
            let bytes = fs_err::read(&path).map_err(|error| error.to_string())?;
            let config: Self = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            config.check()?;
            Ok(config)
        };
        read().map_err(|reason| Error::Checkpoint { path, reason })
    }

    fn check(&self) -> Result<(), String> {
        if self.model_type != "blip" {
            return Err(format!("`model_type` is `{}`, not `blip`", self.model_type));
        }
        let is_captioner = |name: &String| name == "BlipForConditionalGeneration";
        if !self.architectures.is_empty() && !self.architectures.iter().any(is_captioner) {
            return Err(format!(
                "`architectures` is `{}`; only `BlipForConditionalGeneration` writes captions",
                self.architectures.join("`, `")
            ));
        }
        let (text, vision) = (&self.text_config, &self.vision_config);
        for (name, width, heads) in [
            ("text_config", text.hidden_size, text.num_attention_heads),
            (
                "vision_config",
                vision.hidden_size,
                vision.num_attention_heads,
            ),
        ] {
            if heads == 0 || !width.is_multiple_of(heads) {
                return Err(format!(
                    "`{name}.hidden_size` {width} is not a multiple of \
                     `{name}.num_attention_heads` {heads}"
                ));
            }
        }
        for (name, token) in [
            ("bos_token_id", text.bos_token_id),
            ("sep_token_id", text.sep_token_id),
        ] {
            if token as usize >= text.vocab_size {
                return Err(format!(
                    "`text_config.{name}` is {token}, but `text_config.vocab_size` is {}",
                    text.vocab_size
                ));
            }
        }
        text.activation()?;
        vision.activation()?;
        vision.positions()?;
        Ok(())
    }
}

impl TextConfig {
    pub(super) fn activation(&self) -> Result<Activation, String> {
        Activation::named("text_config.hidden_act", &self.hidden_act)
    }
}

impl VisionConfig {
    pub(super) fn activation(&self) -> Result<Activation, String> {
        Activation::named("vision_config.hidden_act", &self.hidden_act)
    }

    /// The side of a patch, in pixels.
    pub(super) fn patch(&self) -> Result<usize, String> {
        side("vision_config.patch_size", &self.patch_size)
    }

    /// How many tokens have a position: the class's and the patches'.
    pub(super) fn positions(&self) -> Result<usize, String> {
        let image = side("vision_config.image_size", &self.image_size)?;
        let patches = image / self.patch()?;
        Ok(patches * patches + 1)
    }
}

/// The side of a square: one number, or the same twice.
fn side(key: &str, value: &Value) -> Result<usize, String> {
    let number = |value: &Value| value.as_u64().filter(|side| *side > 0);
    let side = match value.as_array().map(Vec::as_slice) {
        None => number(value),
        Some([high, wide]) if high == wide => number(high),
        Some(_) => None,
    };
    side.and_then(|side| usize::try_from(side).ok())
        .ok_or_else(|| format!("`{key}` is {value}; it can be one number above zero, or it twice"))
}
