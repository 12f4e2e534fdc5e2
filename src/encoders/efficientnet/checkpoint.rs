//! The checkpoint as PyTorch wrote it, tensor by tensor.

use std::path::Path;

use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};

use super::stages::{BlockShape, CLASSES, FEATURES, STEM, blocks};
use crate::encoders::{
    Error, checkpoint,
    normalized::{Normalized, values},
};

/// Checkpoint name → name of the module tree below.
///
/// | in the file | here |
/// |---|---|
/// | `_conv_stem.…`, `_bn0.…` | `stem.conv.…`, `stem.norm.…` |
/// | `_blocks.N._expand_conv.…`, `_blocks.N._bn0.…` | `blocks.N.expand.conv.…`, `blocks.N.expand.norm.…` |
/// | `_blocks.N._depthwise_conv.…`, `_blocks.N._bn1.…` | `blocks.N.depthwise.conv.…`, … |
/// | `_blocks.N._project_conv.…`, `_blocks.N._bn2.…` | `blocks.N.project.conv.…`, … |
/// | `_conv_head.…`, `_bn1.…` | `head.conv.…`, `head.norm.…` |
/// | `_fc.…` | `classifier.…` |
const RENAMES: [(&str, &str); 12] = [
    (
        r"^_blocks\.(\d+)\._expand_conv\.",
        "blocks.${1}.expand.conv.",
    ),
    (r"^_blocks\.(\d+)\._bn0\.", "blocks.${1}.expand.norm."),
    (
        r"^_blocks\.(\d+)\._depthwise_conv\.",
        "blocks.${1}.depthwise.conv.",
    ),
    (r"^_blocks\.(\d+)\._bn1\.", "blocks.${1}.depthwise.norm."),
    (
        r"^_blocks\.(\d+)\._project_conv\.",
        "blocks.${1}.project.conv.",
    ),
    (r"^_blocks\.(\d+)\._bn2\.", "blocks.${1}.project.norm."),
    (r"^_conv_stem\.", "stem.conv."),
    (r"^_bn0\.", "stem.norm."),
    (r"^_conv_head\.", "head.conv."),
    (r"^_bn1\.", "head.norm."),
    (r"^_fc\.", "classifier."),
    (r"\.norm\.weight$", ".norm.scale"),
];

/// Counters that training kept.
fn may_stay(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// All tensors of the network.
#[derive(Module, Debug)]
pub(super) struct Checkpoint {
    pub(super) stem: Normalized,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Normalized,
    classifier: Dense,
}

/// The three convolutions of a block.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) expand: Option<Normalized>,
    pub(super) depthwise: Normalized,
    pub(super) project: Normalized,
}

/// A dense layer in PyTorch's layout, `[out, in]`.
#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// The layer that turns features into the logits of the ImageNet classes.
#[derive(Debug)]
pub(in crate::encoders) struct Classifier {
    /// `[classes, features]`, row-major.
    pub(in crate::encoders) weight: Vec<f32>,
    /// `[classes]`
    pub(in crate::encoders) bias: Vec<f32>,
}

/// Reads the file; parsed, never executed.
pub(super) fn read(path: &Path) -> Result<Checkpoint, Error> {
    let device = Device::flex();
    let mut module = Checkpoint {
        stem: Normalized::zeros([STEM, 3, 3, 3], &device),
        blocks: blocks()
            .into_iter()
            .map(|shape| Block::init(shape, &device))
            .collect(),
        head: Normalized::zeros([FEATURES, blocks()[15].output, 1, 1], &device),
        classifier: Dense {
            weight: Param::from_tensor(Tensor::zeros([CLASSES, FEATURES], &device)),
            bias: Param::from_tensor(Tensor::zeros([CLASSES], &device)),
        },
    };
    checkpoint::load(&mut module, path, &RENAMES, may_stay, DType::F32)?;
    Ok(module)
}

impl Block {
    fn init(shape: BlockShape, device: &Device) -> Self {
        let wide = shape.wide();
        Self {
            expand: (shape.expansion > 1)
                .then(|| Normalized::zeros([wide, shape.input, 1, 1], device)),
            depthwise: Normalized::zeros([wide, 1, shape.kernel, shape.kernel], device),
            project: Normalized::zeros([shape.output, wide, 1, 1], device),
        }
    }
}

impl Checkpoint {
    /// The classifier alone.
    pub(super) fn classifier(&self) -> Classifier {
        Classifier {
            weight: values(self.classifier.weight.val()),
            bias: values(self.classifier.bias.val()),
        }
    }
}
