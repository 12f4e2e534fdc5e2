//! What sentence-transformers is told of its network and of the texts that go into it.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::options::read_if_there;
use crate::encoders::Error;

/// The files that may say it; the first that says anything does.
///
/// Source: `load_config` of sentence-transformers' `base/modules/transformer.py`.
const FILES: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// Settings of calls that change no number, since every row is computed without padding.
const HARMLESS: [&str; 6] = [
    "padding",
    "padding_side",
    "pad_to_multiple_of",
    "return_tensors",
    "return_token_type_ids",
    "verbose",
];

/// What a file says; each key that is not there has the library's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
    transformer_task: Option<String>,
    tokenizer_name_or_path: Option<String>,
    #[serde(alias = "config_args")]
    config_kwargs: Map<String, Value>,
    #[serde(alias = "tokenizer_args")]
    processor_kwargs: Map<String, Value>,
    processing_kwargs: Map<String, Value>,
    modality_config: Map<String, Value>,
}

/// What is told.
#[derive(Debug)]
pub(super) struct Sentences {
    /// The most tokens of a text where `tokenizer` says none.
    pub longest: Option<usize>,
    /// Texts lose their capitals.
    pub lowers: bool,
    /// What stands over `tokenizer_config.json`.
    pub tokenizer: Map<String, Value>,
    /// The most tokens of a text, over all else.
    pub cut_to: Option<usize>,
    /// Whether texts are cut where they are too long.
    pub cuts: bool,
    /// Whether special tokens stand around a text.
    pub surrounds: bool,
}

impl Sentences {
    /// Reads what a directory says.
    ///
    /// Source: `Transformer` of sentence-transformers, its `__init__` and its `preprocess`.
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        for name in FILES {
            let path = directory.join(name);
            let said = read_if_there::<Map<String, Value>>(&path)?;
            if let Some(said) = said.filter(|said| !said.is_empty()) {
                let file = serde_json::from_value(Value::Object(said));
                return file
                    .map_err(|error| error.to_string())
                    .and_then(Self::of)
                    .map_err(|reason| Error::Checkpoint { path, reason });
            }
        }
        Ok(Self {
            longest: None,
            lowers: false,
            tokenizer: Map::new(),
            cut_to: None,
            cuts: true,
            surrounds: true,
        })
    }

    /// The words for what cannot be computed.
    fn of(mut file: File) -> Result<Self, String> {
        // That code may be run is not for a file to say.
        file.config_kwargs.remove("trust_remote_code");
        if let Some(key) = file.config_kwargs.keys().next() {
            return Err(format!(
                "`config_kwargs` has `{key}`, which changes the network; write it into \
                 `config.json`"
            ));
        }
        if let Some(task) = &file.transformer_task
            && task != "feature-extraction"
        {
            return Err(format!(
                "`transformer_task` is `{task}`; only `feature-extraction` can be computed"
            ));
        }
        if let Some(name) = &file.tokenizer_name_or_path {
            return Err(format!(
                "`tokenizer_name_or_path` is `{name}`; only a tokenizer beside the network can be \
                 read"
            ));
        }
        if let Some(text) = file.modality_config.get("text") {
            for (key, known) in [
                ("method", "forward"),
                ("method_output_name", "last_hidden_state"),
            ] {
                if text[key] != known {
                    return Err(format!(
                        "`{key}` of `text` in `modality_config` is {}; only \"{known}\" can be \
                         computed",
                        text[key]
                    ));
                }
            }
        }
        let mut call = Map::new();
        // What is said of all kinds of inputs stands over what is said of texts.
        for kind in ["text", "common"] {
            if let Some(Value::Object(said)) = file.processing_kwargs.remove(kind) {
                call.extend(said);
            }
        }
        let mut told = Self {
            longest: file.max_seq_length,
            lowers: file.do_lower_case,
            tokenizer: file.processor_kwargs,
            cut_to: None,
            cuts: true,
            surrounds: true,
        };
        for (key, value) in call {
            let unknown = |allowed: &str| {
                Err(format!(
                    "`{key}` in `processing_kwargs` is {value}; it can be {allowed}"
                ))
            };
            match key.as_str() {
                "max_length" => match value.as_u64().map(usize::try_from) {
                    Some(Ok(length)) => told.cut_to = Some(length),
                    _ if value.is_null() => {}
                    _ => return unknown("a whole number"),
                },
                "truncation" => match &value {
                    Value::Bool(cuts) => told.cuts = *cuts,
                    Value::String(way) if way == "do_not_truncate" => told.cuts = false,
                    Value::String(way) if ["longest_first", "only_first"].contains(&&**way) => {}
                    _ => {
                        return unknown(
                            "true, false, \"longest_first\", \"only_first\" and \
                             \"do_not_truncate\"",
                        );
                    }
                },
                "add_special_tokens" => match value.as_bool() {
                    Some(surrounds) => told.surrounds = surrounds,
                    None => return unknown("true and false"),
                },
                other if HARMLESS.contains(&other) => {}
                other => {
                    return Err(format!(
                        "`processing_kwargs` has `{other}`; `max_length`, `truncation` and \
                         `add_special_tokens` can be computed"
                    ));
                }
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> Result<Sentences, Error> {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("sentence_bert_config.json"), "{}").unwrap();
        fs_err::write(folder.path().join(name), text).unwrap();
        Sentences::read(folder.path())
    }

    #[test]
    fn all_files_that_may_say_something_are_read() {
        for name in FILES {
            let told = told(name, r#"{"max_seq_length": 9, "do_lower_case": true}"#).unwrap();
            assert_eq!((told.longest, told.lowers), (Some(9), true), "{name}");
        }
        let file = r#"{"processing_kwargs": {
            "text": {"max_length": 9, "add_special_tokens": false, "padding": true},
            "common": {"max_length": 7}, "image": {"size": 3}
        }, "tokenizer_args": {"do_lower_case": false}}"#;
        let told = told(FILES[0], file).unwrap();
        assert_eq!((told.cut_to, told.surrounds), (Some(7), false));
        assert!(told.tokenizer.contains_key("do_lower_case") && told.cuts);
    }

    #[test]
    fn what_cannot_be_computed_is_named() {
        for (text, words) in [
            (
                r#"{"config_args": {"hidden_act": "relu"}}"#,
                "`config_kwargs` has `hidden_act`",
            ),
            (
                r#"{"processing_kwargs": {"text": {"stride": 2}}}"#,
                "`processing_kwargs` has `stride`",
            ),
            (
                r#"{"processing_kwargs": {"text": {"max_length": "9"}}}"#,
                "it can be a whole number",
            ),
            (
                r#"{"transformer_task": "fill-mask"}"#,
                "`transformer_task` is `fill-mask`",
            ),
            (
                r#"{"modality_config": {"text": {"method": "get_text_features"}}}"#,
                "only \"forward\" can be computed",
            ),
        ] {
            let error = told(FILES[0], text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
