//! Checkpoints into modules, strictly: a tensor too few or too many is an error that names it.

use std::path::Path;

use burn::{module::Module, tensor::DType};
use burn_store::{
    ApplyResult, FloatCastAdapter, ModuleAdapter, ModuleSnapshot, PyTorchToBurnAdapter,
    PytorchStore, SafetensorsStore,
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
    let result = if path
        .extension()
        .is_some_and(|extension| extension == "safetensors")
    {
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
