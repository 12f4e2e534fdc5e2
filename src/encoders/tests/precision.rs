//! Networks that compute with half the digits: their vectors point where those with all digits do.

use super::{cosine, devices, fixture, has_weights, settings};
use crate::encoders::{
    CaptionOptions, DeviceSpec, ImageInput, Precision, captioner_fingerprint, captioner_precision,
    fingerprint, fingerprint_on, load_captioner, load_image, load_text, load_visual, precision_of,
};

/// The devices that compute with fewer digits, so.
pub(super) fn halved() -> Vec<DeviceSpec> {
    let with = |precision| {
        devices()
            .into_iter()
            .filter(|device| device.computes_in_half())
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
fn images_with_texts_point_the_same_way() {
    let files = ["wide.png", "tall.png", "small.png"].map(|name| fixture("timm").join(name));
    let texts = ["a cat", "", "a cat on the sunny roof"];
    let alone = files
        .iter()
        .map(|file| (Some(ImageInput::File(file)), None));
    let paired = files
        .iter()
        .zip(texts)
        .map(|(file, text)| (Some(ImageInput::File(file)), Some(text)));
    let spoken = texts.iter().map(|text| (None, Some(*text)));
    let items: Vec<_> = alone.chain(paired).chain(spoken).collect();
    for kind in ["m3", "base"] {
        let folder = fixture("visual").join(kind);
        let folder = folder.to_str().unwrap();
        let embed = |device: &DeviceSpec| {
            let encoder = load_visual(folder, device, &settings()).unwrap();
            let said = fingerprint_on(folder, *device).unwrap();
            assert_eq!(encoder.fingerprint(), said, "{kind} on {device}");
            let vectors = encoder.embed(&items).into_iter();
            vectors.map(Result::unwrap).collect::<Vec<_>>()
        };
        let all = embed(&DeviceSpec::FLEX);
        for device in halved() {
            for (found, all) in embed(&device).iter().zip(&all) {
                let cosine = cosine(found, all);
                assert!(cosine >= 0.999, "{cosine} for {kind} on {device}");
            }
        }
    }
}

#[test]
fn captions_of_fewer_digits_are_those_of_another_captioner() {
    let card: DeviceSpec = "libtorch:cuda:0:f16".parse().unwrap();
    let files = ["wide.png", "small.png"].map(|name| fixture("timm").join(name));
    let inputs: Vec<ImageInput<'_>> = files.iter().map(|file| ImageInput::File(file)).collect();
    for model in ["blip", "florence"] {
        let folder = fixture("captioners").join(model);
        let folder = folder.to_str().unwrap();
        for beams in [None, Some(3)] {
            let options = CaptionOptions {
                beams,
                ..CaptionOptions::default()
            };
            let of = |device| captioner_fingerprint(folder, &options, device).unwrap();
            let precision = |found| captioner_precision(folder, &options, found).unwrap();
            let (all, halved_of) = (of(DeviceSpec::FLEX), of(card));
            assert_ne!(halved_of, all);
            assert_eq!(precision(all), Some(Precision::F32));
            assert_eq!(precision(halved_of), Some(Precision::F16));
            assert_eq!(precision(fingerprint(folder).unwrap()), None);
            for device in devices().into_iter().chain(halved()) {
                let captioner = load_captioner(folder, &device, &settings()).unwrap();
                assert_eq!(captioner.fingerprint(&options), of(device), "{device}");
                for found in captioner.caption(&inputs, &options) {
                    assert!(!found.unwrap().token_ids.is_empty(), "{model} on {device}");
                }
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
