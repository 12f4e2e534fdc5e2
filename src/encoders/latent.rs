//! Pooling by attention: a learned vector looks at all tokens, as in `SigLIP`.

use std::collections::BTreeMap;

use burn::{
    module::{Initializer, Module, Param},
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};

use super::{activation::Activation, attention::attention, patches::Pool};

/// The learned vector and what it becomes, under timm's names.
///
/// Source: `AttentionPoolLatent` of timm's `layers/attention_pool.py`.
#[derive(Module, Debug)]
pub(super) struct LatentPool {
    latent: Param<Tensor<3>>,
    q: Linear,
    kv: Linear,
    proj: Linear,
    norm: LayerNorm,
    mlp: Mlp,
    #[module(skip)]
    heads: usize,
}

/// The widening half.
#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

/// The sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LatentConfig {
    /// How many attention heads; divides the width.
    pub heads: usize,
    /// The width between the last two layers.
    pub inner: usize,
    pub activation: Activation,
    /// The epsilon of the normalisation.
    pub epsilon: f64,
}

impl LatentConfig {
    /// What a checkpoint of timm holds whose tokens are pooled so; its sizes are those of its
    /// tensors.
    pub(super) fn of(
        pool: Pool,
        shapes: &BTreeMap<String, Vec<usize>>,
        heads: usize,
        epsilon: f64,
    ) -> Result<Option<Self>, String> {
        if pool != Pool::Latent {
            return Ok(None);
        }
        let shape = shapes.get("attn_pool.mlp.fc1.weight").map(Vec::as_slice);
        let Some(&[inner, width]) = shape else {
            return Err("`global_pool` is `map`, but `attn_pool.mlp.fc1.weight` is missing".into());
        };
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(format!(
                "a width of {width} is not divided by the {heads} heads that pool"
            ));
        }
        Ok(Some(Self {
            heads,
            inner,
            activation: Activation::Gelu,
            epsilon,
        }))
    }

    /// One for tokens of `width` numbers, which waits to be loaded.
    pub(super) fn init(self, width: usize, device: &Device) -> LatentPool {
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        LatentPool {
            latent: Initializer::Zeros.init([1, 1, width], device),
            q: linear(width, width),
            kv: linear(width, 2 * width),
            proj: linear(width, width),
            norm: LayerNormConfig::new(width)
                .with_epsilon(self.epsilon)
                .init(device),
            mlp: Mlp {
                fc1: linear(width, self.inner),
                fc2: linear(self.inner, width),
                activation: self.activation,
            },
            heads: self.heads,
        }
    }
}

impl LatentPool {
    /// # Shapes
    /// - tokens: `[pictures, tokens, width]`
    /// - output: `[pictures, width]`
    pub(super) fn forward(&self, tokens: Tensor<3>) -> Tensor<2> {
        let [pictures, count, width] = tokens.dims();
        let split = |part: Tensor<3>, count: usize| {
            part.reshape([pictures, count, self.heads, width / self.heads])
                .swap_dims(1, 2)
        };
        let asked = self.latent.val().expand([pictures, 1, width]);
        let both = self.kv.forward(tokens);
        let part = |index: usize| split(both.clone().narrow(2, index * width, width), count);
        let query = split(self.q.forward(asked), 1);
        let seen = attention(query, part(0), part(1), None)
            .swap_dims(1, 2)
            .reshape([pictures, width]);
        let seen: Tensor<2> = self.proj.forward(seen);
        let wide = self.mlp.fc1.forward(self.norm.forward(seen.clone()));
        seen + self.mlp.fc2.forward(self.mlp.activation.apply(wide))
    }
}
