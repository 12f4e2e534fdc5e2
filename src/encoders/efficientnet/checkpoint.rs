//! The checkpoint as PyTorch wrote it, tensor by tensor.

use std::path::Path;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use super::stages::{BlockShape, CLASSES, EPSILON, FEATURES, STEM, blocks};
use crate::encoders::{Error, checkpoint};

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

/// A convolution without bias, and the batch normalisation behind it.
#[derive(Module, Debug)]
pub(super) struct Normalized {
    conv: Convolution,
    norm: Statistics,
}

#[derive(Module, Debug)]
struct Convolution {
    weight: Param<Tensor<4>>,
}

#[derive(Module, Debug)]
struct Statistics {
    scale: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    running_mean: Param<Tensor<1>>,
    running_var: Param<Tensor<1>>,
}

/// A dense layer in PyTorch's layout, `[out, in]`.
#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// A convolution with the normalisation folded in, as plain numbers.
#[derive(Debug)]
pub(super) struct Folded {
    /// `[out, in / groups, side, side]`, row-major.
    pub(super) weight: Vec<f32>,
    /// The weight's shape.
    pub(super) shape: [usize; 4],
    /// `[out]`
    pub(super) bias: Vec<f32>,
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
        stem: Normalized::init(STEM, 3, 3, &device),
        blocks: blocks()
            .into_iter()
            .map(|shape| Block::init(shape, &device))
            .collect(),
        head: Normalized::init(FEATURES, blocks()[15].output, 1, &device),
        classifier: Dense {
            weight: Param::from_tensor(Tensor::zeros([CLASSES, FEATURES], &device)),
            bias: Param::from_tensor(Tensor::zeros([CLASSES], &device)),
        },
    };
    checkpoint::load(&mut module, path, &RENAMES, may_stay)?;
    Ok(module)
}

impl Block {
    fn init(shape: BlockShape, device: &Device) -> Self {
        let wide = shape.wide();
        Self {
            expand: (shape.expansion > 1).then(|| Normalized::init(wide, shape.input, 1, device)),
            depthwise: Normalized::init(wide, 1, shape.kernel, device),
            project: Normalized::init(shape.output, wide, 1, device),
        }
    }
}

impl Normalized {
    fn init(output: usize, input: usize, side: usize, device: &Device) -> Self {
        let numbers = || Param::from_tensor(Tensor::zeros([output], device));
        Self {
            conv: Convolution {
                weight: Param::from_tensor(Tensor::zeros([output, input, side, side], device)),
            },
            norm: Statistics {
                scale: numbers(),
                bias: numbers(),
                running_mean: numbers(),
                running_var: numbers(),
            },
        }
    }

    /// `norm(conv(x))` as one convolution: each channel's filter is scaled by `scale / deviation`,
    /// and what the mean takes away goes into the bias.
    pub(super) fn fold(&self) -> Folded {
        let shape = self.conv.weight.val().dims();
        let mut weight = values(self.conv.weight.val());
        let [scale, mut bias, mean, variance] = [
            &self.norm.scale,
            &self.norm.bias,
            &self.norm.running_mean,
            &self.norm.running_var,
        ]
        .map(|numbers| values(numbers.val()));
        let size = weight.len() / shape[0];
        for (channel, filter) in weight.chunks_exact_mut(size).enumerate() {
            let factor =
                f64::from(scale[channel]) / (f64::from(variance[channel]) + EPSILON).sqrt();
            for value in filter {
                *value = narrow(f64::from(*value) * factor);
            }
            bias[channel] = narrow(f64::from(bias[channel]) - f64::from(mean[channel]) * factor);
        }
        Folded {
            weight,
            shape,
            bias,
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

#[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit floats")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// A tensor's numbers, row-major.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec()
        .expect("the loader made 32-bit floats")
}
