//! What the name of a vision transformer of timm's stands for, and its tensors do not tell.

use crate::encoders::{activation::Activation, timm::is_size};

/// What the function of this name builds where it is given nothing else.
///
/// Source: the functions of timm 1.0.31's `models/vision_transformer.py`, `models/deit.py` and
/// `models/eva.py` that build a `VisionTransformer`, which `tests/reference/timm_names.py` lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Named {
    /// How many attention heads.
    pub heads: usize,
    /// The activation inside each block.
    pub activation: Activation,
    /// The epsilon of the normalisations.
    pub epsilon: f64,
    /// How one vector is made of the tokens.
    pub pool: &'static str,
    /// Half of the numbers inside a block let the others pass.
    pub gated: bool,
    /// What a block's normalisations see: its input, or with this its output.
    pub norm_behind: bool,
    /// It takes pictures of any size.
    pub any_size: bool,
}

/// Words of names after the size: each tells of the fields above, of tensors, or of the training.
const WORDS: [&str; 22] = [
    "36x1",
    "clip",
    "dino",
    "dinov2",
    "distilled",
    "gap",
    "in21ft1k",
    "in21k",
    "laion2b",
    "map",
    "miil",
    "plus",
    "quickgelu",
    "radio",
    "reg1",
    "reg4",
    "rpn",
    "sam",
    "siglip",
    "tipsv2",
    "v3",
    "v4",
];

impl Named {
    /// What `name` stands for; the words for what cannot be computed, or is not known here. A name
    /// is not taken by the half: others are called alike whose blocks, places or patches are not
    /// these, which tensors need not tell.
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let mut words = name.split('_').skip(1);
        let size = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let unknown = |word: &&&str| !is_size(word) && !WORDS.contains(word);
        if let Some(word) = words.iter().find(unknown) {
            return Err(format!(
                "the vision transformers whose names say `{word}`, as `{name}`, cannot be computed"
            ));
        }
        let says = |word: &str| words.contains(&word);
        let gated = size == "giant" && (says("dinov2") || says("tipsv2"));
        Ok(Self {
            heads: heads(size, &words).ok_or_else(|| {
                format!("the vision transformers of the size of `{name}` cannot be computed")
            })?,
            activation: if gated {
                Activation::Silu
            } else if says("quickgelu") {
                Activation::QuickGelu
            } else if says("siglip") {
                of_siglip(size, &words)
                    .ok_or_else(|| format!("the activation of `{name}` is not known"))?
            } else {
                Activation::Gelu
            },
            epsilon: if says("clip") { 1e-5 } else { 1e-6 },
            pool: if says("gap") || says("rpn") || name.starts_with("eva_") {
                "avg"
            } else if says("map") || says("siglip") {
                "map"
            } else {
                "token"
            },
            gated,
            norm_behind: says("rpn"),
            any_size: size == "intern300m",
        })
    }
}

/// The number of heads of a size, with these words behind it.
fn heads(size: &str, words: &[&str]) -> Option<usize> {
    let says = |word: &str| words.contains(&word);
    Some(match size {
        "base" if says("plus") => 14,
        _ if says("plus") => return None,
        "base" if words.starts_with(&["patch16", "gap"]) => 16,
        "giant" if says("dinov2") || says("tipsv2") || says("radio") => 24,
        "tiny" => 3,
        "wee" | "xsmall" => 4,
        "little" => 5,
        "small" => 6,
        "medium" | "mediumd" => 8,
        "betwixt" => 10,
        "base" => 12,
        "so150m2" => 13,
        "so150m" => 14,
        "large" | "huge" | "giant" | "gigantic" | "giantopt" | "so400m" | "intern300m" => 16,
        _ => return None,
    })
}

/// The activation of `SigLIP` and of `SigLIP` 2, which are called the same.
fn of_siglip(size: &str, words: &[&str]) -> Option<Activation> {
    let side = words.last().copied().unwrap_or_default();
    match (size, words.first().copied().unwrap_or_default()) {
        ("base", "patch32") | ("so400m" | "giantopt", "patch16") => Some(Activation::GeluTanh),
        ("large", "patch16") if side == "512" => Some(Activation::GeluTanh),
        ("base" | "large", "patch16") | ("so400m", "patch14") => Some(Activation::Gelu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What timm builds for each name that begins as those of this family do.
    const NAMES: &str = include_str!("../../../tests/fixtures/timm/names.tsv");

    #[test]
    fn names_stand_for_what_timm_builds() {
        let mut computed = 0;
        for row in NAMES.lines().skip(1) {
            let [name, family, expected @ ..] = &row.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{row}");
            };
            let found = Named::of(name);
            let is_here = super::super::is_of_family(name);
            if *family == "vit" {
                assert!(is_here, "{name}");
                let found = found.unwrap();
                let words = [
                    found.heads.to_string(),
                    format!("{:?}", found.activation),
                    format!("{:e}", found.epsilon),
                    found.pool.to_owned(),
                    if found.norm_behind {
                        "behind"
                    } else {
                        "before"
                    }
                    .to_owned(),
                    if found.gated { "gated" } else { "plain" }.to_owned(),
                    if found.any_size { "any" } else { "fixed" }.to_owned(),
                ];
                assert_eq!(words, expected, "{name}");
                computed += 1;
            } else {
                assert!(!is_here || found.is_err(), "{name}");
            }
        }
        assert!(computed > 150, "{computed}");
    }

    #[test]
    fn says_what_it_does_not_know() {
        for (name, words) in [
            ("vit_base_patch16_rope_224", "say `rope`"),
            ("vit_base_patch16_xp_224", "say `xp`"),
            ("vit_base_r50_s16_224", "say `r50`"),
            ("vit_pwee_patch16_reg1_gap_256", "size of `vit_pwee_"),
            ("vit_huge_plus_patch16_224", "size of `vit_huge_plus_"),
            ("vit_small_patch16_siglip_256", "activation of `vit_small_"),
            ("vit_", "size of `vit_`"),
        ] {
            let error = Named::of(name).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
