//! Texts → token ids.

use std::{borrow::Cow, collections::HashMap, path::Path};

use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

use super::{settings::Settings, unigram};
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
    /// Whether special tokens stand around a text.
    surrounds: bool,
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
            .and_then(|tokenizer| Self::of(tokenizer, max_tokens, TruncationDirection::Right))
            .map_err(|error| unusable(path, &error))
    }

    /// The tokenizer of a directory, by all that its files say; texts are cut to as many tokens as
    /// they allow, never more than there are `positions`.
    pub(in crate::encoders) fn of_directory(
        directory: &Path,
        positions: usize,
    ) -> Result<Self, Error> {
        let settings = Settings::read(directory, positions)?;
        let tokenizer = settings.tokenizer(directory)?;
        let own = tokenizer.get_truncation().map(|own| own.direction);
        let cut = settings.cut.or(own).unwrap_or_default();
        let tokenizer = Self::of(tokenizer, settings.max_tokens, cut)
            .map_err(|error| unusable(directory, &error))?;
        Ok(Self {
            surrounds: settings.surrounds,
            ..tokenizer
        })
    }

    /// The tokenizer of a packed encoder at `path`.
    pub(in crate::encoders) fn of_packed(
        packed: Packed,
        path: &Path,
        max_tokens: usize,
    ) -> Result<Self, Error> {
        let tokenizer = unigram::tokenizer(&packed.vocabulary)
            .and_then(|tokenizer| Self::of(tokenizer, max_tokens, TruncationDirection::Right))
            .map_err(|error| unusable(path, &error))?;
        Ok(Self {
            characters: packed.vocabulary.characters,
            ..tokenizer
        })
    }

    fn of(
        mut tokenizer: Tokenizer,
        max_tokens: usize,
        cut: TruncationDirection,
    ) -> Result<Self, tokenizers::Error> {
        let truncation = TruncationParams {
            max_length: max_tokens,
            direction: cut,
            ..TruncationParams::default()
        };
        tokenizer.with_truncation(Some(truncation))?;
        tokenizer.with_padding(None);
        Ok(Self {
            tokenizer,
            characters: HashMap::new(),
            prefix: String::new(),
            known: usize::MAX,
            surrounds: true,
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

    /// How many tokens of a row stand for what is in front of each text.
    ///
    /// Source: `_get_prompt_length` of sentence-transformers: all of what is made of it alone, but
    /// for a special token that ends it.
    pub(in crate::encoders) fn count_of_prompt(&self, prompt: &str) -> Result<usize, Error> {
        let rows = self.encode(&[prompt])?;
        let Some((last, rest)) = rows.first().and_then(|row| row.split_last()) else {
            return Ok(0);
        };
        let special = self.tokenizer.get_added_tokens_decoder();
        let ends = special.get(last).is_some_and(|token| token.special);
        Ok(if ends { rest.len() } else { rest.len() + 1 })
    }

    /// The token ids of each text, special tokens included where they stand around it.
    pub(in crate::encoders) fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let texts = texts.iter().map(|text| self.prepared(text)).collect();
        let encodings = self
            .tokenizer
            .encode_batch_fast(texts, self.surrounds)
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
