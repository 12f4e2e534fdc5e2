//! The tensors of weights, described; their numbers are read when they are asked for.

use std::path::Path;

use burn_store::{
    ModuleStore, SafetensorsStore, bridge,
    burn_pack::Tensor,
    pytorch_reader::{PickleValue, PytorchError, PytorchReader},
};

use super::{
    files,
    packed::{self, Packed},
    pickle,
};
use crate::encoders::Error;

/// Under what training scripts put the tensors when they save more than these.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];

/// All tensors of weights, under their names in the files.
pub(super) fn read(path: &Path) -> Result<Vec<Tensor>, Error> {
    let mut all = Vec::new();
    for piece in files::pieces(path)? {
        let unusable = |reason: String| Error::Checkpoint {
            path: piece.path.clone(),
            reason,
        };
        let tensors = if files::ends_in(&piece.path, "safetensors") {
            of_safetensors(&piece.path)
        } else if packed::is_packed(&piece.path)? {
            Packed::read(&piece.path).and_then(|packed| packed.tensors())
        } else {
            of_pickle(&piece.path)
        };
        let tensors = tensors.map_err(unusable)?;
        let mut promised = piece.tensors.iter();
        let absent = promised.find(|name| !tensors.iter().any(|tensor| &tensor.name == *name));
        if let Some(name) = absent {
            return Err(unusable(format!(
                "tensor `{name}` is missing, which the index says is here"
            )));
        }
        all.extend(tensors);
    }
    Ok(all)
}

fn of_safetensors(path: &Path) -> Result<Vec<Tensor>, String> {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
    Ok(tensors.values().cloned().collect())
}

fn of_pickle(path: &Path) -> Result<Vec<Tensor>, String> {
    pickle::refuse_calls(path)?;
    let words = |error: PytorchError| error.to_string();
    let wrapper = match PytorchReader::read_pickle_data(path, None).map_err(words)? {
        PickleValue::Dict(entries) => WRAPPERS
            .into_iter()
            .find(|name| matches!(entries.get(*name), Some(PickleValue::Dict(_)))),
        _ => None,
    };
    let reader = match wrapper {
        Some(name) => PytorchReader::with_top_level_key(path, name),
        None => PytorchReader::new(path),
    };
    let tensors = reader.map_err(words)?.into_tensors();
    if tensors.is_empty() {
        return Err("it holds no tensor".to_owned());
    }
    Ok(tensors.into_values().map(bridge::from_pytorch).collect())
}
