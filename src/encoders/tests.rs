//! Tests with real weights and photographs; where these cannot be had, a test says so and passes.

mod captioners;
mod checkpoints;
mod formats;
mod images;
mod packed;
mod precision;
mod texts;
mod timm;
mod tiny;
mod visual;

use std::{
    path::PathBuf,
    sync::{LazyLock, Mutex},
};

use safetensors::SafeTensors;

use super::{
    DeviceKind, DeviceSpec, Precision, WeightsSettings,
    weights::{self, catalogue},
};

/// The devices that this executable has, with all digits: what holds on Flex is asked of all.
fn devices() -> Vec<DeviceSpec> {
    [
        DeviceKind::Flex,
        DeviceKind::LibTorch,
        DeviceKind::LibTorchCuda(0),
        DeviceKind::Cuda(0),
    ]
    .into_iter()
    .map(|kind| DeviceSpec::from(kind).with_precision(Precision::F32))
    .filter(|device| device.open().is_ok())
    .collect()
}

/// The settings under which tests look for weights: the build folder keeps them between runs.
fn settings() -> WeightsSettings {
    let cache = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/encoders");
    WeightsSettings {
        offline: false,
        hf_home: cache.join("huggingface"),
        hf_endpoint: weights::HF_ENDPOINT.to_owned(),
        hf_token: None,
        cache_dir: cache,
    }
}

/// Whether the weights of an encoder can be had; says so where they cannot. Asks once.
fn has_weights(name: &str) -> bool {
    static ASKED: LazyLock<Mutex<Vec<(String, bool)>>> = LazyLock::new(Mutex::default);
    let mut asked = ASKED.lock().unwrap();
    if let Some((_, found)) = asked.iter().find(|(known, _)| known == name) {
        return *found;
    }
    let entry = catalogue::find(name).unwrap();
    let found = match weights::locate(entry, &settings()) {
        Ok(_) => true,
        Err(error @ weights::Error::NotFound { .. }) => {
            eprintln!("skipped: {error}");
            false
        }
        Err(error) => panic!("{error}"),
    };
    asked.push((name.to_owned(), found));
    found
}

/// The folder of shared test data, where there is one; says so where there is none.
fn shared(path: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no settings")]
    let folder = std::env::var("TRENDMILL_SHARED").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("skipped: `{}` is not there", found.display());
    None
}

/// A file of the repository's `tests/fixtures`.
fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

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

/// The cosine of the angle between two vectors.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// The largest difference between two vectors.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn attention_hides_what_the_mask_hides_on_every_device() {
    for spec in devices() {
        let device = spec.open().unwrap();
        let numbers: Vec<f32> = (0..89).map(|i| (i as f32 * 0.37).sin()).collect();
        for shape in [[2, 3, 5, 7, 4], [1, 1, 1, 4, 8], [3, 2, 6, 6, 10]] {
            super::attention::tests::check_against_the_formula(
                &device,
                shape,
                &numbers,
                &[3, 1, 4],
            );
        }
    }
}
