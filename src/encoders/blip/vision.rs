//! The vision tower: a picture → one vector for the whole and one for each patch.

use burn::{
    module::{Initializer, Module, Param},
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};

use super::config::VisionConfig;
use crate::encoders::{activation::Activation, attention::attention, patches::PatchEmbed};

/// The tower, under the names of transformers' `BlipVisionModel`.
#[derive(Module, Debug)]
pub(super) struct Vision {
    embeddings: Embeddings,
    encoder: Encoder,
    post_layernorm: LayerNorm,
}

/// Patches → tokens.
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the weights"
)]
#[derive(Module, Debug)]
struct Embeddings {
    class_embedding: Param<Tensor<3>>,
    patch_embedding: PatchEmbed,
    position_embedding: Param<Tensor<3>>,
}

/// The blocks, under the checkpoint's name.
#[derive(Module, Debug)]
struct Encoder {
    layers: Vec<Block>,
}

/// One block: attention, then the widening; each is added to its normalised input.
#[derive(Module, Debug)]
struct Block {
    self_attn: Attention,
    layer_norm1: LayerNorm,
    mlp: Mlp,
    layer_norm2: LayerNorm,
}

/// Attention of each token to all.
#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    projection: Linear,
    #[module(skip)]
    heads: usize,
}

/// The widening half of a block.
#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl VisionConfig {
    /// The tower with weights that wait to be loaded.
    pub(super) fn init(&self, device: &Device) -> Result<Vision, String> {
        let (width, patch) = (self.hidden_size, self.patch()?);
        let norm = || {
            LayerNormConfig::new(width)
                .with_epsilon(self.layer_norm_eps)
                .init(device)
        };
        let linear = |from, to| LinearConfig::new(from, to).init(device);
        let activation = self.activation()?;
        Ok(Vision {
            embeddings: Embeddings {
                class_embedding: Initializer::Zeros.init([1, 1, width], device),
                patch_embedding: PatchEmbed::new(width, [patch, patch], true, device),
                position_embedding: Initializer::Zeros.init([1, self.positions()?, width], device),
            },
            encoder: Encoder {
                layers: (0..self.num_hidden_layers)
                    .map(|_| Block {
                        self_attn: Attention {
                            qkv: linear(width, 3 * width),
                            projection: linear(width, width),
                            heads: self.num_attention_heads,
                        },
                        layer_norm1: norm(),
                        mlp: Mlp {
                            fc1: linear(width, self.intermediate_size),
                            fc2: linear(self.intermediate_size, width),
                            activation,
                        },
                        layer_norm2: norm(),
                    })
                    .collect(),
            },
            post_layernorm: norm(),
        })
    }
}

impl Vision {
    /// What the decoder looks at.
    ///
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`
    /// - output: `[pictures, 1 + patches, width of the model]`
    pub(super) fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        let mut tokens = self.embeddings.forward(pixels);
        for block in &self.encoder.layers {
            tokens = block.forward(tokens);
        }
        self.post_layernorm.forward(tokens)
    }
}

impl Embeddings {
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`
    /// - output: `[pictures, 1 + patches, width of the model]`
    fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        let patches = self.patch_embedding.forward(pixels);
        let [pictures, count, width] = patches.dims();
        let class = self.class_embedding.val().expand([pictures, 1, width]);
        // A smaller picture than the model's own has the first positions.
        let positions = self.position_embedding.val().narrow(1, 0, count + 1);
        Tensor::cat(vec![class, patches], 1) + positions
    }
}

impl Block {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let seen = self
            .self_attn
            .forward(self.layer_norm1.forward(tokens.clone()));
        let tokens = tokens + seen;
        let Mlp {
            fc1,
            fc2,
            activation,
        } = &self.mlp;
        let wide = fc1.forward(self.layer_norm2.forward(tokens.clone()));
        tokens + fc2.forward(activation.apply(wide))
    }
}

impl Attention {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [pictures, count, width] = tokens.dims();
        let all = self
            .qkv
            .forward(tokens)
            .reshape([pictures, count, 3, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]);
        let part = |index| all.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
        let seen = attention(part(0), part(1), part(2), None);
        let seen = seen.swap_dims(1, 2).reshape([pictures, count, width]);
        self.projection.forward(seen)
    }
}
