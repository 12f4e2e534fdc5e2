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

/// `1_Pooling/config.json` of a sentence-transformers checkpoint.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the file's keys")]
struct PoolingFile {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
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
