//! EfficientNet-Lite as timm has it: of any depth and width, and with either way of padding.

use std::path::Path;

use burn::{
    module::Module,
    tensor::{DType, Device},
};

use super::{
    checkpoint::Block as Parts,
    model::{Block, Convolution, EfficientNet, Padding},
    stages::{BlockShape, EPSILON, STAGES},
};
use crate::encoders::{Error, checkpoint, maps::MapPool, normalized::Normalized, timm::TimmConfig};

/// timm's name → name of the module tree below. The first stage has no widening, so that its
/// second normalisation is what is the third elsewhere.
///
/// | in the file | here |
/// |---|---|
/// | `conv_stem.…`, `bn1.…` | `stem.conv.…`, `stem.norm.…` |
/// | `blocks.0.M.conv_dw.…`, `….bn1.…` | `blocks.0.M.depthwise.conv.…`, `….norm.…` |
/// | `blocks.0.M.conv_pw.…`, `….bn2.…` | `blocks.0.M.project.conv.…`, `….norm.…` |
/// | `blocks.N.M.conv_pw.…`, `….bn1.…` | `blocks.N.M.expand.conv.…`, `….norm.…` |
/// | `blocks.N.M.conv_dw.…`, `….bn2.…` | `blocks.N.M.depthwise.conv.…`, `….norm.…` |
/// | `blocks.N.M.conv_pwl.…`, `….bn3.…` | `blocks.N.M.project.conv.…`, `….norm.…` |
/// | `conv_head.…`, `bn2.…` | `head.conv.…`, `head.norm.…` |
const RENAMES: [(&str, &str); 15] = [
    (
        r"^blocks\.0\.(\d+)\.conv_dw\.",
        "blocks.0.${1}.depthwise.conv.",
    ),
    (r"^blocks\.0\.(\d+)\.bn1\.", "blocks.0.${1}.depthwise.norm."),
    (
        r"^blocks\.0\.(\d+)\.conv_pw\.",
        "blocks.0.${1}.project.conv.",
    ),
    (r"^blocks\.0\.(\d+)\.bn2\.", "blocks.0.${1}.project.norm."),
    (r"\.conv_pw\.", ".expand.conv."),
    (r"\.conv_dw\.", ".depthwise.conv."),
    (r"\.conv_pwl\.", ".project.conv."),
    (r"\.bn1\.", ".expand.norm."),
    (r"\.bn2\.", ".depthwise.norm."),
    (r"\.bn3\.", ".project.norm."),
    (r"^conv_stem\.", "stem.conv."),
    (r"^bn1\.", "stem.norm."),
    (r"^conv_head\.", "head.conv."),
    (r"^bn2\.", "head.norm."),
    (r"\.norm\.weight$", ".norm.scale"),
];

/// What features do not need: the classifier, and counters that training kept.
fn may_stay(name: &str) -> bool {
    name.starts_with("classifier.") || name.ends_with(".num_batches_tracked")
}

/// All tensors of the network but its classifier's.
#[derive(Module, Debug)]
struct Checkpoint {
    stem: Normalized,
    /// Seven stages, each of some blocks.
    blocks: Vec<Vec<Parts>>,
    head: Normalized,
}

/// Whether an architecture of timm is of this family.
pub(in crate::encoders) fn is_of_family(architecture: &str) -> bool {
    let name = architecture.strip_prefix("tf_").unwrap_or(architecture);
    name.starts_with("efficientnet_lite")
}

/// The network of the file `path`, on `device`.
pub(in crate::encoders) fn load(
    config: &TimmConfig,
    path: &Path,
    device: &Device,
) -> Result<EfficientNet, Error> {
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let refused = [
        "act_layer",
        "norm_layer",
        "aa_layer",
        "se_layer",
        "output_stride",
    ];
    let refused = refused.into_iter().find(|name| config.is_given(name));
    if let Some(name) = refused {
        return Err(unusable(format!(
            "it was built with `{name}`, which cannot be computed"
        )));
    }
    let tensorflow = config.architecture.starts_with("tf_");
    let padding = match config.word("pad_type") {
        None if tensorflow => Padding::Same,
        None | Some("") => Padding::Half,
        Some("same") => Padding::Same,
        Some(other) => {
            return Err(unusable(format!(
                "`pad_type` is `{other}`; `same` and `` can be computed"
            )));
        }
    };
    let epsilon = config
        .model_args
        .get("bn_eps")
        .and_then(serde_json::Value::as_f64);
    let epsilon = epsilon.unwrap_or(if tensorflow { EPSILON } else { 1e-5 });
    let pool = MapPool::of(config).map_err(unusable)?;
    let mut checkpoint = waiting(path)?;
    checkpoint::load(&mut checkpoint, path, &RENAMES, may_stay, DType::F32)?;
    Ok(fold(&checkpoint, padding, epsilon, pool, device))
}

/// The tensors that the file has, which wait to be loaded.
fn waiting(path: &Path) -> Result<Checkpoint, Error> {
    let device = Device::flex();
    let shapes = checkpoint::shapes(path)?;
    let normalized = |name: &str| {
        let shape = shapes.get(&format!("{name}.weight"))?;
        let shape = <[usize; 4]>::try_from(shape.as_slice()).ok()?;
        Some(Normalized::zeros(shape, &device))
    };
    let needed = |name: &str| {
        normalized(name).ok_or_else(|| Error::Checkpoint {
            path: path.to_owned(),
            reason: format!("tensor `{name}.weight` is missing; is this another architecture?"),
        })
    };
    let block = |stage: usize, place: usize| {
        let part = |name: &str| normalized(&format!("blocks.{stage}.{place}.{name}"));
        let narrow = if stage == 0 { "conv_pw" } else { "conv_pwl" };
        Some(Parts {
            expand: (stage > 0).then(|| part("conv_pw")).flatten(),
            depthwise: part("conv_dw")?,
            project: part(narrow)?,
        })
    };
    let stage = |stage: usize| {
        (0..shapes.len())
            .map_while(|place| block(stage, place))
            .collect()
    };
    Ok(Checkpoint {
        stem: needed("conv_stem")?,
        blocks: (0..STAGES.len()).map(stage).collect(),
        head: needed("conv_head")?,
    })
}

/// The network on `device`, with the normalisations folded into the convolutions.
fn fold(
    checkpoint: &Checkpoint,
    padding: Padding,
    epsilon: f64,
    pool: MapPool,
    device: &Device,
) -> EfficientNet {
    let convolution = |part: &Normalized, stride, groups| {
        Convolution::new(part.fold(epsilon), stride, groups, padding, device)
    };
    let mut blocks = Vec::new();
    for (parts, [_, _, step, ..]) in checkpoint.blocks.iter().zip(STAGES) {
        for (place, part) in parts.iter().enumerate() {
            let [wide, _, kernel, _] = part.depthwise.shape();
            let [output, ..] = part.project.shape();
            let input = part
                .expand
                .as_ref()
                .map_or(wide, |expand| expand.shape()[1]);
            let stride = if place == 0 { step } else { 1 };
            blocks.push(Block {
                expand: part.expand.as_ref().map(|expand| convolution(expand, 1, 1)),
                depthwise: convolution(&part.depthwise, stride, wide),
                project: convolution(&part.project, 1, 1),
                shape: BlockShape {
                    input,
                    expansion: wide / input,
                    kernel,
                    stride,
                    output,
                },
            });
        }
    }
    EfficientNet {
        stem: convolution(&checkpoint.stem, 2, 1),
        blocks,
        head: convolution(&checkpoint.head, 1, 1),
        pool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_family() {
        assert!(is_of_family("tf_efficientnet_lite0"));
        assert!(is_of_family("efficientnet_lite4"));
        assert!(!is_of_family("tf_efficientnet_b0"));
    }
}
