//! The activation functions that files of settings name.

use burn::tensor::{Tensor, activation};

/// A function of each number by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    Gelu,
    GeluTanh,
    /// `x · sigmoid(1.702 x)`, as in the first CLIP models.
    QuickGelu,
    Relu,
    Silu,
    Tanh,
    Sigmoid,
}

impl Activation {
    /// The one of this name.
    ///
    /// Source: `ACT2CLS` of transformers' `activations.py`.
    pub(super) fn named(key: &str, name: &str) -> Result<Self, String> {
        Ok(match name {
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh"
            | "gelu_accurate" => Self::GeluTanh,
            "quick_gelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            "tanh" => Self::Tanh,
            "sigmoid" => Self::Sigmoid,
            other => {
                return Err(format!(
                    "`{key}` is `{other}`; `gelu`, `gelu_new`, `gelu_pytorch_tanh`, `quick_gelu`, \
                     `relu`, `silu`, `tanh` and `sigmoid` can be computed"
                ));
            }
        })
    }

    pub(super) fn apply<const D: usize>(self, numbers: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => activation::gelu(numbers),
            Self::GeluTanh => activation::gelu_approximate(numbers),
            Self::QuickGelu => numbers.clone() * activation::sigmoid(numbers * 1.702),
            Self::Relu => activation::relu(numbers),
            Self::Silu => activation::silu(numbers),
            Self::Tanh => activation::tanh(numbers),
            Self::Sigmoid => activation::sigmoid(numbers),
        }
    }
}
