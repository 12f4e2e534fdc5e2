//! The network, from pixels to tokens and to one vector per picture.

use burn::{
    module::{Initializer, Module, Param},
    nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig},
    tensor::{Device, Tensor, activation},
};

use super::{
    config::{EvaConfig, Gate},
    rope::Rope,
};
use crate::encoders::{
    attention::attention,
    latent::LatentPool,
    patches::{PatchEmbed, Pool, place},
};

/// The epsilon of all normalisations of the family.
pub(super) const EPSILON: f64 = 1e-6;

/// An EVA network without its classifier, under timm's names.
#[derive(Module, Debug)]
pub(in crate::encoders) struct Eva {
    patch_embed: PatchEmbed,
    cls_token: Option<Param<Tensor<3>>>,
    reg_token: Option<Param<Tensor<3>>>,
    pos_embed: Option<Param<Tensor<3>>>,
    norm_pre: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
    fc_norm: Option<LayerNorm>,
    attn_pool: Option<LatentPool>,
    #[module(skip)]
    pool: Pool,
    /// How many tokens stand before the patches.
    #[module(skip)]
    prefix: usize,
    #[module(skip)]
    rope: Option<Rope>,
}

/// One block: attention, then the widening; each is added to its input.
#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    gamma_1: Option<Param<Tensor<1>>>,
    norm2: LayerNorm,
    mlp: Mlp,
    gamma_2: Option<Param<Tensor<1>>>,
    #[module(skip)]
    norm_behind: bool,
}

/// Attention of each token to all; keys have no bias.
#[derive(Module, Debug)]
struct Attention {
    qkv: Option<Linear>,
    q_bias: Option<Param<Tensor<1>>>,
    v_bias: Option<Param<Tensor<1>>>,
    q_proj: Option<Linear>,
    k_proj: Option<Linear>,
    v_proj: Option<Linear>,
    q_norm: Option<LayerNorm>,
    k_norm: Option<LayerNorm>,
    norm: Option<LayerNorm>,
    proj: Linear,
    #[module(skip)]
    heads: usize,
}

/// The widening half of a block.
#[derive(Module, Debug)]
struct Mlp {
    fc1: Option<Linear>,
    fc1_g: Option<Linear>,
    fc1_x: Option<Linear>,
    norm: Option<LayerNorm>,
    fc2: Linear,
}

impl EvaConfig {
    /// The network with weights that wait to be loaded.
    pub(in crate::encoders) fn init(&self, device: &Device) -> Eva {
        let tokens = |count: usize| {
            let some = || Initializer::Zeros.init([1, count, self.width], device);
            (count > 0).then(some)
        };
        let norm = |there: bool| there.then(|| norm(self.width, device));
        let rope = |angles: &super::rope::Angles| {
            angles.rope(self.prefix(), self.grid, self.inner / self.heads, device)
        };
        Eva {
            patch_embed: PatchEmbed::new(self.width, self.patch, self.has.patch_bias, device),
            cls_token: tokens(usize::from(self.class_token)),
            reg_token: tokens(self.registers),
            pos_embed: tokens(self.positions),
            norm_pre: norm(self.has.norm_pre),
            blocks: (0..self.depth).map(|_| self.block(device)).collect(),
            norm: norm(self.has.norm),
            fc_norm: norm(self.has.fc_norm),
            attn_pool: self.latent.map(|latent| latent.init(self.width, device)),
            pool: self.pool,
            prefix: self.prefix(),
            rope: self.angles.as_ref().map(rope),
        }
    }

    fn block(&self, device: &Device) -> Block {
        let scale = |there: bool| there.then(|| Initializer::Ones.init([self.width], device));
        let [first, second] = self.has.scales;
        Block {
            norm1: norm(self.width, device),
            attn: self.attention(device),
            gamma_1: scale(first),
            norm2: norm(self.width, device),
            mlp: self.widening(device),
            gamma_2: scale(second),
            norm_behind: self.norm_behind,
        }
    }

    fn attention(&self, device: &Device) -> Attention {
        let (inner, head) = (self.inner, self.inner / self.heads);
        let linear = |there: bool, bias: bool| {
            let config = LinearConfig::new(self.width, inner).with_bias(bias);
            there.then(|| config.init(device))
        };
        let bias = || {
            (self.has.fused && self.has.qkv_bias).then(|| Initializer::Zeros.init([inner], device))
        };
        let apart = !self.has.fused;
        let fused = LinearConfig::new(self.width, 3 * inner).with_bias(false);
        Attention {
            qkv: self.has.fused.then(|| fused.init(device)),
            q_bias: bias(),
            v_bias: bias(),
            q_proj: linear(apart, self.has.qkv_bias),
            k_proj: linear(apart, false),
            v_proj: linear(apart, self.has.qkv_bias),
            q_norm: self.has.query_norm.then(|| norm(head, device)),
            k_norm: self.has.query_norm.then(|| norm(head, device)),
            norm: self.has.inner_norm.then(|| norm(inner, device)),
            proj: LinearConfig::new(inner, self.width).init(device),
            heads: self.heads,
        }
    }

    fn widening(&self, device: &Device) -> Mlp {
        let inner = self.mlp.inner;
        let linear =
            |there: bool, to: usize| there.then(|| LinearConfig::new(self.width, to).init(device));
        let apart = self.mlp.gate == Gate::Apart;
        let packed = self.mlp.gate == Gate::Packed;
        Mlp {
            fc1: linear(!apart, if packed { 2 * inner } else { inner }),
            fc1_g: linear(apart, inner),
            fc1_x: linear(apart, inner),
            norm: self.mlp.norm.then(|| norm(inner, device)),
            fc2: LinearConfig::new(inner, self.width).init(device),
        }
    }
}

fn norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width)
        .with_epsilon(EPSILON)
        .init(device)
}

impl Eva {
    /// With the turns of a checkpoint.
    pub(super) fn set_rope(&mut self, rope: Rope) {
        self.rope = Some(rope);
    }

    /// How many tokens stand before the patches.
    pub(super) const fn prefix(&self) -> usize {
        self.prefix
    }

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
        let mut tokens = self.tokens(pixels);
        if let Some(norm) = &self.norm {
            tokens = norm.forward(tokens);
        }
        let vector = match &self.attn_pool {
            // It looks at what stands before the patches, too.
            Some(pool) => pool.forward(tokens),
            None => self.pool.apply(tokens, self.prefix),
        };
        match &self.fc_norm {
            Some(norm) => norm.forward(vector),
            None => vector,
        }
    }

    /// All tokens behind the last block, before any normalisation.
    ///
    /// # Shapes
    /// - pixels: `[pictures, 3, height, width]`
    /// - output: `[pictures, prefix + patches, width of the model]`
    pub(in crate::encoders) fn tokens(&self, pixels: Tensor<4>) -> Tensor<3> {
        let patches = self.patch_embed.forward(pixels);
        let before = [&self.cls_token, &self.reg_token];
        let mut tokens = place(patches, before, self.pos_embed.as_ref());
        if let Some(norm) = &self.norm_pre {
            tokens = norm.forward(tokens);
        }
        for block in &self.blocks {
            tokens = block.forward(tokens, self.rope.as_ref());
        }
        tokens
    }
}

impl Block {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>, rope: Option<&Rope>) -> Tensor<3> {
        let scaled = |scale: &Option<Param<Tensor<1>>>, tokens: Tensor<3>| match scale {
            Some(scale) => tokens * scale.val().unsqueeze(),
            None => tokens,
        };
        if self.norm_behind {
            let seen = self.norm1.forward(self.attn.forward(tokens.clone(), rope));
            let tokens = tokens + seen;
            let wide = self.norm2.forward(self.mlp.forward(tokens.clone()));
            return tokens + wide;
        }
        let seen = self.attn.forward(self.norm1.forward(tokens.clone()), rope);
        let tokens = tokens + scaled(&self.gamma_1, seen);
        let wide = self.mlp.forward(self.norm2.forward(tokens.clone()));
        tokens + scaled(&self.gamma_2, wide)
    }
}

impl Attention {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>, rope: Option<&Rope>) -> Tensor<3> {
        let [pictures, count, _] = tokens.dims();
        let [query, key, value] = self.projected(tokens);
        let [_, _, inner] = query.dims();
        let split = |part: Tensor<3>| {
            part.reshape([pictures, count, self.heads, inner / self.heads])
                .swap_dims(1, 2)
        };
        let placed = |part: Tensor<3>, norm: &Option<LayerNorm>| {
            let part = match norm {
                Some(norm) => norm.forward(split(part)),
                None => split(part),
            };
            match rope {
                Some(rope) => rope.turn(part),
                None => part,
            }
        };
        let (query, key) = (placed(query, &self.q_norm), placed(key, &self.k_norm));
        let seen = attention(query, key, split(value), None)
            .swap_dims(1, 2)
            .reshape([pictures, count, inner]);
        self.proj.forward(match &self.norm {
            Some(norm) => norm.forward(seen),
            None => seen,
        })
    }

    /// Queries, keys and values.
    ///
    /// # Shapes
    /// - tokens: `[pictures, tokens, width]`
    /// - output: `[pictures, tokens, all heads]` each
    fn projected(&self, tokens: Tensor<3>) -> [Tensor<3>; 3] {
        if let Some(qkv) = &self.qkv {
            let all = qkv.forward(tokens);
            let [.., three] = all.dims();
            let part = |index: usize, bias: &Option<Param<Tensor<1>>>| {
                let part = all.clone().narrow(2, index * three / 3, three / 3);
                match bias {
                    Some(bias) => part + bias.val().unsqueeze(),
                    None => part,
                }
            };
            return [part(0, &self.q_bias), part(1, &None), part(2, &self.v_bias)];
        }
        [&self.q_proj, &self.k_proj, &self.v_proj].map(|dense| {
            let dense = dense
                .as_ref()
                .expect("where they are not fused, each is there");
            dense.forward(tokens.clone())
        })
    }
}

impl Mlp {
    /// # Shapes
    /// - tokens, output: `[pictures, tokens, width]`
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let wide = match (&self.fc1, &self.fc1_g, &self.fc1_x) {
            (None, Some(gate), Some(dense)) => {
                activation::silu(gate.forward(tokens.clone())) * dense.forward(tokens)
            }
            (Some(dense), ..) => {
                let wide = dense.forward(tokens);
                let [.., found] = wide.dims();
                let [inner, _] = self.fc2.weight.dims();
                if found == inner {
                    activation::gelu(wide)
                } else {
                    let gate = wide.clone().narrow(2, 0, inner);
                    activation::silu(gate) * wide.narrow(2, inner, inner)
                }
            }
            _ => unreachable!("the gate has both of its layers, or one for all"),
        };
        self.fc2.forward(match &self.norm {
            Some(norm) => norm.forward(wide),
            None => wide,
        })
    }
}
