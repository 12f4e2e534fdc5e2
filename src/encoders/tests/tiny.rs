//! A BERT with random weights and odd sizes, against what transformers computes with it.

use std::{collections::HashMap, path::Path};

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;

use super::{devices, distance, fixture};
use crate::encoders::bert::{self, BertConfig};

/// The numbers of a tensor in a safetensors file.
fn numbers<T, const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    read: fn([u8; N]) -> T,
) -> (Vec<usize>, Vec<T>) {
    let tensor = file.tensor(name).unwrap();
    let values = tensor
        .data()
        .as_chunks::<N>()
        .0
        .iter()
        .map(|bytes| read(*bytes))
        .collect();
    (tensor.shape().to_vec(), values)
}

/// Holds the states of the checkpoint `weights` against the fixture's.
fn check(weights: &Path, device: &Device) {
    let config = BertConfig::read(&fixture("bert_tiny/config.json")).unwrap();
    let model = bert::load(&config, weights, device).unwrap();
    let expected = fs_err::read(fixture("bert_tiny/expected.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&expected).unwrap();
    for tokens in [1, 7, 13] {
        let (shape, ids) = numbers(&expected, &format!("ids_{tokens}"), i64::from_le_bytes);
        let (_, states) = numbers(&expected, &format!("states_{tokens}"), f32::from_le_bytes);
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [shape[0], shape[1]]), device);
        let found: Vec<f32> = model.forward(ids).into_data().try_into_vec().unwrap();
        let distance = distance(&found, &states);
        assert!(distance < 1e-4, "{distance} with {tokens} tokens");
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
        check(
            &fixture("bert_tiny/model.safetensors"),
            &device.open().unwrap(),
        );
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
    check(&path, &Device::flex());
}

#[test]
fn names_the_tensor_that_is_missing_or_unexpected() {
    let config = BertConfig::read(&fixture("bert_tiny/config.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        bert::load(&config, path, &Device::flex())
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
