//! Texts → token ids.

use std::path::Path;

use serde::Deserialize;
use tokenizers::{Tokenizer, TruncationParams};

use crate::encoders::Error;

/// A checkpoint's tokenizer with our own truncation and without padding.
///
/// Files come with settings of their own: that of all-MiniLM-L6-v2 cuts at 128 tokens and pads
/// every text to 128.
pub(in crate::encoders) struct BertTokenizer {
    tokenizer: Tokenizer,
}

impl std::fmt::Debug for BertTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BertTokenizer").finish_non_exhaustive()
    }
}

impl BertTokenizer {
    /// Reads a `tokenizer.json`; texts are cut to `max_tokens`, special tokens included.
    pub(in crate::encoders) fn read(path: &Path, max_tokens: usize) -> Result<Self, Error> {
        let unusable = |error: tokenizers::Error| Error::Checkpoint {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut tokenizer = Tokenizer::from_file(path).map_err(unusable)?;
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(unusable)?;
        tokenizer.with_padding(None);
        Ok(Self { tokenizer })
    }

    /// The token ids of each text, special tokens included.
    pub(in crate::encoders) fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts.to_vec(), true)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        Ok(encodings
            .iter()
            .map(|encoding| encoding.get_ids().to_vec())
            .collect())
    }
}

/// The longest row of tokens: what `sentence_bert_config.json` says, else what the tokenizer's own
/// settings say; never more than there are positions.
///
/// Source: `Transformer` of sentence-transformers, which takes them in this order.
pub(in crate::encoders) fn max_tokens(directory: &Path, positions: usize) -> Result<usize, Error> {
    /// Either file; the tokenizer's says 10^30 where there is no bound.
    #[derive(Default, Deserialize)]
    struct File {
        max_seq_length: Option<usize>,
        model_max_length: Option<serde_json::Number>,
    }
    let read = |name: &str| -> Result<File, Error> {
        let path = directory.join(name);
        if !path.is_file() {
            return Ok(File::default());
        }
        serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| Error::Checkpoint {
            path,
            reason: error.to_string(),
        })
    };
    if let Some(longest) = read("sentence_bert_config.json")?.max_seq_length {
        return Ok(longest.min(positions));
    }
    let longest = read("tokenizer_config.json")?.model_max_length;
    let longest = longest.and_then(|longest| usize::try_from(longest.as_u64()?).ok());
    Ok(longest.map_or(positions, |longest| positions.min(longest)))
}
