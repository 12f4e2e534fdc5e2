//! A visual checkpoint: which file it is, and what of it goes where.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{
    nn::LinearConfig,
    tensor::{DType, Device},
};

use super::model::Visual;
use crate::encoders::{
    Error,
    bert::{self, BertConfig},
    checkpoint,
    eva::{Turns, clip_config, clip_renames},
};

/// The tensor that only visual checkpoints have.
const MARK: &str = "visual_proj.weight";
/// Under what the file has the tower.
const TOWER: &str = "model_visual.visual.";

/// Name in the file → name of the module tree in [`super::model`]; those of BERT and of the tower
/// follow.
///
/// | in the file | here |
/// |---|---|
/// | `bge_embeddings.…`, `bge_encoder.…` | `text.embeddings.…`, `text.encoder.…` |
/// | `model_visual.visual.…` | `tower.…` |
/// | `visual_proj.…` | `projection.…` |
const RENAMES: [(&str, &str); 4] = [
    (r"^bge_embeddings\.", "text.embeddings."),
    (r"^bge_encoder\.", "text.encoder."),
    (r"^model_visual\.visual\.", "tower."),
    (r"^visual_proj\.", "projection."),
];

/// Tensors that no vector needs: the head of the text model's training, the text half of CLIP, what
/// stands behind the tower's last block, and counted positions.
fn may_stay(name: &str) -> bool {
    let unused = [
        "bge_pooler.",
        "model_visual.text.",
        "tower.norm.",
        "tower.fc_norm.",
        "tower.head.",
    ];
    unused.iter().any(|unused| name.starts_with(unused))
        || name.contains(".rope.freqs_")
        || matches!(
            name,
            "model_visual.logit_scale"
                | "text.embeddings.position_ids"
                | "text.embeddings.token_type_ids"
        )
}

/// The weights of a folder with a visual checkpoint; `None` where these are of something else.
pub(super) fn weights_in(directory: &Path) -> Result<Option<PathBuf>, Error> {
    let path = checkpoint::file_in(directory)?;
    let is_visual = checkpoint::shapes(&path)?.contains_key(MARK);
    Ok(is_visual.then_some(path))
}

/// The network of the file `path` with its weights as `dtype`, on `device`.
pub(super) fn load(
    config: &BertConfig,
    path: &Path,
    device: &Device,
    dtype: DType,
) -> Result<Visual, Error> {
    let unusable = |reason: String| Error::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let found = checkpoint::shapes(path)?;
    let fused = found.contains_key(&format!("{TOWER}blocks.0.attn.qkv.weight"));
    let renames: Vec<(&str, &str)> = RENAMES
        .iter()
        .chain(&bert::RENAMES)
        .chain(clip_renames(fused))
        .copied()
        .collect();
    let shapes = checkpoint::shapes_renamed(path, &renames)?;
    let tower: BTreeMap<String, Vec<usize>> = shapes
        .iter()
        .filter_map(|(name, shape)| Some((name.strip_prefix("tower.")?.to_owned(), shape.clone())))
        .collect();
    let wanted = clip_config(&tower).map_err(unusable)?;
    let projection = found.get(MARK).map(Vec::as_slice);
    let Some(&[to, from]) = projection else {
        return Err(unusable(format!("tensor `{MARK}` is missing")));
    };
    if (from, to) != (wanted.width, config.hidden_size) {
        return Err(unusable(format!(
            "`{MARK}` leads from {from} to {to} numbers; the tower has {}, and `hidden_size` is {}",
            wanted.width, config.hidden_size
        )));
    }
    let [rows, columns] = wanted.grid;
    let patches = rows * columns;
    if config.max_position_embeddings < patches + 2 {
        return Err(unusable(format!(
            "`max_position_embeddings` is {}, which leaves no room for a text behind {patches} \
             patches",
            config.max_position_embeddings
        )));
    }
    let mut model = Visual {
        text: config.init(device),
        tower: wanted.init(device),
        projection: LinearConfig::new(from, to).init(device),
        patches,
        size: [rows * wanted.patch[0], columns * wanted.patch[1]],
    };
    checkpoint::load(&mut model, path, &renames, may_stay, dtype)?;
    Turns::load(&mut model.tower, &tower, path, TOWER, device)?;
    Ok(model)
}
