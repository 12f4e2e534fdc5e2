//! Networks that compute with half the digits: their vectors point where those with all digits do.

use super::{cosine, devices, fixture, has_weights, settings};
use crate::encoders::{
    DeviceSpec, ImageInput, Precision, fingerprint, fingerprint_on, load_image, load_text,
    precision_of,
};

/// The devices that compute with fewer digits, so.
fn halved() -> Vec<DeviceSpec> {
    let with = |precision| {
        devices()
            .into_iter()
            .filter(|device| device.is_libtorch())
            .map(move |device| device.with_precision(precision))
    };
    with(Precision::Bf16).chain(with(Precision::F16)).collect()
}

#[test]
fn texts_point_the_same_way() {
    const NAME: &str = "all-minilm-l6-v2";
    if !has_weights(NAME) {
        return;
    }
    let texts: Vec<String> = (1..60)
        .map(|row| ["a", "cat", "on", "the", "sunny", "roof"].repeat(row)[..row].join(" "))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embed = |device: &DeviceSpec| {
        let encoder = load_text(NAME, device, &settings()).unwrap();
        encoder.embed(&texts).unwrap()
    };
    let all = embed(&DeviceSpec::FLEX);
    for device in halved() {
        for (found, all) in embed(&device).iter().zip(&all) {
            let cosine = cosine(found, all);
            assert!(cosine >= 0.999, "{cosine} on {device}");
        }
    }
}

#[test]
fn images_point_the_same_way() {
    let files = ["wide.png", "tall.png", "small.png"].map(|name| fixture("timm").join(name));
    let inputs: Vec<ImageInput<'_>> = files.iter().map(|file| ImageInput::File(file)).collect();
    for model in ["vit", "vit_mean", "eva_clip"] {
        let folder = fixture("timm").join(model);
        let embed = |device: &DeviceSpec| {
            let encoder = load_image(folder.to_str().unwrap(), device, &settings()).unwrap();
            let vectors = encoder.embed(&inputs).into_iter();
            vectors.map(Result::unwrap).collect::<Vec<_>>()
        };
        let all = embed(&DeviceSpec::FLEX);
        for device in halved() {
            for (found, all) in embed(&device).iter().zip(&all) {
                let cosine = cosine(found, all);
                assert!(cosine >= 0.999, "{cosine} for {model} on {device}");
            }
        }
    }
}

#[test]
fn flex_says_that_it_has_all_digits() {
    let folder = fixture("timm").join("vit");
    let device = DeviceSpec::FLEX.with_precision(Precision::Bf16);
    let error = load_image(folder.to_str().unwrap(), &device, &settings()).unwrap_err();
    assert!(error.to_string().contains("computes with f32"), "{error}");
    assert!(error.is_environment());
}

#[test]
fn fewer_digits_are_another_fingerprint() {
    let card: DeviceSpec = "libtorch:cuda:0:bf16".parse().unwrap();
    let vit = fixture("timm/vit");
    let vit = vit.to_str().unwrap();
    for name in ["all-minilm-l6-v2", vit] {
        let all = fingerprint(name).unwrap();
        assert_eq!(fingerprint_on(name, DeviceSpec::FLEX).unwrap(), all);
        let halved = fingerprint_on(name, card).unwrap();
        assert_ne!(halved, all);
        assert_eq!(precision_of(name, all).unwrap(), Some(Precision::F32));
        assert_eq!(precision_of(name, halved).unwrap(), Some(Precision::Bf16));
    }
    // Convolutions keep all digits everywhere.
    let resnet = fixture("timm/resnet");
    for name in ["efficientnet-lite0", resnet.to_str().unwrap()] {
        let all = fingerprint(name).unwrap();
        assert_eq!(fingerprint_on(name, card).unwrap(), all);
        assert_eq!(precision_of(vit, all).unwrap(), None);
    }
    for device in halved().into_iter().chain(devices()) {
        for name in [vit, resnet.to_str().unwrap()] {
            let encoder = load_image(name, &device, &settings()).unwrap();
            assert_eq!(encoder.fingerprint(), fingerprint_on(name, device).unwrap());
        }
    }
}
