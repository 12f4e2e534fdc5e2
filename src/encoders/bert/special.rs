//! The tokens that are found in a text before the rules of a tokenizer see it.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use super::{classes::Class, options::read_if_there};
use crate::encoders::Error;

/// The keys of the special tokens that every tokenizer of transformers may have.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// What `CamembertTokenizer` adds where nothing else is said.
const NOT_USED: [&str; 3] = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"];

/// The special token of a `key`: that of the settings, else that of the class.
pub(super) fn word(class: Class, said: &Map<String, Value>, key: &str) -> Option<AddedToken> {
    let default = || {
        let token = AddedToken::from(class.default_word(key)?, true);
        Some(token.lstrip(class == Class::Camembert && key == "mask_token"))
    };
    said.get(key).and_then(special).or_else(default)
}

/// The tokens that a class adds to those which its rules have, in their order.
///
/// `file` is the `tokenizer.json` whose added tokens the rules do not have yet.
///
/// Source: `_from_pretrained` of transformers' `tokenization_utils_base.py`, and `__init__` of its
/// `tokenization_utils_tokenizers.py`.
pub(super) fn added(
    class: Class,
    said: &Map<String, Value>,
    directory: &Path,
    file: Option<&Value>,
    tokenizer: &Tokenizer,
) -> Result<Vec<AddedToken>, Error> {
    let mut named: Vec<AddedToken> = NAMED
        .into_iter()
        .filter_map(|key| word(class, said, key))
        .collect();
    let is_own = |key: &str| key.ends_with("_token") && !NAMED.contains(&key);
    named.extend(
        said.iter()
            .filter(|(key, _)| is_own(key))
            .filter_map(|(_, value)| special(value)),
    );
    let extra = said.get("extra_special_tokens").filter(|extra| {
        let has = |all: &Vec<Value>| !all.is_empty();
        extra.is_object() || extra.as_array().is_some_and(has)
    });
    let extra: Vec<AddedToken> = match extra.or_else(|| said.get("additional_special_tokens")) {
        Some(Value::Array(all)) => all.iter().filter_map(special).collect(),
        Some(Value::Object(all)) => all.values().filter_map(special).collect(),
        _ if class == Class::Camembert => NOT_USED
            .into_iter()
            .map(|word| AddedToken::from(word, true))
            .collect(),
        _ => Vec::new(),
    };
    named.extend(extra);

    let mut listed = BTreeMap::new();
    if let Some(Value::Object(decoder)) = said.get("added_tokens_decoder") {
        let numbered = decoder.iter().filter_map(|(id, token)| {
            let id = id.parse::<u64>().ok()?;
            Some((id, of_object(token, false)?))
        });
        listed.extend(numbered);
    } else {
        let path = directory.join("added_tokens.json");
        for (word, id) in read_if_there::<BTreeMap<String, u64>>(&path)?.unwrap_or_default() {
            let is_special = named.iter().any(|token| token.content == word);
            listed.insert(id, AddedToken::from(word, is_special));
        }
        let own = file.and_then(|file| file.get("added_tokens")?.as_array());
        for token in own.into_iter().flatten() {
            if let (Some(id), Some(token)) = (token["id"].as_u64(), of_object(token, false)) {
                listed.insert(id, token);
            }
        }
    }
    let present = tokenizer.get_added_tokens_decoder();
    let is_present = |word: &str| present.values().any(|token| token.content == word);
    let mut all: Vec<AddedToken> = listed.into_values().collect();
    for token in &mut all {
        token.special |= named.iter().any(|named| named.content == token.content);
    }
    for token in named {
        if !is_present(&token.content) && all.iter().all(|other| other.content != token.content) {
            all.push(token);
        }
    }
    Ok(all)
}

/// A special token as it is written: a word, or an object.
fn special(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(word) => Some(AddedToken::from(word.as_str(), true)),
        _ => of_object(value, true),
    }
}

/// A token that is written as an object.
fn of_object(value: &Value, is_special: bool) -> Option<AddedToken> {
    let is = |key: &str| value.get(key).and_then(Value::as_bool);
    let special = is_special || is("special").unwrap_or(false);
    Some(AddedToken {
        content: value.get("content")?.as_str()?.to_owned(),
        single_word: is("single_word").unwrap_or(false),
        lstrip: is("lstrip").unwrap_or(false),
        rstrip: is("rstrip").unwrap_or(false),
        normalized: is("normalized").unwrap_or(!special),
        special,
    })
}
