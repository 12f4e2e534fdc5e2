//! The checkpoint as PyTorch wrote it, tensor by tensor.

use std::path::Path;

use burn::{
    module::Module,
    tensor::{DType, Device},
};

use crate::encoders::{Error, checkpoint, normalized::Normalized};

/// Checkpoint name → name of the module tree below.
///
/// | in the file | here |
/// |---|---|
/// | `conv1.…`, `bn1.…` | `stem.conv.…`, `stem.norm.…` |
/// | `layerN.M.convK.…`, `layerN.M.bnK.…` | `stages.N-1.M.parts.K-1.conv.…`, `….norm.…` |
/// | `layerN.M.downsample.0.…`, `….1.…` | `stages.N-1.M.shortcut.conv.…`, `….norm.…` |
const RENAMES: [(&str, &str); 16] = [
    (r"^layer1\.(\d+)\.", "stages.0.${1}."),
    (r"^layer2\.(\d+)\.", "stages.1.${1}."),
    (r"^layer3\.(\d+)\.", "stages.2.${1}."),
    (r"^layer4\.(\d+)\.", "stages.3.${1}."),
    (r"^conv1\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"\.conv1\.", ".parts.0.conv."),
    (r"\.conv2\.", ".parts.1.conv."),
    (r"\.conv3\.", ".parts.2.conv."),
    (r"\.bn1\.", ".parts.0.norm."),
    (r"\.bn2\.", ".parts.1.norm."),
    (r"\.bn3\.", ".parts.2.norm."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"\.norm\.weight$", ".norm.scale"),
    (r"^fc\.", "classifier."),
];

/// What features do not need: the classifier, and counters that training kept.
fn may_stay(name: &str) -> bool {
    name.starts_with("classifier.") || name.ends_with(".num_batches_tracked")
}

/// All tensors of the network but its classifier's.
#[derive(Module, Debug)]
pub(super) struct Checkpoint {
    pub(super) stem: Normalized,
    /// Four, each of some blocks.
    pub(super) stages: Vec<Vec<Block>>,
}

/// Two or three convolutions, and what brings the input to their shape.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) parts: Vec<Normalized>,
    pub(super) shortcut: Option<Normalized>,
}

/// Reads the file; parsed, never executed. What there is of it is read off the tensors' names.
pub(super) fn read(path: &Path) -> Result<Checkpoint, Error> {
    let device = Device::flex();
    let shapes = checkpoint::shapes(path)?;
    let normalized = |name: &str| {
        let shape = shapes.get(&format!("{name}.weight"))?;
        let shape = <[usize; 4]>::try_from(shape.as_slice()).ok()?;
        Some(Normalized::zeros(shape, &device))
    };
    let stem = normalized("conv1").ok_or_else(|| Error::Checkpoint {
        path: path.to_owned(),
        reason: "tensor `conv1.weight` is missing; is this another architecture?".to_owned(),
    })?;
    let block = |name: String| {
        let parts: Vec<Normalized> = (1..=3)
            .map_while(|part| normalized(&format!("{name}.conv{part}")))
            .collect();
        (!parts.is_empty()).then(|| Block {
            parts,
            shortcut: normalized(&format!("{name}.downsample.0")),
        })
    };
    let stage = |stage: usize| {
        (0..shapes.len())
            .map_while(|place| block(format!("layer{stage}.{place}")))
            .collect()
    };
    let mut module = Checkpoint {
        stem,
        stages: (1..=4).map(stage).collect(),
    };
    checkpoint::load(&mut module, path, &RENAMES, may_stay, DType::F32)?;
    Ok(module)
}
