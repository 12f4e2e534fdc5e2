//! How one vector is made of a text's token vectors.

use std::{collections::HashMap, path::Path};

use serde::Deserialize;

use crate::encoders::Error;

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The vector of the first token.
    Cls,
    /// The mean over all tokens.
    Mean,
}

impl Pooling {
    /// The word on the command line and in fingerprints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
        }
    }
}

impl std::str::FromStr for Pooling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cls" => Ok(Self::Cls),
            "mean" => Ok(Self::Mean),
            _ => Err(format!("`{text}` is no pooling; write `cls` or `mean`")),
        }
    }
}

/// What a caller may say about a checkpoint in a directory, over what its files say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// The pooling, instead of what `1_Pooling/config.json` says.
    pub pooling: Option<Pooling>,
    /// Scale vectors to unit length, also where `modules.json` does not ask for it.
    pub normalize: bool,
}

/// `1_Pooling/config.json` of a sentence-transformers checkpoint: since version 6 with the names of
/// what is joined, before with a switch for each.
#[derive(Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "these are the file's keys"
)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode: Option<Modes>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(String),
    Several(Vec<String>),
}

impl Pooling {
    /// What a checkpoint's own files say; `None` where they say nothing.
    pub(in crate::encoders) fn of_directory(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join("1_Pooling").join("config.json");
        let Some(file) = read_if_there::<PoolingFile>(&path)? else {
            return Ok(None);
        };
        let modes = match &file.pooling_mode {
            None => &[],
            Some(Modes::One(mode)) => std::slice::from_ref(mode),
            Some(Modes::Several(modes)) => modes.as_slice(),
        };
        if let [mode] = modes
            && let Ok(pooling) = mode.parse()
        {
            return Ok(Some(pooling));
        }
        let other = file.pooling_mode_max_tokens || file.pooling_mode_mean_sqrt_len_tokens;
        match (
            file.pooling_mode_cls_token,
            file.pooling_mode_mean_tokens,
            other,
        ) {
            (true, false, false) => Ok(Some(Self::Cls)),
            (false, true, false) => Ok(Some(Self::Mean)),
            _ => Err(Error::Checkpoint {
                path,
                reason: "its pooling is neither `cls` nor `mean`; give `--pooling`".to_owned(),
            }),
        }
    }
}

/// Whether a checkpoint's `modules.json` scales to unit length.
pub(in crate::encoders) fn normalizes(directory: &Path) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "type")]
        kind: String,
    }
    let path = directory.join("modules.json");
    let Some(parts) = read_if_there::<Vec<Part>>(&path)? else {
        return Ok(false);
    };
    let is = |part: &Part, name: &str| part.kind.rsplit('.').next() == Some(name);
    let known = ["Transformer", "Pooling", "Normalize", "Dropout"];
    match parts
        .iter()
        .find(|part| !known.iter().any(|name| is(part, name)))
    {
        Some(part) => Err(Error::Checkpoint {
            path,
            reason: format!(
                "a module is `{}`; `{}` can be computed",
                part.kind,
                known.join("`, `")
            ),
        }),
        None => Ok(parts.iter().any(|part| is(part, "Normalize"))),
    }
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
    #[derive(Deserialize)]
    struct Pooled {
        #[serde(default)]
        include_prompt: Option<bool>,
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
    let unusable = |reason: String| Error::Checkpoint {
        path: path.clone(),
        reason,
    };
    let prompt = match settings.prompts.get(&name) {
        Some(prompt) => prompt.clone().unwrap_or_default(),
        // These two are always there.
        None if ["query", "document"].contains(&name.as_str()) => String::new(),
        None => {
            return Err(unusable(format!(
                "`default_prompt_name` is `{name}`, which is none of its `prompts`"
            )));
        }
    };
    let pooled = read_if_there::<Pooled>(&directory.join("1_Pooling").join("config.json"))?;
    let is_left_out = pooled.and_then(|pooled| pooled.include_prompt) == Some(false);
    if is_left_out && !prompt.is_empty() {
        return Err(unusable(format!(
            "its prompt `{name}` is not to be pooled (`include_prompt` is false), which cannot be \
             computed"
        )));
    }
    Ok(prompt)
}

/// What a file of JSON holds; `None` where there is no such file.
fn read_if_there<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
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
    fn reads_the_files_of_all_versions() {
        let of = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs_err::create_dir(folder.path().join("1_Pooling")).unwrap();
            fs_err::write(folder.path().join("1_Pooling/config.json"), text).unwrap();
            Pooling::of_directory(folder.path())
        };
        for (text, pooling) in [
            (r#"{"pooling_mode": "cls"}"#, Pooling::Cls),
            (r#"{"pooling_mode": ["mean"]}"#, Pooling::Mean),
            (r#"{"pooling_mode_cls_token": true}"#, Pooling::Cls),
            (
                r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}"#,
                Pooling::Mean,
            ),
        ] {
            assert_eq!(of(text).unwrap(), Some(pooling), "{text}");
        }
        for text in [
            r#"{"pooling_mode": ["cls", "max"]}"#,
            r#"{"pooling_mode": "max"}"#,
            "{}",
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains("neither `cls` nor `mean`"), "{error}");
        }
    }

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
        put(
            file,
            &format!(r#"{{"default_prompt_name": "query", {prompts}}}"#),
        );
        put("1_Pooling/config.json", r#"{"include_prompt": false}"#);
        let error = prompt(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`include_prompt`"), "{error}");
    }

    #[test]
    fn a_module_that_is_not_computed_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let of = |kinds: &[&str]| {
            let parts: Vec<_> = kinds
                .iter()
                .map(|kind| serde_json::json!({"type": kind}))
                .collect();
            let text = serde_json::to_string(&parts).unwrap();
            fs_err::write(folder.path().join("modules.json"), text).unwrap();
            normalizes(folder.path())
        };
        let models = "sentence_transformers.models";
        let (first, pooling) = (format!("{models}.Transformer"), format!("{models}.Pooling"));
        assert!(!of(&[&first, &pooling]).unwrap());
        assert!(of(&[&first, &pooling, &format!("{models}.Normalize")]).unwrap());
        let error = of(&[&first, &pooling, &format!("{models}.Dense")]).unwrap_err();
        assert!(error.to_string().contains("models.Dense"), "{error}");
    }
}
