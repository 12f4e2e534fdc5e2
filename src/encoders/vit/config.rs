//! The sizes of a vision transformer: read off its tensors, where these tell.

use std::collections::BTreeMap;

use crate::encoders::{patches::Pool, timm::TimmConfig};

/// The sizes and parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VitConfig {
    /// The length of a token's vector.
    pub width: usize,
    /// How many attention heads; divides the width.
    pub heads: usize,
    /// The width inside each block.
    pub inner: usize,
    /// How many blocks.
    pub depth: usize,
    /// Height and width of a patch, in pixels.
    pub patch: [usize; 2],
    /// How many positions have a vector; 0 where none has.
    pub positions: usize,
    /// The first token is the class's.
    pub class_token: bool,
    /// How many more tokens stand before the patches.
    pub registers: usize,
    /// Whether these tensors are there.
    pub has: Parts,
    /// The activation inside each block.
    pub activation: Activation,
    /// What the tokens become.
    pub pool: Pool,
    /// The epsilon of the normalisations.
    pub epsilon: f64,
}

/// Which parts a checkpoint has that not all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each tells of one tensor")]
pub(super) struct Parts {
    pub patch_bias: bool,
    pub qkv_bias: bool,
    pub proj_bias: bool,
    pub query_norm: bool,
    pub scale: bool,
    pub norm_pre: bool,
    pub norm: bool,
    pub fc_norm: bool,
}

/// The activation inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    Gelu,
    GeluTanh,
    /// `x · sigmoid(1.702 x)`, as in the first CLIP models.
    QuickGelu,
    Relu,
    Silu,
}

impl VitConfig {
    /// What a checkpoint holds, from its file of settings and the shapes of its tensors.
    ///
    /// Source: `VisionTransformer` of timm's `models/vision_transformer.py`.
    pub(super) fn new(
        config: &TimmConfig,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<Self, String> {
        let shape = |name: &str| -> Result<&[usize], String> {
            let shape = shapes.get(name).map(Vec::as_slice);
            shape.ok_or_else(|| format!("tensor `{name}` is missing"))
        };
        let has = |name: &str| shapes.contains_key(name);
        let &[width, 3, high, wide] = shape("patch_embed.proj.weight")? else {
            return Err("`patch_embed.proj.weight` is not `[width, 3, height, width]`".to_owned());
        };
        let Some(&inner) = shape("blocks.0.mlp.fc1.weight")?.first() else {
            return Err("`blocks.0.mlp.fc1.weight` has no shape".to_owned());
        };
        let depth = (0..shapes.len())
            .take_while(|block| has(&format!("blocks.{block}.norm1.weight")))
            .count();
        let heads = match config.number("num_heads") {
            Some(heads) => heads,
            None => heads_of(&config.architecture).ok_or_else(|| {
                format!(
                    "`{}` does not tell the number of heads, nor does `model_args.num_heads`",
                    config.architecture
                )
            })?,
        };
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(format!(
                "a width of {width} is not divided by {heads} heads"
            ));
        }
        let pool = config
            .word("global_pool")
            .or(config.global_pool.as_deref())
            .unwrap_or("token");
        let activation = match config.word("act_layer") {
            Some(name) => name,
            None if config.architecture.contains("quickgelu") => "quick_gelu",
            None => "gelu",
        };
        Ok(Self {
            width,
            heads,
            inner,
            depth,
            patch: [high, wide],
            positions: shapes
                .get("pos_embed")
                .and_then(|shape| shape.get(1))
                .copied()
                .unwrap_or(0),
            class_token: has("cls_token"),
            registers: shapes
                .get("reg_token")
                .and_then(|shape| shape.get(1))
                .copied()
                .unwrap_or(0),
            has: Parts {
                patch_bias: has("patch_embed.proj.bias"),
                qkv_bias: has("blocks.0.attn.qkv.bias"),
                proj_bias: has("blocks.0.attn.proj.bias"),
                query_norm: has("blocks.0.attn.q_norm.weight"),
                scale: has("blocks.0.ls1.gamma"),
                norm_pre: has("norm_pre.weight"),
                norm: has("norm.weight"),
                fc_norm: has("fc_norm.weight"),
            },
            activation: match activation {
                "gelu" => Activation::Gelu,
                "gelu_tanh" => Activation::GeluTanh,
                "quick_gelu" | "quickgelu" => Activation::QuickGelu,
                "relu" => Activation::Relu,
                "silu" | "swish" => Activation::Silu,
                other => return Err(format!("`act_layer` `{other}` cannot be computed")),
            },
            pool: Pool::named(pool)?,
            epsilon: if config.architecture.contains("_clip_") {
                1e-5
            } else {
                1e-6
            },
        })
    }

    /// How many tokens stand before the patches.
    pub(super) fn prefix(&self) -> usize {
        usize::from(self.class_token) + self.registers
    }
}

/// The number of heads that a named size has in timm.
fn heads_of(architecture: &str) -> Option<usize> {
    let sizes = [
        ("_tiny_", 3),
        ("_xsmall_", 6),
        ("_small_", 6),
        ("_little_", 5),
        ("_medium_", 8),
        ("_betwixt_", 10),
        ("_base_", 12),
        ("_large_", 16),
        ("_huge_", 16),
        ("_giant_", 16),
        ("_gigantic_", 16),
    ];
    let size = sizes.iter().find(|(name, _)| architecture.contains(name));
    size.map(|(_, heads)| *heads)
}
