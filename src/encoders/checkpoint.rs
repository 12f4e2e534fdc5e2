//! Checkpoints into modules, strictly: a tensor too few or too many is an error that names it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{module::Module, tensor::DType};
use burn_store::{
    ApplyResult, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, ModuleStore,
    PyTorchToBurnAdapter, PytorchStore, SafetensorsStore, burn_pack::Tensor,
};

use super::Error;

/// Fills `module` from a `.safetensors` file, or a pickle of PyTorch (`.pth`, `.pt`, `.bin`), which
/// is parsed and never executed.
///
/// `renames` are patterns and their replacements, applied one after the other to each name in the
/// file; `may_stay` says which tensors of the file are not needed. Numbers become 32-bit floats.
pub(super) fn load<M: Module>(
    module: &mut M,
    path: &Path,
    renames: &[(&str, &str)],
    may_stay: fn(&str) -> bool,
) -> Result<(), Error> {
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let result = if is_safetensors(path) {
        let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
        let mut store = SafetensorsStore::from_file(path)
            .with_from_adapter(adapter)
            .allow_partial(true)
            .validate(false);
        for (pattern, replacement) in renames {
            store = store.with_key_remapping(pattern, *replacement);
        }
        module
            .load_from(&mut store)
            .map_err(|error| unusable(error.to_string()))?
    } else {
        let mut store = PytorchStore::from_file(path)
            .map_indices_contiguous(false)
            .allow_partial(true)
            .validate(false);
        for (pattern, replacement) in renames {
            store = store.with_key_remapping(pattern, *replacement);
        }
        module
            .load_from(&mut store)
            .map_err(|error| unusable(error.to_string()))?
    };
    complaint(&result, may_stay).map_or(Ok(()), |reason| Err(unusable(reason)))
}

/// The weights in a directory that transformers or timm wrote.
pub(super) fn file_in(directory: &Path) -> Result<PathBuf, Error> {
    ["model.safetensors", "pytorch_model.bin"]
        .map(|name| directory.join(name))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Checkpoint {
            path: directory.to_owned(),
            reason: "it holds neither `model.safetensors` nor `pytorch_model.bin`".to_owned(),
        })
}

/// The shape of each tensor of a file, by its name there.
pub(super) fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>, Error> {
    fn of<S: ModuleStore>(mut store: S) -> Result<BTreeMap<String, Vec<usize>>, String> {
        let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
        let shape = |tensor: &Tensor| tensor.shape.iter().copied().collect();
        Ok(tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), shape(tensor)))
            .collect())
    }
    let shapes = if is_safetensors(path) {
        of(SafetensorsStore::from_file(path))
    } else {
        of(PytorchStore::from_file(path).map_indices_contiguous(false))
    };
    shapes.map_err(|reason| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    })
}

fn is_safetensors(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "safetensors")
}

/// What is wrong with what was loaded, if anything is.
fn complaint(result: &ApplyResult, may_stay: fn(&str) -> bool) -> Option<String> {
    if let Some(error) = result.errors.first() {
        return Some(format!(
            "{error} ({} tensors do not fit)",
            result.errors.len()
        ));
    }
    if let Some((name, _)) = result.missing.first() {
        return Some(format!(
            "tensor `{name}` is missing ({} are)",
            result.missing.len()
        ));
    }
    let mut unexpected = result.unused.iter().filter(|name| !may_stay(name));
    let first = unexpected.next()?;
    Some(format!(
        "tensor `{first}` is unexpected ({} are); is this another architecture?",
        1 + unexpected.count()
    ))
}
