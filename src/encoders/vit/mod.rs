//! Vision transformers as timm has them: `vit_large_patch16_384` and its kin of any size.

mod config;
mod model;
mod names;

use std::path::Path;

use burn::tensor::{DType, Device};

pub(super) use model::Vit;

use super::{Error, checkpoint, timm::TimmConfig};

/// Tensors that features do not need: the classifier.
fn may_stay(name: &str) -> bool {
    name.starts_with("head.") || name.starts_with("head_dist.")
}

/// Whether an architecture of timm is called as this family is; the large EVA is plain. Those of
/// which not every word is known here are refused when they are loaded.
pub(super) fn is_of_family(architecture: &str) -> bool {
    ["vit_", "deit_", "deit3_", "eva_large_"]
        .iter()
        .any(|prefix| architecture.starts_with(prefix))
}

/// The network of the file `path` with its weights as `dtype`, on `device`.
pub(super) fn load(
    config: &TimmConfig,
    path: &Path,
    device: &Device,
    dtype: DType,
) -> Result<Vit, Error> {
    let shapes = checkpoint::shapes(path)?;
    let wanted = config::VitConfig::new(config, &shapes).map_err(|reason| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    })?;
    let mut model = wanted.init(device);
    checkpoint::load(&mut model, path, &[], may_stay, dtype)?;
    Ok(model)
}
