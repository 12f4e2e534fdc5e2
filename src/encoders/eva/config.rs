//! The sizes and parts of an EVA network, read off its tensors where these tell.

use std::collections::BTreeMap;

use super::{model::EPSILON, rope::Angles};
use crate::encoders::{latent::LatentConfig, patches::Pool};

/// The sizes and parts.
#[derive(Clone, Debug)]
pub(in crate::encoders) struct EvaConfig {
    /// The length of a token's vector.
    pub width: usize,
    /// How many attention heads.
    pub heads: usize,
    /// The numbers of all heads together.
    pub inner: usize,
    /// How many blocks.
    pub depth: usize,
    /// Height and width of a patch, in pixels.
    pub patch: [usize; 2],
    /// Rows and columns of patches.
    pub grid: [usize; 2],
    /// How many positions have a vector; 0 where none has.
    pub positions: usize,
    /// The first token is the class's.
    pub class_token: bool,
    /// How many more tokens stand before the patches.
    pub registers: usize,
    /// Which tensors are there.
    pub has: Parts,
    /// What stands between the halves of a block.
    pub mlp: Mlp,
    /// What a block's normalisations see: its input, or with this its output.
    pub norm_behind: bool,
    /// Where patches are told apart by turning them.
    pub angles: Option<Angles>,
    /// What the tokens become.
    pub pool: Pool,
    /// The learned vector that looks at the tokens, where there is one.
    pub latent: Option<LatentConfig>,
}

/// Which parts a checkpoint has that not all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each tells of one tensor")]
pub(in crate::encoders) struct Parts {
    pub patch_bias: bool,
    pub fused: bool,
    pub qkv_bias: bool,
    pub query_norm: bool,
    pub inner_norm: bool,
    pub scales: [bool; 2],
    pub norm_pre: bool,
    pub norm: bool,
    pub fc_norm: bool,
}

/// The second half of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::encoders) struct Mlp {
    /// Its numbers between the two layers.
    pub inner: usize,
    pub gate: Gate,
    /// They are normalised.
    pub norm: bool,
}

/// What widens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::encoders) enum Gate {
    /// One layer, with GELU behind it.
    None,
    /// One layer for the numbers and what lets them pass.
    Packed,
    /// A layer for each.
    Apart,
}

/// What tensors do not tell.
#[derive(Clone, Debug)]
pub(in crate::encoders) struct Untold {
    /// How many attention heads.
    pub heads: usize,
    /// How many of them pool.
    pub pool_heads: usize,
    /// Height and width of the pictures, in pixels.
    pub size: [usize; 2],
    pub norm_behind: bool,
    pub angles: Option<Angles>,
    pub pool: Pool,
}

impl EvaConfig {
    /// What a checkpoint holds, from the shapes of its tensors under timm's names; the words for
    /// what cannot be.
    ///
    /// Source: `Eva` of timm's `models/eva.py`.
    pub(in crate::encoders) fn new(
        shapes: &BTreeMap<String, Vec<usize>>,
        untold: Untold,
    ) -> Result<Self, String> {
        let shape = |name: &str| -> Result<&[usize], String> {
            let shape = shapes.get(name).map(Vec::as_slice);
            shape.ok_or_else(|| format!("tensor `{name}` is missing"))
        };
        let matrix = |name: &str| -> Result<[usize; 2], String> {
            <[usize; 2]>::try_from(shape(name)?).map_err(|_| format!("`{name}` is no matrix"))
        };
        let has = |name: &str| shapes.contains_key(name);
        let tokens = |name: &str| shapes.get(name).and_then(|shape| shape.get(1)).copied();
        let &[width, 3, high, wide] = shape("patch_embed.proj.weight")? else {
            return Err("`patch_embed.proj.weight` is not `[width, 3, height, width]`".to_owned());
        };
        let [_, inner] = matrix("blocks.0.attn.proj.weight")?;
        let [_, widened] = matrix("blocks.0.mlp.fc2.weight")?;
        let gate = if has("blocks.0.mlp.fc1_g.weight") {
            Gate::Apart
        } else if matrix("blocks.0.mlp.fc1.weight")?[0] == 2 * widened {
            Gate::Packed
        } else {
            Gate::None
        };
        let fused = has("blocks.0.attn.qkv.weight");
        let config = Self {
            width,
            heads: untold.heads,
            inner,
            depth: (0..shapes.len())
                .take_while(|block| has(&format!("blocks.{block}.norm1.weight")))
                .count(),
            patch: [high, wide],
            grid: [untold.size[0] / high, untold.size[1] / wide],
            positions: tokens("pos_embed").unwrap_or(0),
            class_token: has("cls_token"),
            registers: tokens("reg_token").unwrap_or(0),
            has: Parts {
                patch_bias: has("patch_embed.proj.bias"),
                fused,
                qkv_bias: has(if fused {
                    "blocks.0.attn.q_bias"
                } else {
                    "blocks.0.attn.q_proj.bias"
                }),
                query_norm: has("blocks.0.attn.q_norm.weight"),
                inner_norm: has("blocks.0.attn.norm.weight"),
                scales: [has("blocks.0.gamma_1"), has("blocks.0.gamma_2")],
                norm_pre: has("norm_pre.weight"),
                norm: has("norm.weight"),
                fc_norm: has("fc_norm.weight"),
            },
            mlp: Mlp {
                inner: widened,
                gate,
                norm: has("blocks.0.mlp.norm.weight"),
            },
            norm_behind: untold.norm_behind,
            angles: untold.angles,
            pool: untold.pool,
            latent: LatentConfig::of(untold.pool, shapes, untold.pool_heads, EPSILON)?,
        };
        config.check().map(|()| config)
    }

    /// An error where the sizes do not go together.
    fn check(&self) -> Result<(), String> {
        let Self { heads, inner, .. } = *self;
        if heads == 0 || !inner.is_multiple_of(heads) {
            return Err(format!(
                "a width of {inner} is not divided by {heads} heads"
            ));
        }
        let head = inner / heads;
        if self.angles.is_some() && !head.is_multiple_of(4) {
            return Err(format!(
                "heads of {head} numbers have no rotary positions in two dimensions; these take \
                 multiples of 4"
            ));
        }
        let patches = self.grid[0] * self.grid[1];
        if ![0, patches, patches + self.prefix()].contains(&self.positions) {
            return Err(format!(
                "`pos_embed` has {} positions, which do not fit {} by {} patches",
                self.positions, self.grid[0], self.grid[1]
            ));
        }
        if self.pool == Pool::Token && !self.class_token {
            return Err("`global_pool` is `token`, but there is no `cls_token`".to_owned());
        }
        Ok(())
    }

    /// How many tokens stand before the patches.
    pub(in crate::encoders) fn prefix(&self) -> usize {
        usize::from(self.class_token) + self.registers
    }
}
