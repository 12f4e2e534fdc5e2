//! Words ↔ tokens of a captioner.

use std::path::Path;

use serde::Deserialize;
use tokenizers::{ModelWrapper, Tokenizer};

use crate::encoders::Error;

/// A checkpoint's tokenizer, without truncation and padding.
pub(in crate::encoders) struct Words {
    tokenizer: Tokenizer,
    /// Whether blanks before punctuation are taken out of what is decoded.
    cleans: bool,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

impl Words {
    /// Reads a directory's `tokenizer.json` and `tokenizer_config.json`.
    pub(in crate::encoders) fn of_directory(directory: &Path) -> Result<Self, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct File {
            clean_up_tokenization_spaces: bool,
        }
        let path = directory.join("tokenizer.json");
        let mut tokenizer = Tokenizer::from_file(&path).map_err(|error| Error::Checkpoint {
            path,
            reason: error.to_string(),
        })?;
        tokenizer
            .with_truncation(None)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        tokenizer.with_padding(None);
        let path = directory.join("tokenizer_config.json");
        let file = if path.is_file() {
            serde_json::from_slice(&fs_err::read(&path)?).map_err(|error| Error::Checkpoint {
                path,
                reason: error.to_string(),
            })?
        } else {
            File::default()
        };
        let pairs = matches!(tokenizer.get_model(), ModelWrapper::BPE(_));
        Ok(Self {
            tokenizer,
            cleans: file.clean_up_tokenization_spaces && !pairs,
        })
    }

    /// The tokens of a text, with those that its template puts around it where `framed`.
    pub(in crate::encoders) fn encode(&self, text: &str, framed: bool) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, framed);
        encoding
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| format!("cannot tokenise the prompt: {error}"))
    }

    /// The words of a row; tokens with a special meaning have none.
    ///
    /// Source: `_decode` of transformers' `tokenization_utils_tokenizers.py`.
    pub(in crate::encoders) fn decode(&self, row: &[u32]) -> Result<String, String> {
        let text = self
            .tokenizer
            .decode(row, true)
            .map_err(|error| format!("cannot write the tokens as words: {error}"))?;
        Ok(if self.cleans { cleaned(text) } else { text })
    }
}

/// Without the blanks that word pieces leave before punctuation.
///
/// Source: `clean_up_tokenization` of transformers' `tokenization_utils_base.py`.
fn cleaned(text: String) -> String {
    [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ]
    .iter()
    .fold(text, |text, (from, to)| text.replace(from, to))
}
