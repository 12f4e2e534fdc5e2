//! The network, from pixels down to the pooled features.

use burn::{
    module::{Module, Param},
    tensor::{
        Device, Tensor, TensorData,
        activation::relu,
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    },
};

use super::checkpoint::{self, Checkpoint};
use crate::encoders::{maps::MapPool, normalized::Normalized};

/// The epsilon of PyTorch's batch normalisation.
const EPSILON: f64 = 1e-5;

/// A residual network without its classifier; normalisations are folded into the convolutions.
#[derive(Module, Debug)]
pub(in crate::encoders) struct ResNet {
    stem: Convolution,
    blocks: Vec<Block>,
    #[module(skip)]
    pool: MapPool,
}

/// Some convolutions whose result is added to their input.
#[derive(Module, Debug)]
struct Block {
    parts: Vec<Convolution>,
    shortcut: Option<Convolution>,
}

/// A convolution with bias, padded by half its side.
#[derive(Module, Debug)]
struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: usize,
}

impl ResNet {
    /// The network on `device`.
    pub(super) fn fold(checkpoint: Checkpoint, pool: MapPool, device: &Device) -> Self {
        let stages = checkpoint.stages.into_iter().enumerate();
        let blocks = stages.flat_map(|(stage, blocks)| {
            blocks.into_iter().enumerate().map(move |(place, block)| {
                // Each stage but the first begins with half the pixels.
                let stride = if stage > 0 && place == 0 { 2 } else { 1 };
                Block::fold(&block, stride, device)
            })
        });
        Self {
            stem: Convolution::fold(&checkpoint.stem, 2, device),
            blocks: blocks.collect(),
            pool,
        }
    }

    /// The length of a vector.
    pub(in crate::encoders) fn dimension(&self) -> usize {
        let last = self.blocks.last().and_then(|block| block.parts.last());
        self.pool.length(last.unwrap_or(&self.stem).bias.dims()[0])
    }

    /// The pooled features.
    ///
    /// Source: `ResNet` of timm's `models/resnet.py`, which computes what torchvision does.
    ///
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`
    /// - output: `[pictures, dimension]`
    pub(in crate::encoders) fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let maps = relu(self.stem.forward(pixels));
        let mut maps = max_pool2d(
            maps,
            MaxPoolOptions {
                kernel_size: [3, 3],
                stride: [2, 2],
                padding: [(1, 1); 2],
                dilation: [1, 1],
                ceil_mode: false,
            },
        );
        for block in &self.blocks {
            maps = block.forward(maps);
        }
        self.pool.apply(maps)
    }
}

impl Block {
    /// `stride` is that of the first convolution with a side above one: timm and torchvision go
    /// down there.
    fn fold(block: &checkpoint::Block, stride: usize, device: &Device) -> Self {
        let widest = usize::from(block.parts.len() > 2);
        let parts = block.parts.iter().enumerate().map(|(place, part)| {
            let stride = if place == widest { stride } else { 1 };
            Convolution::fold(part, stride, device)
        });
        let shortcut = block.shortcut.as_ref();
        Self {
            parts: parts.collect(),
            shortcut: shortcut.map(|part| Convolution::fold(part, stride, device)),
        }
    }

    /// # Shapes
    /// - maps: `[pictures, input, height, width]`
    /// - output: `[pictures, output, height / stride, width / stride]`
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let same = match &self.shortcut {
            Some(shortcut) => shortcut.forward(maps.clone()),
            None => maps.clone(),
        };
        let mut wide = maps;
        for (place, part) in self.parts.iter().enumerate() {
            let last = place + 1 == self.parts.len();
            wide = part.forward(wide);
            wide = relu(if last { wide + same.clone() } else { wide });
        }
        wide
    }
}

impl Convolution {
    fn fold(part: &Normalized, stride: usize, device: &Device) -> Self {
        let folded = part.fold(EPSILON);
        let outputs = folded.bias.len();
        let weight = TensorData::new(folded.weight, folded.shape);
        let bias = TensorData::new(folded.bias, [outputs]);
        Self {
            weight: Param::from_tensor(Tensor::from_data(weight, device)),
            bias: Param::from_tensor(Tensor::from_data(bias, device)),
            stride,
        }
    }

    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, inputs, high, wide] = weight.dims();
        // Where a filter sees fewer channels than there are, each group has filters of its own.
        let groups = maps.dims()[1] / inputs;
        let options = ConvOptions::new([self.stride; 2], [high / 2, wide / 2], [1, 1], groups);
        conv2d(maps, weight, Some(self.bias.val()), options)
    }
}
