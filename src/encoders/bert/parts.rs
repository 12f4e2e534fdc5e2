//! What the files of sentence-transformers say of the modules of a checkpoint.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{Pooling, options::read_if_there, pooling::ALL};
use crate::encoders::Error;

/// One entry of `modules.json`.
#[derive(Deserialize)]
pub(super) struct Part {
    /// Its class, with the names of the modules that the class is in.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    path: String,
}

impl Part {
    /// The last part of its class's name.
    pub(super) fn class(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }

    /// Its folder in that of a checkpoint.
    pub(super) fn folder(&self, directory: &Path) -> Result<PathBuf, Error> {
        let mut components = Path::new(&self.path).components();
        if components.all(|component| matches!(component, Component::Normal(_))) {
            return Ok(directory.join(&self.path));
        }
        Err(Error::Checkpoint {
            path: directory.join(INDEX),
            reason: format!("`{}` is no folder beside it", self.path),
        })
    }
}

/// The file that names the modules.
pub(super) const INDEX: &str = "modules.json";

/// The folder of a checkpoint's network and tokenizer: the checkpoint's own, or that which
/// `modules.json` names.
pub(in crate::encoders) fn network(directory: &Path) -> Result<PathBuf, Error> {
    let parts = read_if_there::<Vec<Part>>(&directory.join(INDEX))?.unwrap_or_default();
    match parts.iter().find(|part| part.class() == "Transformer") {
        Some(part) if !part.path.is_empty() => part.folder(directory),
        _ => Ok(directory.to_owned()),
    }
}

/// Whether a module scales the vectors of texts; behind pooling those of tokens serve nothing more.
///
/// Source: `Normalize` of sentence-transformers' `base/modules/normalize.py`.
pub(super) fn scales_texts(path: &Path) -> Result<bool, Error> {
    #[derive(Default, Deserialize)]
    struct File {
        module_input_name: Option<String>,
        module_output_name: Option<String>,
    }
    const TEXTS: &str = "sentence_embedding";
    let file = read_if_there::<File>(path)?.unwrap_or_default();
    let input = file.module_input_name.as_deref().unwrap_or(TEXTS);
    match file.module_output_name.as_deref().unwrap_or(input) {
        TEXTS if input == TEXTS => Ok(true),
        TEXTS => Err(Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("`module_input_name` is `{input}`; only `{TEXTS}` can be computed"),
        }),
        _ => Ok(false),
    }
}

/// `1_Pooling/config.json` of a sentence-transformers checkpoint: since version 6 with the names of
/// what is joined, before with a switch for each.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "these are the file's keys")]
pub(super) struct PoolingFile {
    #[serde(default)]
    pooling_mode: Option<Modes>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    #[serde(default)]
    pub include_prompt: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(String),
    Several(Vec<String>),
}

impl PoolingFile {
    /// What is joined; the words for what cannot be computed.
    pub(super) fn ways(&self) -> Result<Vec<Pooling>, String> {
        let modes = match &self.pooling_mode {
            None => &[],
            Some(Modes::One(mode)) => std::slice::from_ref(mode),
            Some(Modes::Several(modes)) => modes.as_slice(),
        };
        if !modes.is_empty() {
            let parsed = modes.iter().map(|mode| {
                mode.parse().map_err(|_| {
                    let known = ALL.map(Pooling::name).join("`, `");
                    format!("`pooling_mode` is `{mode}`; `{known}` can be computed")
                })
            });
            return parsed.collect();
        }
        let switches = [
            self.pooling_mode_cls_token,
            self.pooling_mode_max_tokens,
            self.pooling_mode_mean_tokens,
            self.pooling_mode_mean_sqrt_len_tokens,
            self.pooling_mode_weightedmean_tokens,
            self.pooling_mode_lasttoken,
        ];
        let on = ALL.into_iter().zip(switches).filter(|(_, on)| *on);
        let ways: Vec<Pooling> = on.map(|(way, _)| way).collect();
        // Where all are off, the library takes its default.
        Ok(if ways.is_empty() {
            vec![Pooling::Mean]
        } else {
            ways
        })
    }
}
