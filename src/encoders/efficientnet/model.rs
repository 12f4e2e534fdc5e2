//! The network, from pixels down to the pooled features.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData, module::conv2d, ops::ConvOptions},
};

use super::stages::BlockShape;
use crate::encoders::{maps::MapPool, normalized::Folded};

/// EfficientNet-Lite without its classifier; normalisations are folded into the convolutions.
#[derive(Module, Debug)]
pub(in crate::encoders) struct EfficientNet {
    pub(super) stem: Convolution,
    pub(super) blocks: Vec<Block>,
    pub(super) head: Convolution,
    #[module(skip)]
    pub(super) pool: MapPool,
}

/// One block: widen, filter each channel, narrow.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) expand: Option<Convolution>,
    pub(super) depthwise: Convolution,
    pub(super) project: Convolution,
    #[module(skip)]
    pub(super) shape: BlockShape,
}

/// What stands around a map before it is filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// As much as makes `input / stride` pixels a side, rounded up: TensorFlow's.
    Same,
    /// Half the filter's side on each side: PyTorch's.
    Half,
}

/// A convolution with bias.
#[derive(Module, Debug)]
pub(super) struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    padding: Padding,
}

impl EfficientNet {
    /// The length of a vector.
    pub(in crate::encoders) fn dimension(&self) -> usize {
        self.pool.length(self.head.bias.dims()[0])
    }

    /// The pooled features.
    ///
    /// # Shapes
    /// - pixels: `[batch, 3, height, width]`
    /// - output: `[batch, dimension]`
    pub(in crate::encoders) fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let mut maps = relu6(self.stem.forward(pixels));
        for block in &self.blocks {
            maps = block.forward(maps);
        }
        let maps = relu6(self.head.forward(maps));
        self.pool.apply(maps)
    }
}

impl Block {
    /// # Shapes
    /// - maps: `[batch, input, side, side]`
    /// - output: `[batch, output, side / stride, side / stride]`
    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let residual = self.shape.is_residual().then(|| maps.clone());
        let wide = match &self.expand {
            Some(expand) => relu6(expand.forward(maps)),
            None => maps,
        };
        let narrow = self.project.forward(relu6(self.depthwise.forward(wide)));
        match residual {
            Some(residual) => narrow + residual,
            None => narrow,
        }
    }
}

impl Convolution {
    pub(super) fn new(
        folded: Folded,
        stride: usize,
        groups: usize,
        padding: Padding,
        device: &Device,
    ) -> Self {
        let Folded {
            weight,
            shape,
            bias,
        } = folded;
        let outputs = bias.len();
        Self {
            weight: Param::from_tensor(Tensor::from_data(TensorData::new(weight, shape), device)),
            bias: Param::from_tensor(Tensor::from_data(TensorData::new(bias, [outputs]), device)),
            stride,
            groups,
            padding,
        }
    }

    fn forward(&self, maps: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = maps.dims();
        let weight = self.weight.val();
        let [_, _, side, _] = weight.dims();
        let padding = [height, width].map(|size| match self.padding {
            Padding::Same => same(size, side, self.stride),
            Padding::Half => (side / 2, side / 2),
        });
        let options = ConvOptions::new_with_padding([self.stride; 2], padding, [1, 1], self.groups);
        conv2d(maps, weight, Some(self.bias.val()), options)
    }
}

/// TensorFlow's "same" padding: what is odd goes to the end.
pub(super) const fn same(size: usize, side: usize, stride: usize) -> (usize, usize) {
    let needed = (size.div_ceil(stride) - 1) * stride + side;
    let total = needed.saturating_sub(size);
    (total / 2, total - total / 2)
}

fn relu6(maps: Tensor<4>) -> Tensor<4> {
    maps.clamp(0.0, 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_that_of_tensorflow() {
        assert_eq!(same(224, 3, 2), (0, 1));
        assert_eq!(same(112, 3, 1), (1, 1));
        assert_eq!(same(56, 5, 2), (1, 2));
        assert_eq!(same(7, 1, 1), (0, 0));
    }
}
