//! Checkpoints into modules, strictly: a tensor too few or too many is an error that names it, and
//! so is one that holds NaN or infinity.
//!
//! Weights are one file, or an index and the files that it lists; a path to the index stands for
//! all of them. A packed encoder is one file, too.

mod files;
mod identity;
mod packed;
mod pickle;
mod tensors;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, OnceLock},
};

use burn::{module::Module, tensor::DType};
use burn_store::{
    ApplyResult, KeyRemapper, ModuleSnapshot, PyTorchToBurnAdapter, bridge,
    burn_pack::{self, Tensor},
};
pub(super) use files::file_in;
pub(super) use identity::Identity;
pub(super) use packed::{Packed, Vocabulary};

use super::Error;

/// Fills `module` from weights: `.safetensors` files, or pickles of PyTorch (`.pth`, `.pt`,
/// `.bin`), which are parsed and never executed.
///
/// `renames` are patterns and their replacements, applied one after the other to each name in the
/// file; `may_stay` says which tensors of the file are not needed. Numbers with a fraction become
/// `dtype`.
pub(super) fn load<M: Module>(
    module: &mut M,
    path: &Path,
    renames: &[(&str, &str)],
    may_stay: fn(&str) -> bool,
    dtype: DType,
) -> Result<(), Error> {
    load_as(module, path, renames, may_stay, |_| dtype)
}

/// [`load`] with numbers of which `dtype` says by the tensor's name in the file what they become.
pub(super) fn load_as<M: Module>(
    module: &mut M,
    path: &Path,
    renames: &[(&str, &str)],
    may_stay: fn(&str) -> bool,
    dtype: impl Fn(&str) -> DType,
) -> Result<(), Error> {
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let broken = Broken::default();
    let tensors = tensors::read(path)?;
    let tensors = tensors.into_iter().map(|tensor| {
        let dtype = dtype(&tensor.name);
        settled(tensor, dtype, &broken)
    });
    let tensors = renamed(tensors.collect(), renames).map_err(unusable)?;
    let result = module.apply(tensors, None, Some(Box::new(PyTorchToBurnAdapter)), true);
    if let Some((name, dtype)) = broken.get() {
        return Err(unusable(format!(
            "tensor `{name}` holds NaN, infinity or what is too large for {dtype:?}"
        )));
    }
    complaint(&result, may_stay).map_or(Ok(()), |reason| Err(unusable(reason)))
}

/// The shape of each tensor of weights, by its name there.
pub(super) fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>, Error> {
    shapes_renamed(path, &[])
}

/// The shape of each tensor of weights, by the name that `renames` make of the one there.
pub(super) fn shapes_renamed(
    path: &Path,
    renames: &[(&str, &str)],
) -> Result<BTreeMap<String, Vec<usize>>, Error> {
    let tensors = renamed(tensors::read(path)?, renames).map_err(|reason| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    })?;
    let shapes = tensors.into_iter().map(|tensor| {
        let shape = tensor.shape.iter().copied().collect();
        (tensor.name, shape)
    });
    Ok(shapes.collect())
}

/// Tensors under other names, of which none may be there twice.
fn renamed(tensors: Vec<Tensor>, renames: &[(&str, &str)]) -> Result<Vec<Tensor>, String> {
    let mut remapper = KeyRemapper::new();
    for (pattern, replacement) in renames {
        remapper = remapper
            .add_pattern(pattern, *replacement)
            .map_err(|error| error.to_string())?;
    }
    let (tensors, names) = remapper.remap(tensors);
    let mut seen = BTreeSet::new();
    match names.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => Err(format!("tensor `{name}` is there twice")),
        None => Ok(tensors),
    }
}

/// The name of the first tensor with a number that is none, and what its numbers should become.
type Broken = Arc<OnceLock<(String, DType)>>;

/// A tensor that becomes `dtype` when it is read, unless it holds whole numbers. Done here and not
/// behind the renames, so that the names are the file's.
fn settled(tensor: Tensor, dtype: DType, broken: &Broken) -> Tensor {
    if !tensor.dtype.is_float() {
        return tensor;
    }
    let (name, shape, broken) = (
        tensor.name.clone(),
        tensor.shape.clone(),
        Arc::clone(broken),
    );
    bridge::deferred(name.clone(), dtype, shape, tensor.param_id, move || {
        let wrong = |reason: String| burn_pack::Error::ValidationError(reason);
        let data = bridge::to_data(&tensor)?
            .try_cast(dtype)
            .map_err(|error| wrong(error.to_string()))?;
        if is_finite(data.as_bytes(), dtype) {
            Ok(data)
        } else {
            let (name, _) = broken.get_or_init(|| (name.clone(), dtype));
            Err(wrong(format!("`{name}` is not finite")))
        }
    })
}

/// Whether no number has an exponent of ones alone. Reads the bits without a branch per number, so
/// that it costs little beside reading the file.
fn is_finite(bytes: &[u8], dtype: DType) -> bool {
    fn none<const N: usize>(bytes: &[u8], is_broken: impl Fn([u8; N]) -> bool) -> bool {
        bytes.as_chunks::<N>().0.chunks(4096).all(|numbers| {
            !numbers
                .iter()
                .fold(false, |found, number| found | is_broken(*number))
        })
    }
    let half = |ones: u16| move |number: [u8; 2]| u16::from_le_bytes(number) & ones == ones;
    match dtype {
        DType::F16 => none(bytes, half(0x7c00)),
        DType::BF16 => none(bytes, half(0x7f80)),
        DType::F64 => none(bytes, |number: [u8; 8]| {
            !f64::from_le_bytes(number).is_finite()
        }),
        _ => none(bytes, |number: [u8; 4]| {
            !f32::from_le_bytes(number).is_finite()
        }),
    }
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
