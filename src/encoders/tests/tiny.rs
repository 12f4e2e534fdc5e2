//! Models of the BERT family with random weights and odd sizes, against what transformers computes
//! with them.

use std::{collections::HashMap, path::Path};

use burn::tensor::{DType, Device};
use safetensors::SafeTensors;

use super::{devices, distance, fixture, numbers};
use crate::encoders::bert::{self, BertConfig};

/// Holds the states of the checkpoint `weights` against those of the fixture `name`.
fn check(name: &str, weights: &Path, device: &Device) {
    let folder = fixture(name);
    let config = BertConfig::read(&folder.join("config.json")).unwrap();
    let model = bert::load(&config, weights, device, DType::F32).unwrap();
    let expected = fs_err::read(folder.join("expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    assert_eq!(config.longest(), 17);
    for tokens in [1, 7, 13, 17] {
        let (_, ids) = numbers(&expected, &format!("ids_{tokens}"), i64::from_le_bytes);
        let (_, states) = numbers(&expected, &format!("states_{tokens}"), f32::from_le_bytes);
        let ids: Vec<u32> = ids
            .into_iter()
            .map(|id| u32::try_from(id).unwrap())
            .collect();
        let rows: Vec<&[u32]> = ids.chunks_exact(tokens).collect();
        let states_found = model.forward(&rows, device);
        let found: Vec<f32> = states_found.into_data().try_into_vec().unwrap();
        let distance = distance(&found, &states);
        assert!(distance < 1e-4, "{name}: {distance} with {tokens} tokens");
    }
}

/// The fixture's weights under other names, without those that become `None`.
fn renamed(folder: &Path, rename: impl Fn(&str) -> Option<String>) -> std::path::PathBuf {
    let bytes = fs_err::read(fixture("bert_tiny/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: HashMap<String, _> = file
        .iter()
        .filter_map(|(name, tensor)| Some((rename(name)?, tensor)))
        .collect();
    let path = folder.join("model.safetensors");
    fs_err::write(&path, safetensors::serialize(&tensors, None).unwrap()).unwrap();
    path
}

#[test]
fn computes_what_transformers_computes() {
    for device in devices() {
        for name in ["bert_tiny", "xlm_roberta_tiny"] {
            let weights = fixture(name).join("model.safetensors");
            check(name, &weights, &device.open().unwrap());
        }
    }
}

#[test]
fn knows_the_old_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = renamed(folder.path(), |name| {
        let name = format!("bert.{name}");
        Some(match name.strip_suffix(".weight") {
            Some(stem) if stem.ends_with("LayerNorm") => format!("{stem}.gamma"),
            _ => name.replace("LayerNorm.bias", "LayerNorm.beta"),
        })
    });
    check("bert_tiny", &path, &Device::flex());
}

#[test]
fn names_the_tensor_that_is_missing_or_unexpected() {
    let config = BertConfig::read(&fixture("bert_tiny/config.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        bert::load(&config, path, &Device::flex(), DType::F32)
            .unwrap_err()
            .to_string()
    };

    let path = renamed(folder.path(), |name| {
        (name != "encoder.layer.1.output.dense.bias").then(|| name.to_owned())
    });
    let error = load(&path);
    assert!(
        error.contains("`encoder.layer.1.output.dense.bias` is missing"),
        "{error}"
    );

    let path = renamed(folder.path(), |name| {
        Some(name.replace("embeddings.LayerNorm.bias", "something.else"))
    });
    let error = load(&path);
    assert!(
        error.contains("embeddings.layer_norm") && error.contains("is missing"),
        "{error}"
    );

    let bytes = fs_err::read(fixture("bert_tiny/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: HashMap<String, _> = file
        .iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect();
    let extra = tensors["embeddings.LayerNorm.bias"].clone();
    tensors.insert("encoder.layer.2.extra".to_owned(), extra);
    fs_err::write(&path, safetensors::serialize(&tensors, None).unwrap()).unwrap();
    let error = load(&path);
    assert!(
        error.contains("`encoder.layer.2.extra` is unexpected"),
        "{error}"
    );
}
