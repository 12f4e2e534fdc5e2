//! What `config.json` of a BERT checkpoint says.

use std::path::Path;

use serde::Deserialize;

use crate::encoders::Error;

/// The hyperparameters, under the hub's names.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::encoders) struct BertConfig {
    /// Must be `bert`.
    pub model_type: String,
    /// The length of a token's vector.
    pub hidden_size: usize,
    /// The number of layers.
    pub num_hidden_layers: usize,
    /// The number of attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// The width of the feed-forward block.
    pub intermediate_size: usize,
    /// The activation of the feed-forward block. Default: `gelu`
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// The epsilon of the layer normalisations. Default: 1e-12
    #[serde(default = "epsilon")]
    pub layer_norm_eps: f64,
    /// The number of positions: the longest row of tokens.
    pub max_position_embeddings: usize,
    /// The number of token types. Default: 2
    #[serde(default = "token_types")]
    pub type_vocab_size: usize,
    /// The number of token ids.
    pub vocab_size: usize,
    /// Must be `absolute`. Default: `absolute`
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn gelu() -> String {
    "gelu".to_owned()
}

const fn epsilon() -> f64 {
    1e-12
}

const fn token_types() -> usize {
    2
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl BertConfig {
    /// Reads and checks a `config.json`.
    pub(in crate::encoders) fn read(path: &Path) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Checkpoint {
            path: path.to_owned(),
            reason,
        };
        let config: Self = serde_json::from_slice(&fs_err::read(path)?)
            .map_err(|error| unusable(error.to_string()))?;
        if config.model_type != "bert" {
            return Err(unusable(format!(
                "`model_type` is `{}`; text checkpoints of type `bert` can be read",
                config.model_type
            )));
        }
        if config.position_embedding_type != "absolute" {
            return Err(unusable(format!(
                "`position_embedding_type` is `{}`; only `absolute` can be computed",
                config.position_embedding_type
            )));
        }
        if !matches!(
            config.hidden_act.as_str(),
            "gelu" | "gelu_new" | "gelu_pytorch_tanh" | "relu"
        ) {
            return Err(unusable(format!(
                "`hidden_act` is `{}`; `gelu`, `gelu_new` and `relu` can be computed",
                config.hidden_act
            )));
        }
        if config.num_attention_heads == 0
            || !config
                .hidden_size
                .is_multiple_of(config.num_attention_heads)
        {
            return Err(unusable(format!(
                "`hidden_size` {} is not a multiple of `num_attention_heads` {}",
                config.hidden_size, config.num_attention_heads
            )));
        }
        Ok(config)
    }
}
