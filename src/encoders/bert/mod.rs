//! The BERT family: BERT, `RoBERTa` and XLM-RoBERTa checkpoints in their hub layout, and those of
//! sentence-transformers made of them (all-MiniLM-L6-v2, bge-*-en-v1.5, multilingual-e5, bge-m3).

mod classes;
mod config;
mod head;
mod layers;
mod model;
mod options;
mod parts;
mod pooling;
mod sentences;
mod settings;
mod special;
mod tokenize;
mod unigram;

use std::path::Path;

use burn::tensor::{DType, Device};

pub(super) use config::BertConfig;
pub(super) use head::Head;
pub(super) use model::Bert;
pub use options::TextOptions;
pub(super) use options::prompt;
pub(super) use parts::network;
pub use pooling::Pooling;
pub(super) use pooling::pool;
pub(super) use tokenize::BertTokenizer;

use super::{
    Error,
    checkpoint::{self, Packed},
};

/// Hub name → name of the module tree in [`model`].
///
/// | in the file | here |
/// |---|---|
/// | `bert.…`, `roberta.…` | `…` |
/// | `….LayerNorm.gamma`, `….LayerNorm.beta` | `….layer_norm.weight`, `….layer_norm.bias` |
/// | `….LayerNorm.…` | `….layer_norm.…` |
/// | `….attention.self.…` | `….attention.heads.…` |
pub(super) const RENAMES: [(&str, &str); 5] = [
    (r"^(ro)?bert(a)?\.", ""),
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
    (r"LayerNorm", "layer_norm"),
    (r"attention\.self\.", "attention.heads."),
];

/// Tensors that checkpoints carry and sentence vectors do not need: counted positions, and the
/// heads of the task on which the model was first trained.
fn may_stay(name: &str) -> bool {
    name == "embeddings.position_ids"
        || ["pooler.", "cls.", "classifier.", "qa_outputs.", "lm_head."]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// The model of `config` with the weights of the file `path` as `dtype`, on `device`.
pub(super) fn load(
    config: &BertConfig,
    path: &Path,
    device: &Device,
    dtype: DType,
) -> Result<Bert, Error> {
    let mut model = config.init(device);
    checkpoint::load(&mut model, path, &RENAMES, may_stay, dtype)?;
    Ok(model)
}

/// The hyperparameters and the tokenizer of a packed encoder.
pub(super) fn read_packed(
    path: &Path,
    max_tokens: usize,
) -> Result<(BertConfig, BertTokenizer), Error> {
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let packed = Packed::read(path).map_err(unusable)?;
    let config = BertConfig::of_packed(&packed).map_err(unusable)?;
    let max_tokens = max_tokens.min(config.longest());
    Ok((config, BertTokenizer::of_packed(packed, path, max_tokens)?))
}
