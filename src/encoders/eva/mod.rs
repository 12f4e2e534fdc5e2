//! EVA and EVA02: vision transformers with rotary positions and gated blocks, as timm has them, and
//! as the tower of EVA-CLIP that visual encoders carry.

mod clip;
mod config;
mod model;
mod rope;

use std::path::Path;

use burn::tensor::{DType, Device};
pub(super) use clip::{Turns, clip_config, clip_renames};
use config::{EvaConfig, Untold};
pub(super) use model::Eva;
use rope::Angles;
use serde_json::Value;

use super::{
    Error, checkpoint,
    patches::Pool,
    timm::{TimmConfig, is_size},
};

/// Tensors that features do not need: the classifier.
fn may_stay(name: &str) -> bool {
    name.starts_with("head.")
}

/// Whether an architecture of timm is of this family: of EVA before EVA02 only the giant is.
pub(super) fn is_of_family(architecture: &str) -> bool {
    let rest = architecture.strip_prefix("eva02_").or_else(|| {
        architecture
            .strip_prefix("eva_")
            .filter(|rest| rest.starts_with("giant_"))
    });
    let known = |word: &str| word == "clip" || is_size(word);
    rest.is_some_and(|rest| rest.split('_').skip(1).all(known))
}

/// The network of the file `path` with its weights as `dtype`, on `device`.
pub(super) fn load(
    config: &TimmConfig,
    path: &Path,
    device: &Device,
    dtype: DType,
) -> Result<Eva, Error> {
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let untold = untold(config).map_err(unusable)?;
    let wanted = EvaConfig::new(&checkpoint::shapes(path)?, untold).map_err(unusable)?;
    if wanted.positions > 0 {
        config.check_places(wanted.patch, false).map_err(unusable)?;
    }
    let mut model = wanted.init(device);
    checkpoint::load(&mut model, path, &[], may_stay, dtype)?;
    Ok(model)
}

/// What the tensors of a checkpoint of timm do not tell: what its builder was given, or what its
/// name stands for.
fn untold(config: &TimmConfig) -> Result<Untold, String> {
    for name in ["attn_type", "rope_type"] {
        if let Some(value) = config.word(name)
            && !matches!(value, "eva" | "cat")
        {
            return Err(format!(
                "it was built with `{name}` `{value}`; `eva` and `cat` can be computed"
            ));
        }
    }
    let name = config.architecture.as_str();
    let heads = config.number("num_heads").or_else(|| heads_of(name));
    // The largest has no rotary positions and normalises behind.
    let enormous = name.contains("_enormous_");
    let turned = name.starts_with("eva02_") && !enormous;
    let default_pool = if name.contains("_clip_") {
        "token"
    } else {
        "avg"
    };
    let pool = config.pool(default_pool)?;
    let [_, height, width] = config.pretrained_cfg.input_size;
    let heads = heads.ok_or_else(|| {
        format!("`{name}` does not tell the number of heads, nor does `model_args.num_heads`")
    })?;
    Ok(Untold {
        heads,
        pool_heads: config.number("attn_pool_num_heads").unwrap_or(heads),
        size: [height, width],
        norm_behind: config.flag("use_post_norm")?.unwrap_or(enormous),
        angles: config
            .flag("use_rot_pos_emb")?
            .unwrap_or(turned)
            .then(|| angles(config, turned))
            .transpose()?,
        pool: Pool::named(pool)?,
    })
}

/// How the angles of a checkpoint's rotary positions are made; `named` where its name stands for
/// some.
fn angles(config: &TimmConfig, named: bool) -> Result<Angles, String> {
    let given = |name: &str| config.model_args.get(name);
    let real = |name: &str, default: f32| match given(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => single(value).ok_or_else(|| format!("`{name}` is `{value}`, no number")),
    };
    let stretched_to = match given("ref_feat_shape") {
        // What is null is not given, there as here.
        None | Some(Value::Null) => named.then_some([16.0; 2]),
        Some(Value::Array(sides)) if sides.len() == 2 => {
            let side =
                |side| single(side).ok_or_else(|| "`ref_feat_shape` holds no number".to_owned());
            Some([side(&sides[0])?, side(&sides[1])?])
        }
        Some(value) => match single(value) {
            Some(side) => Some([side; 2]),
            None => return Err(format!("`ref_feat_shape` is `{value}`")),
        },
    };
    Ok(Angles {
        stretched_to,
        offset: real("rope_grid_offset", 0.0)?,
        temperature: real("rope_temperature", 10_000.0)?,
        columns_first: match config.word("rope_grid_indexing").unwrap_or("ij") {
            "ij" => false,
            "xy" => true,
            other => {
                return Err(format!(
                    "`rope_grid_indexing` is `{other}`; `ij` and `xy` are known"
                ));
            }
        },
        halves: config.flag("rope_rotate_half")?.unwrap_or(false),
    })
}

fn single(value: &Value) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "settings are small")]
    value.as_f64().map(|value| value as f32)
}

/// The number of heads that a named size has in timm.
fn heads_of(architecture: &str) -> Option<usize> {
    let sizes = [
        ("_tiny_", 3),
        ("_small_", 6),
        ("_base_", 12),
        ("_large_", 16),
        ("_giant_", 16),
        ("_enormous_", 16),
    ];
    let size = sizes.iter().find(|(name, _)| architecture.contains(name));
    size.map(|(_, heads)| *heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What timm builds for each name that begins as those of the vision transformers do.
    const NAMES: &str = include_str!("../../../tests/fixtures/timm/names.tsv");

    #[test]
    fn names_stand_for_what_timm_builds() {
        let mut computed = 0;
        for row in NAMES.lines().skip(1) {
            let [name, family, expected @ ..] = &row.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{row}");
            };
            assert_eq!(is_of_family(name), *family == "eva", "{name}");
            if *family != "eva" {
                continue;
            }
            let config = serde_json::json!({"architecture": name, "pretrained_cfg": {}});
            let found = untold(&serde_json::from_value(config).unwrap()).unwrap();
            assert_eq!(found.pool_heads, found.heads);
            let words = [
                found.heads.to_string(),
                match found.pool {
                    Pool::Token => "token",
                    Pool::Mean => "avg",
                    _ => "another",
                }
                .to_owned(),
                if found.norm_behind {
                    "behind"
                } else {
                    "before"
                }
                .to_owned(),
                match found.angles.map(|angles| angles.stretched_to) {
                    None => "-".to_owned(),
                    Some(None) => "not".to_owned(),
                    Some(Some([rows, columns])) => format!("{rows}x{columns}"),
                },
            ];
            assert_eq!(words, expected, "{name}");
            computed += 1;
        }
        assert_eq!(computed, 16);
    }
}
