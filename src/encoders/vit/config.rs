//! The sizes of a vision transformer: read off its tensors, where these tell.

use std::collections::BTreeMap;

use super::names::Named;
use crate::encoders::{
    activation::Activation, latent::LatentConfig, patches::Pool, timm::TimmConfig,
};

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
    /// Which parts are there.
    pub has: Parts,
    /// The activation inside each block.
    pub activation: Activation,
    /// What the tokens become.
    pub pool: Pool,
    /// Whether those before the patches are pooled, too.
    pub pools_all: bool,
    /// The learned vector that looks at the tokens, where there is one.
    pub latent: Option<LatentConfig>,
    /// What a block's normalisations see: its input, or with this its output.
    pub norm_behind: bool,
    /// The epsilon of the normalisations.
    pub epsilon: f64,
}

/// Which parts a checkpoint has that not all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each tells of one part")]
pub(super) struct Parts {
    pub patch_bias: bool,
    pub qkv_bias: bool,
    pub proj_bias: bool,
    pub mlp_bias: bool,
    /// Half of the numbers inside a block let the others pass.
    pub gate: bool,
    pub query_norm: bool,
    /// The second token was trained by another model's answers.
    pub dist_token: bool,
    pub scale: bool,
    pub norm_pre: bool,
    pub norm: bool,
    pub fc_norm: bool,
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
        let &[_, inner] = shape("blocks.0.mlp.fc2.weight")? else {
            return Err("`blocks.0.mlp.fc2.weight` is no matrix".to_owned());
        };
        let depth = (0..shapes.len())
            .take_while(|block| has(&format!("blocks.{block}.norm1.weight")))
            .count();
        let named = Named::of(&config.architecture)?;
        let heads = config.number("num_heads").unwrap_or(named.heads);
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(format!(
                "a width of {width} is not divided by {heads} heads"
            ));
        }
        let pool = Pool::named(config.pool(named.pool)?)?;
        refuse_others(config)?;
        let activation = match config.word("act_layer") {
            Some(word) => activation(word)?,
            None => named.activation,
        };
        let latent = LatentConfig::of(pool, shapes, heads, named.epsilon)?;
        let found = Self {
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
                mlp_bias: has("blocks.0.mlp.fc1.bias"),
                gate: named.gated,
                query_norm: has("blocks.0.attn.q_norm.weight"),
                dist_token: has("dist_token"),
                scale: has("blocks.0.ls1.gamma"),
                norm_pre: has("norm_pre.weight"),
                norm: has("norm.weight"),
                fc_norm: has("fc_norm.weight"),
            },
            activation,
            pool,
            pools_all: config.flag("pool_include_prefix")?.unwrap_or(false),
            latent: latent.map(|latent| LatentConfig {
                activation,
                ..latent
            }),
            norm_behind: named.norm_behind,
            epsilon: named.epsilon,
        };
        found.check(config.pretrained_cfg.input_size)?;
        if found.positions > 0 {
            config.check_places(found.patch, named.any_size)?;
        }
        Ok(found)
    }

    /// An error where the sizes do not go together.
    fn check(&self, [_, height, width]: [usize; 3]) -> Result<(), String> {
        let [high, wide] = self.patch;
        let [rows, columns] = [height / high, width / wide];
        let patches = rows * columns;
        if patches == 0 {
            return Err(format!(
                "`input_size` is {height} by {width} pixels, less than a patch of {high} by {wide}"
            ));
        }
        if ![0, patches, patches + self.prefix()].contains(&self.positions) {
            return Err(format!(
                "`pos_embed` has {} positions, which do not fit the {rows} by {columns} patches of \
                 `input_size`, {height} by {width} pixels; resampling them cannot be computed",
                self.positions
            ));
        }
        if self.pool == Pool::Token && !self.class_token && self.registers == 0 {
            return Err("`global_pool` is `token`, but there is no `cls_token`".to_owned());
        }
        let other = self.registers > 0 || self.has.fc_norm || self.pool != Pool::Token;
        if self.has.dist_token && (other || !self.class_token) {
            return Err(
                "`dist_token` goes with `cls_token` and `global_pool` `token`, and without \
                 `reg_token` and `fc_norm`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// How many tokens stand before the patches.
    pub(super) fn prefix(&self) -> usize {
        usize::from(self.class_token) + usize::from(self.has.dist_token) + self.registers
    }
}

/// An error where a checkpoint was built with what its tensors need not tell.
fn refuse_others(config: &TimmConfig) -> Result<(), String> {
    let others = [
        "norm_layer",
        "block_fn",
        "attn_layer",
        "mlp_layer",
        "embed_layer",
    ];
    match others.into_iter().find(|name| config.is_given(name)) {
        Some(name) => Err(format!(
            "it was built with `{name}`, which cannot be computed"
        )),
        None => Ok(()),
    }
}

/// The activation of this name.
fn activation(name: &str) -> Result<Activation, String> {
    Ok(match name {
        "gelu" => Activation::Gelu,
        "gelu_tanh" => Activation::GeluTanh,
        "quick_gelu" | "quickgelu" => Activation::QuickGelu,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        other => {
            return Err(format!(
                "`act_layer` is `{other}`; `gelu`, `gelu_tanh`, `quick_gelu`, `relu` and `silu` \
                 can be computed"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a checkpoint with these settings over a few.
    fn read(settings: &serde_json::Value) -> Result<VitConfig, String> {
        let mut config = serde_json::json!({
            "architecture": "vit_tiny_patch16_224",
            "pretrained_cfg": {"input_size": [3, 24, 16]},
        });
        config
            .as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        let shapes = [
            ("patch_embed.proj.weight", vec![12, 3, 8, 8]),
            ("blocks.0.mlp.fc2.weight", vec![12, 20]),
            ("blocks.0.norm1.weight", vec![12]),
            ("cls_token", vec![1, 1, 12]),
            ("pos_embed", vec![1, 7, 12]),
        ];
        let shapes = shapes.map(|(name, shape)| (name.to_owned(), shape));
        VitConfig::new(&serde_json::from_value(config).unwrap(), &shapes.into())
    }

    #[test]
    fn reads_sizes_off_tensors() {
        let config = read(&serde_json::json!({})).unwrap();
        assert_eq!((config.heads, config.inner, config.depth), (3, 20, 1));
        assert_eq!((config.positions, config.prefix()), (7, 1));
        let all = serde_json::json!({"model_args": {"pool_include_prefix": true}});
        assert!(read(&all).unwrap().pools_all);
    }

    #[test]
    fn says_what_does_not_go_together() {
        for (settings, words) in [
            (
                serde_json::json!({"pretrained_cfg": {"input_size": [3, 24, 24]}}),
                "`pos_embed` has 7 positions",
            ),
            (
                serde_json::json!({"pretrained_cfg": {"input_size": [3, 7, 24]}}),
                "less than a patch",
            ),
            (
                serde_json::json!({"model_args": {"global_pool": "map"}}),
                "`attn_pool.mlp.fc1.weight` is missing",
            ),
            (
                serde_json::json!({"model_args": {"num_heads": 5}}),
                "not divided by 5 heads",
            ),
            (
                serde_json::json!({"model_args": {"act_layer": "mish"}}),
                "`act_layer` is `mish`",
            ),
            (
                serde_json::json!({"model_args": {"norm_layer": "rmsnorm"}}),
                "`norm_layer`",
            ),
            (
                serde_json::json!({"architecture": "vit_base_patch16_rope_224"}),
                "names say `rope`",
            ),
            (
                serde_json::json!({"global_pool": "avg"}),
                "without `model_args.global_pool`",
            ),
            (
                serde_json::json!({"model_args": {"dynamic_img_size": true}}),
                "resamples",
            ),
        ] {
            let error = read(&settings).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
