//! How one vector is made of a text's token vectors.

use std::path::Path;

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
        if !path.is_file() {
            return Ok(None);
        }
        let unusable = |reason: String| Error::Checkpoint {
            path: path.clone(),
            reason,
        };
        let file: PoolingFile = serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| unusable(error.to_string()))?;
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
            _ => Err(unusable(
                "its pooling is neither `cls` nor `mean`; give `--pooling`".to_owned(),
            )),
        }
    }
}

/// Whether a checkpoint's `modules.json` ends in scaling to unit length.
pub(in crate::encoders) fn normalizes(directory: &Path) -> bool {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "type")]
        kind: String,
    }
    let Ok(bytes) = fs_err::read(directory.join("modules.json")) else {
        return false;
    };
    let parts: Vec<Part> = serde_json::from_slice(&bytes).unwrap_or_default();
    parts.iter().any(|part| part.kind.ends_with(".Normalize"))
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
}
