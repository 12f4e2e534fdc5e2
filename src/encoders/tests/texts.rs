//! all-MiniLM-L6-v2 with its real weights.

use serde::Deserialize;

use super::{devices, distance, fixture, has_weights, settings};
use crate::encoders::{DeviceSpec, Error, TextEncoder, fingerprint, load_text};

const NAME: &str = "all-minilm-l6-v2";

fn encoders() -> Vec<(DeviceSpec, TextEncoder)> {
    if !has_weights(NAME) {
        return Vec::new();
    }
    devices()
        .into_iter()
        .map(|device| (device, load_text(NAME, &device, &settings()).unwrap()))
        .collect()
}

#[test]
fn cosines_are_those_of_the_model_card() {
    for (device, encoder) in encoders() {
        let vectors = encoder
            .embed(&[
                "That is a happy person",
                "That is a happy dog",
                "That is a very happy person",
                "Today is a sunny day",
            ])
            .unwrap();
        for (other, expected) in [(1, 0.6946), (2, 0.9429), (3, 0.2569)] {
            let cosine: f32 = vectors[0]
                .iter()
                .zip(&vectors[other])
                .map(|(a, b)| a * b)
                .sum();
            assert!(
                (cosine - expected).abs() < 1e-3,
                "{cosine} is not {expected} on {device}"
            );
        }
        assert_eq!(encoder.fingerprint(), fingerprint(NAME).unwrap());
        assert_eq!(encoder.dimension(), 384);
    }
}

#[test]
fn vectors_are_those_of_sentence_transformers() {
    #[derive(Deserialize)]
    struct Reference {
        text: String,
        norm: f64,
        values: Vec<f32>,
    }
    let reference = fs_err::read(fixture("minilm.json")).unwrap();
    let reference: Vec<Reference> = serde_json::from_slice(&reference).unwrap();
    let texts: Vec<&str> = reference.iter().map(|row| row.text.as_str()).collect();
    for (device, encoder) in encoders() {
        for (row, vector) in reference.iter().zip(encoder.embed(&texts).unwrap()) {
            let worst = distance(&vector[..row.values.len()], &row.values);
            assert!(worst < 1e-4, "{worst} for `{}` on {device}", row.text);
            let norm: f64 = vector
                .iter()
                .map(|v| f64::from(*v).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!((norm - row.norm).abs() < 1e-4);
        }
    }
}

#[test]
fn a_vector_does_not_depend_on_its_batch() {
    // Every token length from 2 to 40 several times, and some that are cut.
    let texts: Vec<String> = (0..120)
        .map(|row| ["cat", "sunny", "dog", "a"][row % 4].to_owned() + &" house".repeat(row % 39))
        .chain((0..3).map(|row| format!("{row} ") + &"long story ".repeat(150 + row)))
        .chain([String::new()])
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (device, encoder) in encoders() {
        let together = encoder.embed(&texts).unwrap();
        for (row, text) in texts.iter().enumerate().rev().step_by(3) {
            let alone = encoder.embed(&[text]).unwrap();
            if device.is_exact() {
                let bits =
                    |vector: &[f32]| -> Vec<u32> { vector.iter().map(|v| v.to_bits()).collect() };
                assert_eq!(
                    bits(&together[row]),
                    bits(&alone[0]),
                    "`{text}` on {device}"
                );
            } else {
                assert!(
                    distance(&together[row], &alone[0]) < 1e-5,
                    "`{text}` on {device}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_loaded_says_what_can() {
    let load = |name| load_text(name, &DeviceSpec::FLEX, &settings()).unwrap_err();
    let error = load("no-such-encoder");
    assert!(
        matches!(error, Error::Unknown { .. }) && error.to_string().contains(NAME),
        "{error}"
    );
    let error = load("efficientnet-lite0");
    assert!(
        error
            .to_string()
            .contains("an image encoder, not a text encoder"),
        "{error}"
    );
}
