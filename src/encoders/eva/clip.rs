//! The tower of EVA-CLIP: the same network under other names, as `EVAVisionTransformer` of EVA-CLIP
//! writes it, with the turns of its rotary positions as tables.
//!
//! Source: `FlagEmbedding`'s `visual_bge/eva_clip/eva_vit_model.py`.

use std::{collections::BTreeMap, path::Path};

use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};

use super::{
    Eva,
    config::{EvaConfig, Untold},
    rope::Rope,
};
use crate::encoders::{Error, checkpoint, patches::Pool};

/// The numbers of a head where no table tells.
const HEAD: usize = 64;

/// EVA-CLIP's name → timm's.
///
/// | in the file | here |
/// |---|---|
/// | `blocks.N.attn.inner_attn_ln.…`, `blocks.N.mlp.ffn_ln.…` | `….norm.…` |
/// | `blocks.N.mlp.w1.…`, `….w2.…`, `….w3.…` | `….fc1_g.…`, `….fc1_x.…`, `….fc2.…` |
/// | `blocks.N.attn.q_bias`, `….v_bias`, where there is no `qkv` | `….q_proj.bias`, `….v_proj.bias` |
const RENAMES: [(&str, &str); 7] = [
    (r"\.attn\.inner_attn_ln\.", ".attn.norm."),
    (r"\.mlp\.ffn_ln\.", ".mlp.norm."),
    (r"\.mlp\.w1\.", ".mlp.fc1_g."),
    (r"\.mlp\.w2\.", ".mlp.fc1_x."),
    (r"\.mlp\.w3\.", ".mlp.fc2."),
    (r"\.attn\.q_bias$", ".attn.q_proj.bias"),
    (r"\.attn\.v_bias$", ".attn.v_proj.bias"),
];

/// EVA-CLIP's names → timm's, for a checkpoint whose projections are `fused` or not.
pub(in crate::encoders) fn clip_renames(fused: bool) -> &'static [(&'static str, &'static str)] {
    if fused { &RENAMES[..5] } else { &RENAMES }
}

/// What a tower is made of, from the shapes of its tensors under timm's names; the words for what
/// cannot be. Only the tokens of its last block are used, which nothing normalises.
pub(in crate::encoders) fn clip_config(
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<EvaConfig, String> {
    let unused = ["norm.", "fc_norm.", "head."];
    let shapes: BTreeMap<String, Vec<usize>> = shapes
        .iter()
        .filter(|(name, _)| !unused.iter().any(|unused| name.starts_with(unused)))
        .map(|(name, shape)| (name.clone(), shape.clone()))
        .collect();
    let size = |name: &str, axis: usize| {
        let size = shapes.get(name).and_then(|shape| shape.get(axis)).copied();
        size.ok_or_else(|| format!("tensor `{name}` of the tower is missing"))
    };
    let positions = size("pos_embed", 1)?;
    let side = positions.saturating_sub(1).isqrt();
    if side == 0 || side * side + 1 != positions {
        return Err(format!(
            "the tower's `pos_embed` has {positions} positions, which are not those of a square of \
             patches and one token"
        ));
    }
    let inner = size("blocks.0.attn.proj.weight", 1)?;
    let patch = [2, 3].map(|axis| size("patch_embed.proj.weight", axis));
    let [high, wide] = [patch[0].clone()?, patch[1].clone()?];
    let head = Turns::head(&shapes).unwrap_or(HEAD);
    if !inner.is_multiple_of(head) {
        return Err(format!(
            "a width of {inner} is not divided by heads of {head} numbers"
        ));
    }
    EvaConfig::new(
        &shapes,
        Untold {
            heads: inner / head,
            pool_heads: inner / head,
            size: [side * high, side * wide],
            norm_behind: false,
            angles: None,
            pool: Pool::Token,
        },
    )
}

/// The tables of a tower's rotary positions, which all of its blocks share.
#[derive(Module, Debug)]
pub(in crate::encoders) struct Turns {
    freqs_cos: Param<Tensor<2>>,
    freqs_sin: Param<Tensor<2>>,
}

/// Where a file has the tables; one that keeps no tensor twice has only one of them.
const TABLES: [&str; 2] = ["rope", "blocks.0.attn.rope"];

impl Turns {
    /// The numbers of a head.
    fn head(shapes: &BTreeMap<String, Vec<usize>>) -> Option<usize> {
        let [_, head] = Self::find(shapes)?.1;
        Some(head)
    }

    /// Where the tables are, and their shape.
    fn find(shapes: &BTreeMap<String, Vec<usize>>) -> Option<(&'static str, [usize; 2])> {
        TABLES.into_iter().find_map(|place| {
            let shape = shapes.get(&format!("{place}.freqs_cos"))?;
            Some((place, <[usize; 2]>::try_from(shape.as_slice()).ok()?))
        })
    }

    /// Gives a tower the turns that its file holds under `prefix`, where it holds any.
    pub(in crate::encoders) fn load(
        tower: &mut Eva,
        shapes: &BTreeMap<String, Vec<usize>>,
        path: &Path,
        prefix: &str,
        device: &Device,
    ) -> Result<(), Error> {
        let Some((place, shape)) = Self::find(shapes) else {
            return Ok(());
        };
        let zeros = || Param::from_tensor(Tensor::zeros(shape, device));
        let mut turns = Self {
            freqs_cos: zeros(),
            freqs_sin: zeros(),
        };
        let name = format!("^{prefix}{place}.").replace('.', r"\.");
        checkpoint::load(&mut turns, path, &[(&name, "")], |_| true, DType::F32)?;
        let tables = [turns.freqs_cos.val(), turns.freqs_sin.val()];
        tower.set_rope(Rope::of_tables(tables, tower.prefix()));
        Ok(())
    }
}
