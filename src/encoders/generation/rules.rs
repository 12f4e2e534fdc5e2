//! How a row may grow: what `generation_config.json` says.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::encoders::Error;

/// The rules of one search.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::encoders) struct Rules {
    /// The most tokens of a row, those of the prompt included.
    pub longest: usize,
    /// A row does not end before it has so many tokens.
    pub shortest: usize,
    /// The tokens with which a row ends.
    pub ends: Vec<u32>,
    /// The rows that compete; 1 is greedy.
    pub beams: usize,
    /// What the scores of tokens that were there are divided by.
    pub repetition_penalty: f32,
    /// No group of so many tokens appears twice; 0 lets them.
    pub no_repeat: usize,
    /// The power of the length by which the score of a finished beam is divided.
    pub length_penalty: f64,
    /// When a search with beams ends.
    pub early_stopping: EarlyStopping,
    /// The token behind the first, where it is given.
    pub forced_first: Option<u32>,
    /// The tokens that may end a row of the most tokens; any where there is none.
    pub forced_last: Vec<u32>,
    /// Tokens that are never chosen.
    pub suppressed: Vec<u32>,
    /// Tokens that are not chosen first.
    pub suppressed_first: Vec<u32>,
}

/// When a search with beams ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::encoders) enum EarlyStopping {
    /// When the open rows would have to become better with what they have.
    Guess,
    /// When as many rows are finished as there are beams.
    WhenFull,
    /// When no open row can become better, however long it grows.
    Never,
}

/// What a checkpoint asks for; each key that is not there has the library's default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::encoders) struct Settings {
    pub max_length: Option<usize>,
    pub max_new_tokens: Option<usize>,
    pub min_length: Option<usize>,
    pub min_new_tokens: Option<usize>,
    pub num_beams: Option<usize>,
    pub repetition_penalty: Option<f32>,
    pub no_repeat_ngram_size: Option<usize>,
    pub length_penalty: Option<f64>,
    pub early_stopping: Option<Value>,
    pub eos_token_id: Option<Tokens>,
    pub bos_token_id: Option<u32>,
    pub decoder_start_token_id: Option<u32>,
    pub forced_bos_token_id: Option<u32>,
    pub forced_eos_token_id: Option<Tokens>,
    pub suppress_tokens: Option<Vec<u32>>,
    pub begin_suppress_tokens: Option<Vec<u32>>,
}

/// One token, or several that do the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::encoders) enum Tokens {
    One(u32),
    Several(Vec<u32>),
}

impl Tokens {
    /// All of them.
    pub(in crate::encoders) fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(token) => vec![token],
            Self::Several(tokens) => tokens,
        }
    }
}

/// Keys that would change a search in a way that is not computed here, and the values with which
/// they change nothing.
const MUST_BE: [(&str, &[&str]); 17] = [
    ("do_sample", &["false"]),
    ("num_beam_groups", &["1"]),
    ("diversity_penalty", &["0.0", "0"]),
    ("penalty_alpha", &["0.0", "0"]),
    ("guidance_scale", &["1.0", "1"]),
    ("encoder_repetition_penalty", &["1.0", "1"]),
    ("encoder_no_repeat_ngram_size", &["0"]),
    ("num_return_sequences", &["1"]),
    ("bad_words_ids", &[]),
    ("sequence_bias", &[]),
    ("force_words_ids", &[]),
    ("constraints", &[]),
    ("exponential_decay_length_penalty", &[]),
    ("stop_strings", &[]),
    ("forced_decoder_ids", &[]),
    ("renormalize_logits", &["false"]),
    ("watermarking_config", &[]),
];

impl Settings {
    /// Reads a directory's `generation_config.json`, if there is one.
    pub(in crate::encoders) fn of_directory(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join("generation_config.json");
        if !path.is_file() {
            return Ok(None);
        }
        let unusable = |reason: String| Error::Checkpoint {
            path: path.clone(),
            reason,
        };
        let file: Value = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| unusable(error.to_string()))?;
        for (key, allowed) in MUST_BE {
            let value = file.get(key).unwrap_or(&Value::Null);
            if !value.is_null() && !allowed.contains(&value.to_string().as_str()) {
                return Err(unusable(format!(
                    "`{key}` is {value}; it can only be {}",
                    allowed.first().unwrap_or(&"left out")
                )));
            }
        }
        let settings = serde_json::from_value(file);
        settings
            .map(Some)
            .map_err(|error| unusable(error.to_string()))
    }

    /// What a part of `config.json` says, where there is no file of settings.
    ///
    /// Source: `GenerationConfig.from_model_config` of transformers, and the defaults of BART.
    pub(in crate::encoders) fn of_model(path: &Path, part: &str) -> Result<Self, Error> {
        let unusable = |error: serde_json::Error| Error::Checkpoint {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let file: Value = serde_json::from_slice(&fs_err::read(path)?).map_err(unusable)?;
        // The part has these fields and no others of a search.
        let mut heard = Map::new();
        for (key, default) in [
            ("bos_token_id", 0),
            ("decoder_start_token_id", 2),
            ("eos_token_id", 2),
            ("forced_eos_token_id", 2),
        ] {
            let said = file.get(part).and_then(|part| part.get(key));
            heard.insert(key.to_owned(), said.cloned().unwrap_or(default.into()));
        }
        serde_json::from_value(Value::Object(heard)).map_err(unusable)
    }

    /// The rules for a row that begins with `prompt` tokens and has room for `positions`.
    ///
    /// `max_tokens` and `beams` are the caller's wishes.
    ///
    /// Source: `_prepare_generated_length` of transformers' `generation/utils.py`: a length that
    /// nobody set counts without the prompt, a set one with it.
    pub(in crate::encoders) fn rules(
        &self,
        prompt: usize,
        positions: usize,
        ends: Vec<u32>,
        max_tokens: Option<usize>,
        beams: Option<usize>,
    ) -> Result<Rules, String> {
        let longest = match (max_tokens.or(self.max_new_tokens), self.max_length) {
            // Nothing is computed behind the last token, so that it needs no position.
            (Some(new), _) => prompt.saturating_add(new).min(positions.saturating_add(1)),
            (None, Some(length)) => length.min(positions.saturating_add(1)),
            // Unasked, there it gets one.
            (None, None) => (prompt + 20).min(positions),
        };
        if longest <= prompt {
            return Err(format!(
                "a prompt of {prompt} tokens leaves no room for a caption of at most {longest} \
                 tokens, the prompt's included"
            ));
        }
        let beams = beams.or(self.num_beams).unwrap_or(1);
        if beams == 0 {
            return Err("0 beams find nothing; give at least 1".to_owned());
        }
        let early_stopping = match &self.early_stopping {
            None | Some(Value::Null | Value::Bool(false)) => EarlyStopping::Guess,
            Some(Value::Bool(true)) => EarlyStopping::WhenFull,
            Some(Value::String(word)) if word == "never" => EarlyStopping::Never,
            Some(other) => {
                return Err(format!(
                    "`early_stopping` is {other}; it can be true, false and \"never\""
                ));
            }
        };
        let tokens = |tokens: &Option<Tokens>| tokens.clone().map_or(Vec::new(), Tokens::into_vec);
        Ok(Rules {
            longest,
            shortest: match self.min_new_tokens {
                Some(new) => prompt + new,
                None => self.min_length.unwrap_or(0),
            },
            ends,
            beams,
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            no_repeat: self.no_repeat_ngram_size.unwrap_or(0),
            length_penalty: self.length_penalty.unwrap_or(1.0),
            early_stopping,
            forced_first: self.forced_bos_token_id,
            forced_last: tokens(&self.forced_eos_token_id),
            suppressed: self.suppress_tokens.clone().unwrap_or_default(),
            suppressed_first: self.begin_suppress_tokens.clone().unwrap_or_default(),
        })
    }
}
