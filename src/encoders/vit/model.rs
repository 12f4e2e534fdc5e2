//! The network, from pixels to one vector per picture.

use burn::{
    module::{Initializer, Module, Param},
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor},
};

use super::config::VitConfig;
use crate::encoders::{
    activation::Activation,
    attention::attention,
    latent::LatentPool,
    patches::{PatchEmbed, Pool, place},
};

/// A vision transformer without its classifier, under timm's names.
#[derive(Module, Debug)]
pub(in crate::encoders) struct Vit {
    patch_embed: PatchEmbed,
    cls_token: Option<Param<Tensor<3>>>,
    dist_token: Option<Param<Tensor<3>>>,
    reg_token: Option<Param<Tensor<3>>>,
    pos_embed: Option<Param<Tensor<3>>>,
    norm_pre: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
    fc_norm: Option<LayerNorm>,
    attn_pool: Option<LatentPool>,
    #[module(skip)]
    pool: Pool,
    /// How many tokens are not pooled.
    #[module(skip)]
    left_out: usize,
}

/// One block: attention, then the widening; each is added to its input. What is normalised is what
/// they see, or what they make of it.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    ls1: Option<Scale>,
    norm2: LayerNorm,
    mlp: Mlp,
    ls2: Option<Scale>,
    #[module(skip)]
    norm_behind: bool,
}

/// Attention of each token to all.
#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    q_norm: Option<LayerNorm>,
    k_norm: Option<LayerNorm>,
    proj: Linear,
    #[module(skip)]
    heads: usize,
}

/// A factor for each number of a token.
#[derive(Module, Debug)]
struct Scale {
    gamma: Param<Tensor<1>>,
}

/// The widening half of a block.
#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
    /// Half of the numbers between the two layers let the others pass.
    #[module(skip)]
    gate: bool,
}

impl VitConfig {
    /// The network with weights that wait to be loaded.
    pub(super) fn init(&self, device: &Device) -> Vit {
        let token = |count: usize| Initializer::Zeros.init([1, count, self.width], device);
        let some = |there: bool, count: usize| there.then(|| token(count));
        let norm = |there: bool| there.then(|| self.norm(self.width, device));
        Vit {
            patch_embed: PatchEmbed::new(self.width, self.patch, self.has.patch_bias, device),
            cls_token: some(self.class_token, 1),
            dist_token: some(self.has.dist_token, 1),
            reg_token: some(self.registers > 0, self.registers),
            pos_embed: some(self.positions > 0, self.positions),
            norm_pre: norm(self.has.norm_pre),
            blocks: (0..self.depth).map(|_| self.block(device)).collect(),
            norm: norm(self.has.norm),
            fc_norm: norm(self.has.fc_norm),
            attn_pool: self.latent.map(|latent| latent.init(self.width, device)),
            pool: self.pool,
            left_out: if self.pools_all { 0 } else { self.prefix() },
        }
    }

    fn block(&self, device: &Device) -> Block {
        let linear = |from, to, bias| LinearConfig::new(from, to).with_bias(bias).init(device);
        let scale = || {
            self.has.scale.then(|| Scale {
                gamma: Initializer::Ones.init([self.width], device),
            })
        };
        let head_norm = || {
            let norm = self.norm(self.width / self.heads, device);
            self.has.query_norm.then_some(norm)
        };
        let widened = if self.has.gate {
            2 * self.inner
        } else {
            self.inner
        };
        Block {
            norm1: self.norm(self.width, device),
            attn: Attention {
                qkv: linear(self.width, 3 * self.width, self.has.qkv_bias),
                q_norm: head_norm(),
                k_norm: head_norm(),
                proj: linear(self.width, self.width, self.has.proj_bias),
                heads: self.heads,
            },
            ls1: scale(),
            norm2: self.norm(self.width, device),
            mlp: Mlp {
                fc1: linear(self.width, widened, self.has.mlp_bias),
                fc2: linear(self.inner, self.width, self.has.mlp_bias),
                activation: self.activation,
                gate: self.has.gate,
            },
            ls2: scale(),
            norm_behind: self.norm_behind,
        }
    }

    fn norm(&self, width: usize, device: &Device) -> LayerNorm {
        LayerNormConfig::new(width)
            .with_epsilon(self.epsilon)
            .init(device)
    }
}

impl Vit {
    /// The length of a vector.
    pub(in crate::encoders) fn dimension(&self) -> usize {
        self.patch_embed.width()
    }

    /// One vector per picture.
    ///
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`
    /// - output: `[pictures, width of the model]`
    pub(in crate::encoders) fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let patches = self.patch_embed.forward(pixels);
        let others = if self.dist_token.is_some() {
            &self.dist_token
        } else {
            &self.reg_token
        };
        let before = [&self.cls_token, others];
        let mut tokens = place(patches, before, self.pos_embed.as_ref());
        if let Some(norm) = &self.norm_pre {
            tokens = norm.forward(tokens);
        }
        for block in &self.blocks {
            tokens = block.forward(tokens);
        }
        if let Some(norm) = &self.norm {
            tokens = norm.forward(tokens);
        }
        let vector = match &self.attn_pool {
            Some(pool) => {
                let [_, count, _] = tokens.dims();
                pool.forward(tokens.narrow(1, self.left_out, count - self.left_out))
            }
            // The second token's answer counts as much as the first's.
            None if self.dist_token.is_some() => tokens.narrow(1, 0, 2).mean_dim(1).squeeze_dim(1),
            None => self.pool.apply(tokens, self.left_out),
        };
        match &self.fc_norm {
            Some(norm) => norm.forward(vector),
            None => vector,
        }
    }
}

impl Block {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let scaled = |scale: &Option<Scale>, tokens: Tensor<3>| match scale {
            Some(scale) => tokens * scale.gamma.val().unsqueeze(),
            None => tokens,
        };
        if self.norm_behind {
            let seen = self.attn.forward(tokens.clone());
            let tokens = tokens + self.norm1.forward(seen);
            let wide = self.mlp.forward(tokens.clone());
            return tokens + self.norm2.forward(wide);
        }
        let seen = self.attn.forward(self.norm1.forward(tokens.clone()));
        let tokens = tokens + scaled(&self.ls1, seen);
        let wide = self.mlp.forward(self.norm2.forward(tokens.clone()));
        tokens + scaled(&self.ls2, wide)
    }
}

impl Attention {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [pictures, count, width] = tokens.dims();
        let head = width / self.heads;
        let all = self
            .qkv
            .forward(tokens)
            .reshape([pictures, count, 3, self.heads, head])
            .permute([2, 0, 3, 1, 4]);
        let part = |index| all.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
        let normed = |norm: &Option<LayerNorm>, part: Tensor<4>| match norm {
            Some(norm) => norm.forward(part),
            None => part,
        };
        let (query, key) = (normed(&self.q_norm, part(0)), normed(&self.k_norm, part(1)));
        let seen = attention(query, key, part(2), None);
        let seen = seen.swap_dims(1, 2).reshape([pictures, count, width]);
        self.proj.forward(seen)
    }
}

impl Mlp {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let wide = self.fc1.forward(tokens);
        let [_, _, widened] = wide.dims();
        let wide = if self.gate {
            let half = |index| wide.clone().narrow(2, index * widened / 2, widened / 2);
            self.activation.apply(half(0)) * half(1)
        } else {
            self.activation.apply(wide)
        };
        self.fc2.forward(wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_half_lets_the_second_pass() {
        let device = Device::flex();
        let linear = |weight: Tensor<2>| Linear {
            weight: Param::from_tensor(weight),
            bias: None,
        };
        let mlp = Mlp {
            fc1: linear(Tensor::from_data([[1.0, -2.0, 3.0, 5.0]], &device)),
            fc2: linear(Tensor::from_data([[1.0], [10.0]], &device)),
            activation: Activation::Relu,
            gate: true,
        };
        let made = mlp.forward(Tensor::from_data([[[2.0], [-1.0]]], &device));
        let made: Vec<f32> = made.into_data().try_to_vec().unwrap();
        // Of 2: [2, -4] of [6, 10]; of -1: [-1, 2] of [-3, -5].
        assert_eq!(made, [12.0, -100.0]);
    }
}
