//! What `config.json` of a checkpoint of the BERT family says.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::encoders::{Error, activation::Activation, checkpoint::Packed};

/// The hyperparameters, under the hub's names.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::encoders) struct BertConfig {
    /// Which of the family.
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
    /// The token that stands for none; `RoBERTa` counts positions from behind it. Default: 1 there
    #[serde(default)]
    pub pad_token_id: Option<u32>,
    /// Must be false. Default: false
    #[serde(default)]
    pub is_decoder: bool,
}

/// The members of the family, by `model_type`.
const KNOWN: [&str; 4] = ["bert", "roberta", "xlm-roberta", "camembert"];

/// The words for a type that is none of the family.
fn known(model_type: &str) -> Result<(), String> {
    if KNOWN.contains(&model_type) {
        return Ok(());
    }
    Err(format!(
        "`model_type` is `{model_type}`; text checkpoints of type `{}` can be read",
        KNOWN.join("`, `")
    ))
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
        let file: Value = serde_json::from_slice(&fs_err::read(path)?)
            .map_err(|error| unusable(error.to_string()))?;
        // Others have other keys, so that this is told before any that is missing.
        if let Some(Value::String(kind)) = file.get("model_type") {
            known(kind).map_err(unusable)?;
        }
        let config: Self =
            serde_json::from_value(file).map_err(|error| unusable(error.to_string()))?;
        config.checked().map_err(unusable)
    }

    /// What a packed encoder says: it is always a BERT.
    pub(in crate::encoders) fn of_packed(packed: &Packed) -> Result<Self, String> {
        let head = packed.head;
        let config = Self {
            model_type: "bert".to_owned(),
            hidden_size: head.hidden,
            num_hidden_layers: head.layers,
            num_attention_heads: head.heads,
            intermediate_size: head.wide,
            hidden_act: gelu(),
            layer_norm_eps: head.epsilon.into(),
            max_position_embeddings: head.positions,
            type_vocab_size: head.token_types,
            vocab_size: head.token_ids,
            position_embedding_type: absolute(),
            pad_token_id: None,
            is_decoder: false,
        };
        config.checked()
    }

    /// The words for what cannot be computed.
    fn checked(self) -> Result<Self, String> {
        known(&self.model_type)?;
        if self.longest() < 2 {
            return Err(format!(
                "`max_position_embeddings` is {}, which leaves no room for a text",
                self.max_position_embeddings
            ));
        }
        if self.position_embedding_type != "absolute" {
            return Err(format!(
                "`position_embedding_type` is `{}`; only `absolute` can be computed",
                self.position_embedding_type
            ));
        }
        if self.is_decoder {
            return Err(
                "`is_decoder` is true: its tokens see those before them alone; only encoders, in \
                 which it is false, can be computed"
                    .to_owned(),
            );
        }
        self.activation()?;
        if self.num_attention_heads == 0
            || !self.hidden_size.is_multiple_of(self.num_attention_heads)
        {
            return Err(format!(
                "`hidden_size` {} is not a multiple of `num_attention_heads` {}",
                self.hidden_size, self.num_attention_heads
            ));
        }
        Ok(self)
    }

    /// The activation of the feed-forward block.
    pub(super) fn activation(&self) -> Result<Activation, String> {
        Activation::named("hidden_act", &self.hidden_act)
    }

    /// The padding token from which on `RoBERTa` and its kin count positions; `None` for BERT, which
    /// counts from zero.
    ///
    /// Source: `create_position_ids_from_input_ids` of transformers' `modeling_xlm_roberta.py`.
    pub(in crate::encoders) fn padding(&self) -> Option<u32> {
        (self.model_type != "bert").then(|| self.pad_token_id.unwrap_or(1))
    }

    /// The longest row of tokens that has a position for each.
    pub(in crate::encoders) fn longest(&self) -> usize {
        let taken = self.padding().map_or(0, |padding| padding as usize + 1);
        self.max_position_embeddings.saturating_sub(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_of_another_type_is_told_before_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for (text, words) in [
            (
                r#"{"model_type": "distilbert", "dim": 8}"#,
                "`model_type` is `distilbert`",
            ),
            (r#"{"model_type": "bert"}"#, "missing field `hidden_size`"),
            (r#"{"hidden_size": 8}"#, "missing field `model_type`"),
        ] {
            fs_err::write(&path, text).unwrap();
            let error = BertConfig::read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let error = crate::encoders::timm::TimmConfig::read(&path).unwrap_err();
        assert!(error.to_string().contains("as timm writes them"), "{error}");
    }
}
