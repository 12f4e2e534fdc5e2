//! A convolution and the batch normalisation behind it, which becomes a part of it.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

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

impl Normalized {
    /// One of the shape `[out, in / groups, height, width]` that waits to be loaded.
    pub(super) fn zeros(shape: [usize; 4], device: &Device) -> Self {
        let numbers = || Param::from_tensor(Tensor::zeros([shape[0]], device));
        Self {
            conv: Convolution {
                weight: Param::from_tensor(Tensor::zeros(shape, device)),
            },
            norm: Statistics {
                scale: numbers(),
                bias: numbers(),
                running_mean: numbers(),
                running_var: numbers(),
            },
        }
    }

    /// The shape of the weight: `[out, in / groups, height, width]`.
    pub(super) fn shape(&self) -> [usize; 4] {
        self.conv.weight.val().dims()
    }

    /// `norm(conv(x))` as one convolution: each channel's filter is scaled by `scale / deviation`,
    /// and what the mean takes away goes into the bias.
    pub(super) fn fold(&self, epsilon: f64) -> Folded {
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
                f64::from(scale[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
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

#[expect(clippy::cast_possible_truncation, reason = "weights are 32-bit floats")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// A tensor's numbers, row-major.
pub(super) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec()
        .expect("the loader made 32-bit floats")
}
