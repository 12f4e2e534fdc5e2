//! What `config.json` of a Florence-2 checkpoint says.

use std::path::Path;

use serde::Deserialize;

use crate::encoders::{Error, activation::Activation};

/// The settings; each that is not there has the library's default.
///
/// Source: `configuration_florence2.py` and `configuration_bart.py` of transformers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct FlorenceConfig {
    architectures: Vec<String>,
    model_type: String,
    pub text_config: TextConfig,
    pub vision_config: VisionConfig,
    pub image_token_id: u32,
}

/// Those of the language model.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    model_type: String,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    pub encoder_layers: usize,
    pub encoder_ffn_dim: usize,
    pub encoder_attention_heads: usize,
    pub decoder_layers: usize,
    pub decoder_ffn_dim: usize,
    pub decoder_attention_heads: usize,
    pub d_model: usize,
    pub scale_embedding: bool,
    activation_function: String,
}

/// Those of the vision tower; the lists have one number for each stage.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    in_channels: usize,
    pub depths: Vec<usize>,
    pub patch_size: Vec<usize>,
    pub patch_stride: Vec<usize>,
    pub patch_padding: Vec<usize>,
    pub patch_prenorm: Vec<bool>,
    pub embed_dim: Vec<usize>,
    pub num_heads: Vec<usize>,
    pub num_groups: Vec<usize>,
    pub window_size: usize,
    pub mlp_ratio: f64,
    pub qkv_bias: bool,
    pub projection_dim: usize,
    pub max_temporal_embeddings: usize,
    pub max_position_embeddings: usize,
    activation_function: String,
}

impl Default for FlorenceConfig {
    fn default() -> Self {
        Self {
            architectures: Vec::new(),
            model_type: String::new(),
            text_config: TextConfig::default(),
            vision_config: VisionConfig::default(),
            image_token_id: 51_289,
        }
    }
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            model_type: "bart".to_owned(),
            vocab_size: 50_265,
            max_position_embeddings: 1024,
            encoder_layers: 12,
            encoder_ffn_dim: 4096,
            encoder_attention_heads: 16,
            decoder_layers: 12,
            decoder_ffn_dim: 4096,
            decoder_attention_heads: 16,
            d_model: 1024,
            scale_embedding: false,
            activation_function: "gelu".to_owned(),
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            depths: vec![1, 1, 9, 1],
            patch_size: vec![7, 3, 3, 3],
            patch_stride: vec![4, 2, 2, 2],
            patch_padding: vec![3, 1, 1, 1],
            patch_prenorm: vec![false, true, true, true],
            embed_dim: vec![128, 256, 512, 1024],
            num_heads: vec![4, 8, 16, 32],
            num_groups: vec![4, 8, 16, 32],
            window_size: 12,
            mlp_ratio: 4.0,
            qkv_bias: true,
            projection_dim: 1024,
            max_temporal_embeddings: 100,
            max_position_embeddings: 50,
            activation_function: "gelu".to_owned(),
        }
    }
}

impl FlorenceConfig {
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
        if self.model_type != "florence2" {
            return Err(format!(
                "`model_type` is `{}`, not `florence2`",
                self.model_type
            ));
        }
        let is_captioner = |name: &String| name == "Florence2ForConditionalGeneration";
        if !self.architectures.is_empty() && !self.architectures.iter().any(is_captioner) {
            return Err(format!(
                "`architectures` is `{}`; only `Florence2ForConditionalGeneration` writes captions",
                self.architectures.join("`, `")
            ));
        }
        let (text, vision) = (&self.text_config, &self.vision_config);
        if text.model_type != "bart" {
            return Err(format!(
                "`text_config.model_type` is `{}`; only `bart` can be computed",
                text.model_type
            ));
        }
        divides(
            "text_config.d_model",
            text.d_model,
            "text_config.encoder_attention_heads",
            text.encoder_attention_heads,
        )?;
        divides(
            "text_config.d_model",
            text.d_model,
            "text_config.decoder_attention_heads",
            text.decoder_attention_heads,
        )?;
        if vision.projection_dim != text.d_model {
            return Err(format!(
                "`vision_config.projection_dim` is {}, but `text_config.d_model` is {}",
                vision.projection_dim, text.d_model
            ));
        }
        text.activation()?;
        vision.check()
    }
}

/// `value` must be a multiple of `by`.
fn divides(key: &str, value: usize, by_key: &str, by: usize) -> Result<(), String> {
    if by == 0 || !value.is_multiple_of(by) {
        return Err(format!(
            "`{key}` {value} is not a multiple of `{by_key}` {by}"
        ));
    }
    Ok(())
}

impl TextConfig {
    pub(super) fn activation(&self) -> Result<Activation, String> {
        Activation::named("text_config.activation_function", &self.activation_function)
    }
}

impl VisionConfig {
    pub(super) fn activation(&self) -> Result<Activation, String> {
        Activation::named(
            "vision_config.activation_function",
            &self.activation_function,
        )
    }

    fn check(&self) -> Result<(), String> {
        self.activation()?;
        if self.in_channels != 3 {
            return Err(format!(
                "`vision_config.in_channels` is {}; pictures have 3",
                self.in_channels
            ));
        }
        let stages = self.embed_dim.len();
        for (key, count) in [
            ("depths", self.depths.len()),
            ("patch_size", self.patch_size.len()),
            ("patch_stride", self.patch_stride.len()),
            ("patch_padding", self.patch_padding.len()),
            ("patch_prenorm", self.patch_prenorm.len()),
            ("num_heads", self.num_heads.len()),
            ("num_groups", self.num_groups.len()),
        ] {
            if count != stages || stages == 0 {
                return Err(format!(
                    "`vision_config.{key}` is for {count} stages, `vision_config.embed_dim` for \
                     {stages}"
                ));
            }
        }
        if self.window_size == 0 || self.patch_stride.contains(&0) {
            return Err(
                "`vision_config.window_size` and `vision_config.patch_stride` must be above zero"
                    .to_owned(),
            );
        }
        for stage in 0..stages {
            let width = self.embed_dim[stage];
            let key = |key| format!("vision_config.{key}[{stage}]");
            divides(
                &key("embed_dim"),
                width,
                &key("num_heads"),
                self.num_heads[stage],
            )?;
            divides(
                &key("embed_dim"),
                width,
                &key("num_groups"),
                self.num_groups[stage],
            )?;
        }
        Ok(())
    }

    /// The length of the vectors that the tower makes.
    pub(super) fn width(&self) -> usize {
        self.embed_dim.last().copied().unwrap_or(0)
    }

    /// Height and width of what becomes of a picture of `size`.
    pub(super) fn seen(&self, size: [usize; 2]) -> Result<[usize; 2], String> {
        let mut sides = size;
        for stage in 0..self.embed_dim.len() {
            let (kernel, padding) = (self.patch_size[stage], self.patch_padding[stage]);
            for side in &mut sides {
                *side = (*side + 2 * padding)
                    .checked_sub(kernel)
                    .map(|rest| rest / self.patch_stride[stage] + 1)
                    .ok_or_else(|| {
                        format!("pictures of {size:?} pixels are too small for the vision tower")
                    })?;
            }
        }
        if sides
            .iter()
            .any(|side| *side > self.max_position_embeddings)
        {
            return Err(format!(
                "pictures of {size:?} pixels become {sides:?} vectors, but \
                 `vision_config.max_position_embeddings` is {}",
                self.max_position_embeddings
            ));
        }
        Ok(sides)
    }
}
