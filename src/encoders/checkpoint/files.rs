//! Which files of a folder are its weights.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::identity::hash_of;
use crate::{corpus::ContentHash, encoders::Error};

/// The names that transformers and timm give to weights, the first found first.
const NAMES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
/// What other files with weights end in.
const ENDINGS: [&str; 3] = ["safetensors", "pth", "pt"];

/// The weights in a folder: under a name that transformers or timm gives, or the only file that can
/// hold any. An index stands for the files that it lists. What is called `Visualized_….pth` goes
/// before all: it holds the text model's weights too, which may lie beside it.
pub(in crate::encoders) fn file_in(directory: &Path) -> Result<PathBuf, Error> {
    let mut others = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        if ENDINGS.into_iter().any(|ending| ends_in(&path, ending)) && path.is_file() {
            others.push(path);
        }
    }
    others.sort();
    let is_visual = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("Visualized_") && ends_in(path, "pth")
    };
    let visual: Vec<&PathBuf> = others.iter().filter(is_visual).collect();
    let named = || {
        let named = NAMES.iter().map(|name| directory.join(name));
        named.into_iter().find(|path| path.is_file())
    };
    match visual.as_slice() {
        [only] => return Ok((*only).clone()),
        [] => {
            if let Some(path) = named() {
                return Ok(path);
            }
            if let Some(index) = only_index(directory)? {
                return Ok(index);
            }
            if let [only] = others.as_slice() {
                return Ok(only.clone());
            }
        }
        // Which of them is meant, nothing tells.
        [..] => {}
    }
    let found: Vec<_> = others.iter().filter_map(|path| path.file_name()).collect();
    Err(Error::Checkpoint {
        path: directory.to_owned(),
        reason: format!(
            "it must hold weights as `{}`, or one file that ends in `.{}`; {}",
            NAMES.join("`, `"),
            ENDINGS.join("`, `."),
            match found.len() {
                0 => "there is none".to_owned(),
                _ => format!("there are {found:?}"),
            }
        ),
    })
}

/// The index of the only variant of the weights, as `save_pretrained(variant = …)` names it:
/// `model.safetensors.index.VARIANT.json`.
fn only_index(directory: &Path) -> Result<Option<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let starts = ["model.safetensors.index.", "pytorch_model.bin.index."];
        if starts.iter().any(|start| name.starts_with(start)) && ends_in(&path, "json") {
            found.push(path);
        }
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// What an index says.
#[derive(Deserialize)]
struct Index {
    /// Each tensor's file.
    weight_map: BTreeMap<String, String>,
}

/// The files of weights: those that an index lists, or the file itself.
pub(super) fn pieces(path: &Path) -> Result<Vec<Piece>, Error> {
    if !ends_in(path, "json") {
        return Ok(vec![Piece {
            path: path.to_owned(),
            tensors: BTreeSet::new(),
        }]);
    }
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let index: Index = serde_json::from_slice(&fs_err::read(path)?)
        .map_err(|error| unusable(error.to_string()))?;
    let mut pieces: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        pieces.entry(file).or_default().insert(tensor);
    }
    if pieces.is_empty() {
        return Err(unusable("its `weight_map` lists no tensor".to_owned()));
    }
    let piece = |(name, tensors): (String, BTreeSet<String>)| {
        // The index tells of files beside it, and of no others.
        if Path::new(&name).file_name() != Some(name.as_ref()) {
            return Err(unusable(format!("`{name}` is no file beside it")));
        }
        let place = path.with_file_name(&name);
        if !place.is_file() {
            let first = tensors.first().map_or("", String::as_str);
            return Err(unusable(format!(
                "`{name}` is missing, which holds `{first}` and {} more tensors",
                tensors.len() - 1
            )));
        }
        Ok(Piece {
            path: place,
            tensors,
        })
    };
    pieces.into_iter().map(piece).collect()
}

/// One file of weights.
pub(super) struct Piece {
    pub(super) path: PathBuf,
    /// The tensors that an index says it holds.
    pub(super) tensors: BTreeSet<String>,
}

/// The hash of weights: the file's, or where there are several, of their hashes.
pub(super) fn hash(path: &Path) -> Result<ContentHash, Error> {
    let pieces = pieces(path)?;
    if !ends_in(path, "json") {
        return hash_of(path);
    }
    let mut all = String::new();
    for piece in pieces {
        all += &hash_of(&piece.path)?.to_string();
        all.push('\n');
    }
    Ok(ContentHash::of(all))
}

/// Whether a path ends in a dot and `ending`.
pub(super) fn ends_in(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_in_pieces_is_found_where_it_is_the_only_one() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs_err::write(folder.path().join(name), "{}").unwrap();
        put("model.fp16-00001-of-00002.safetensors");
        put("model.fp16-00002-of-00002.safetensors");
        let error = file_in(folder.path()).unwrap_err().to_string();
        assert!(error.contains("00001-of-00002"), "{error}");
        put("model.safetensors.index.fp16.json");
        let found = file_in(folder.path()).unwrap();
        assert!(found.ends_with("model.safetensors.index.fp16.json"));
        put("model.safetensors.index.fp32.json");
        assert!(file_in(folder.path()).is_err());
        put("model.safetensors.index.json");
        let found = file_in(folder.path()).unwrap();
        assert!(found.ends_with("model.safetensors.index.json"));
    }
}
