//! What is said of a checkpoint from outside, and what it puts in front of texts.

use std::{collections::HashMap, path::Path};

use serde::Deserialize;

use super::Pooling;
use crate::encoders::Error;

/// What a caller may say about a checkpoint in a directory, over what its files say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// The pooling, instead of what `1_Pooling/config.json` says.
    pub pooling: Option<Pooling>,
    /// Scale vectors to unit length, also where `modules.json` does not ask for it.
    pub normalize: bool,
}

/// What a checkpoint of sentence-transformers puts in front of a text where nothing else is said.
///
/// Source: `_parse_model_config` and `_resolve_prompt` of sentence-transformers' `base/model.py`.
pub(in crate::encoders) fn prompt(directory: &Path) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(default)]
        prompts: HashMap<String, Option<String>>,
        #[serde(default)]
        default_prompt_name: Option<String>,
    }
    // Without modules the file is not looked at there either.
    if !directory.join("modules.json").is_file() {
        return Ok(String::new());
    }
    let path = directory.join("config_sentence_transformers.json");
    let Some(settings) = read_if_there::<Settings>(&path)? else {
        return Ok(String::new());
    };
    let Some(name) = settings.default_prompt_name else {
        return Ok(String::new());
    };
    match settings.prompts.get(&name) {
        Some(prompt) => Ok(prompt.clone().unwrap_or_default()),
        // These two are always there.
        None if ["query", "document"].contains(&name.as_str()) => Ok(String::new()),
        None => Err(Error::Checkpoint {
            path,
            reason: format!("`default_prompt_name` is `{name}`, which is none of its `prompts`"),
        }),
    }
}

/// What a file of JSON holds; `None` where there is no such file.
pub(super) fn read_if_there<T: serde::de::DeserializeOwned>(
    path: &Path,
) -> Result<Option<T>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    serde_json::from_slice(&fs_err::read(path)?)
        .map(Some)
        .map_err(|error| Error::Checkpoint {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_prompt_is_that_of_sentence_transformers() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let file = "config_sentence_transformers.json";
        let prompts = r#""prompts": {"query": "query: ", "other": null}"#;
        put(
            file,
            &format!(r#"{{"default_prompt_name": "query", {prompts}}}"#),
        );
        // There is no such thing without modules.
        assert_eq!(prompt(folder.path()).unwrap(), "");
        put("modules.json", "[]");
        for (default, expected) in [
            (r#""query""#, Some("query: ")),
            (r#""other""#, Some("")),
            (r#""document""#, Some("")),
            ("null", Some("")),
            (r#""none""#, None),
        ] {
            put(
                file,
                &format!(r#"{{"default_prompt_name": {default}, {prompts}}}"#),
            );
            match (prompt(folder.path()), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected),
                (Err(error), None) => {
                    assert!(
                        error.to_string().contains("none of its `prompts`"),
                        "{error}"
                    );
                }
                other => panic!("{default}: {other:?}"),
            }
        }
    }
}
