//! EfficientNet-Lite0 and its captions with their real weights.

use burn::tensor::Device;
use image::{Rgb, RgbImage};
use serde::Deserialize;

use super::{devices, distance, fixture, has_weights, settings, shared};
use crate::encoders::{
    DeviceSpec, ImageEncoder, ImageInput, Tagger, efficientnet, fingerprint, load_image,
    load_tagger,
    weights::{self, catalogue},
};

const NAME: &str = "efficientnet-lite0";

fn encoders() -> Vec<(DeviceSpec, ImageEncoder)> {
    if !has_weights(NAME) {
        return Vec::new();
    }
    devices()
        .into_iter()
        .map(|device| (device, load_image(NAME, &device, &settings()).unwrap()))
        .collect()
}

fn tagger() -> Tagger {
    load_tagger("imagenet-tags", &settings()).unwrap()
}

#[test]
fn photographs_are_known() {
    let Some(photos) = shared("photos") else {
        return;
    };
    for (device, encoder) in encoders() {
        let tagger = tagger();
        for (file, label, score) in [
            ("camera.png", "tripod", 0.95),
            ("coffee.png", "espresso", 0.94),
            ("chelsea.png", "Egyptian cat", 0.39),
        ] {
            let path = photos.join(file);
            let vector = encoder.embed(&[ImageInput::File(&path)]).remove(0).unwrap();
            let caption = tagger.caption(&vector);
            let best = &caption.tags[0];
            assert_eq!(best.label, label, "{file} on {device}: {}", caption.text);
            assert!(
                (best.score - score).abs() < 0.01,
                "{file} on {device}: {}",
                best.score
            );
            assert!(caption.text.starts_with(label));
        }
        assert_eq!(encoder.fingerprint(), tagger.encoder_fingerprint());
        assert_eq!(encoder.fingerprint(), fingerprint(NAME).unwrap());
        assert_eq!(tagger.fingerprint(), fingerprint("imagenet-tags").unwrap());
    }
}

/// The picture of `tests/reference/efficientnet.py`.
fn waves() -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| {
        Rgb([0, 1, 2]
            .map(|c: u32| u8::try_from((x * (c + 1) + y * (3 - c) + c * 85) % 256).unwrap()))
    })
}

#[test]
fn features_are_those_of_pytorch() {
    #[derive(Deserialize)]
    struct Reference {
        features: Vec<f32>,
        score: f32,
    }
    let reference = fs_err::read(fixture("efficientnet.json")).unwrap();
    let reference: Reference = serde_json::from_slice(&reference).unwrap();
    for (device, encoder) in encoders() {
        let vector = encoder
            .embed(&[ImageInput::Pixels(&waves())])
            .remove(0)
            .unwrap();
        let worst = distance(&vector, &reference.features);
        assert!(worst < 1e-3, "{worst} on {device}");
        assert!((tagger().caption(&vector).tags[0].score - reference.score).abs() < 2e-3);
    }
}

#[test]
fn both_forms_of_the_network_agree() {
    if !has_weights(NAME) {
        return;
    }
    let located = weights::locate(catalogue::find(NAME).unwrap(), &settings()).unwrap();
    let (_, file) = located.files().next().unwrap();
    // The device's name chooses the form; both are computed on Flex.
    let [one, other] = [DeviceSpec::FLEX, DeviceSpec::LIBTORCH].map(|form| {
        let network = efficientnet::network(file, form, Device::flex()).unwrap();
        let pixels = network.prepare(&waves()).unwrap();
        network.compute(pixels, 1).unwrap().remove(0)
    });
    assert!(distance(&one, &other) < 1e-4);
}

#[test]
fn a_vector_does_not_depend_on_its_batch_and_broken_images_harm_none() {
    let pictures: Vec<RgbImage> = (0..7)
        .map(|seed| {
            RgbImage::from_fn(180 + seed * 50, 300, |x, y| {
                Rgb([x * seed, y * 3 + seed, x ^ y].map(|value| value.to_le_bytes()[0]))
            })
        })
        .collect();
    let mut inputs: Vec<ImageInput<'_>> = pictures.iter().map(ImageInput::Pixels).collect();
    inputs.insert(2, ImageInput::Bytes(b"<html>gone</html>"));
    inputs.insert(
        5,
        ImageInput::File(std::path::Path::new("no-such-file.jpg")),
    );
    for (device, encoder) in encoders() {
        let together = encoder.embed(&inputs);
        assert_eq!(together.len(), 9);
        for (input, together) in inputs.iter().zip(&together) {
            let alone = encoder.embed(&[*input]).remove(0);
            match (&alone, together) {
                (Ok(alone), Ok(together)) if device.is_exact() => {
                    assert!(
                        alone
                            .iter()
                            .zip(together)
                            .all(|(a, b)| a.to_bits() == b.to_bits())
                    );
                }
                (Ok(alone), Ok(together)) => assert!(distance(alone, together) < 1e-4, "{device}"),
                (alone, together) => {
                    assert!(alone.is_err() && together.is_err());
                    assert!(!matches!(input, ImageInput::Pixels(_)));
                }
            }
        }
    }
}
