//! Texts → token ids.

use std::{borrow::Cow, collections::HashMap, path::Path};

use serde::Deserialize;
use tokenizers::{Tokenizer, TruncationParams};

use super::unigram;
use crate::encoders::{Error, checkpoint::Packed};

/// A checkpoint's tokenizer with our own truncation and without padding.
///
/// Files come with settings of their own: that of all-MiniLM-L6-v2 cuts at 128 tokens and pads
/// every text to 128.
pub(in crate::encoders) struct BertTokenizer {
    tokenizer: Tokenizer,
    /// What stands for characters that the tokenizer does not replace itself.
    characters: HashMap<char, String>,
    /// What is put in front of every text.
    prefix: String,
    /// How many tokens the model knows.
    known: usize,
}

impl std::fmt::Debug for BertTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BertTokenizer").finish_non_exhaustive()
    }
}

impl BertTokenizer {
    /// Reads a `tokenizer.json`; texts are cut to `max_tokens`, special tokens included.
    pub(in crate::encoders) fn read(path: &Path, max_tokens: usize) -> Result<Self, Error> {
        Tokenizer::from_file(path)
            .and_then(|tokenizer| Self::of(tokenizer, max_tokens))
            .map_err(|error| unusable(path, &error))
    }

    /// The tokenizer of a packed encoder at `path`.
    pub(in crate::encoders) fn of_packed(
        packed: Packed,
        path: &Path,
        max_tokens: usize,
    ) -> Result<Self, Error> {
        let tokenizer = unigram::tokenizer(&packed.vocabulary)
            .and_then(|tokenizer| Self::of(tokenizer, max_tokens))
            .map_err(|error| unusable(path, &error))?;
        Ok(Self {
            characters: packed.vocabulary.characters,
            ..tokenizer
        })
    }

    fn of(mut tokenizer: Tokenizer, max_tokens: usize) -> Result<Self, tokenizers::Error> {
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        tokenizer.with_truncation(Some(truncation))?;
        tokenizer.with_padding(None);
        Ok(Self {
            tokenizer,
            characters: HashMap::new(),
            prefix: String::new(),
            known: usize::MAX,
        })
    }

    /// The same with words in front of every text.
    #[must_use]
    pub(in crate::encoders) fn with_prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// The same for a model that knows so many tokens: what would give another one is refused.
    #[must_use]
    pub(in crate::encoders) const fn for_model(mut self, known: usize) -> Self {
        self.known = known;
        self
    }

    /// The token ids of each text, special tokens included.
    pub(in crate::encoders) fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts.iter().map(|text| self.prepared(text)).collect(), true)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;
        let ids: Vec<Vec<u32>> = encodings
            .iter()
            .map(|encoding| encoding.get_ids().to_vec())
            .collect();
        match ids.iter().flatten().find(|id| **id as usize >= self.known) {
            Some(id) => Err(Error::Tokenizer(format!(
                "`{}` has the id {id}, and the model has {} tokens: `tokenizer.json` belongs to \
                 another checkpoint",
                self.tokenizer.id_to_token(*id).unwrap_or_default(),
                self.known
            ))),
            None => Ok(ids),
        }
    }

    /// A text as the tokenizer takes it.
    fn prepared<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let with_prefix = if self.prefix.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(format!("{}{text}", self.prefix))
        };
        if self.characters.is_empty() {
            return with_prefix;
        }
        let mut replaced = String::with_capacity(with_prefix.len());
        for character in with_prefix.chars() {
            match self.characters.get(&character) {
                Some(other) => replaced.push_str(other),
                None => replaced.push(character),
            }
        }
        Cow::Owned(replaced)
    }
}

fn unusable(path: &Path, error: &tokenizers::Error) -> Error {
    Error::Checkpoint {
        path: path.to_owned(),
        reason: error.to_string(),
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
