//! What the networks compute, number by number.

use burn::tensor::{DType, Tensor};

use super::{
    super::{cosine, precision::halved},
    *,
};
use crate::encoders::Precision;

/// Numbers are those of the reference, or, where half the digits are computed with, point there.
///
/// The weights are larger than trained ones, so that words differ: with bf16, which has 8 bits,
/// transformers itself scores BLIP's words at a cosine of 0.9969 to its own f32.
fn check(found: &[f32], expected: &[f32], spec: DeviceSpec, what: &str) {
    let least = match spec.precision() {
        Precision::F32 => {
            let worst = distance(found, expected);
            assert!(worst < 1e-4, "{worst} {what} on {spec}");
            return;
        }
        Precision::F16 => 0.9999,
        Precision::Bf16 => 0.9969,
    };
    let cosine = cosine(found, expected);
    assert!(cosine >= least, "{cosine} {what} on {spec}");
}

/// The scores of the next word, which have all digits on every device.
fn scores<const D: usize>(found: Tensor<D>) -> Vec<f32> {
    assert_eq!(found.dtype(), DType::F32);
    found.into_data().try_into_vec().unwrap()
}

#[test]
fn sees_what_the_processor_sees() {
    for model in BLIPS.into_iter().chain(FLORENCES) {
        let bytes = tensors(model);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (_, pixels) = numbers(&file, "pixels", f32::from_le_bytes);
        let folder = fixture("captioners").join(model);
        let side = if model.starts_with("blip") { 384 } else { 768 };
        let processor = Pictures::of_directory(&folder, side).unwrap();
        let pixels = pixels.chunks_exact(pixels.len() / PICTURES.len());
        for (name, expected) in PICTURES.iter().zip(pixels) {
            let picture = image::open(fixture("timm").join(name)).unwrap().into_rgb8();
            let found = processor.prepare(&picture).unwrap();
            // One step of eight bits, by the smallest standard deviation.
            let worst = distance(&found, expected);
            assert!(
                worst < 1.0 / 255.0 / 0.2 + 1e-5,
                "{worst} for {model} of {name}"
            );
            let same = found
                .iter()
                .zip(expected)
                .filter(|(a, b)| (*a - *b).abs() < 1e-5);
            let share = same.count() as f32 / found.len() as f32;
            assert!(share > 0.9, "{share} for {model} of {name}");
        }
    }
}

#[test]
fn blip_computes_what_transformers_computes() {
    for spec in devices().into_iter().chain(halved()) {
        for model in BLIPS {
            let bytes = tensors(model);
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let (_, pixels) = numbers(&file, "pixels", f32::from_le_bytes);
            let (_, seen) = numbers(&file, "seen", f32::from_le_bytes);
            let (_, ids) = numbers(&file, "ids", i64::from_le_bytes);
            let (shape, logits) = numbers(&file, "logits", f32::from_le_bytes);
            let (blip, device) = blip(model, spec);
            let pictures: Vec<&[f32]> = pixels.chunks_exact(pixels.len() / 3).collect();
            let found = blip.see(&pictures);
            let values = found.clone().try_into_vec_as::<f32>().unwrap();
            check(&values, &seen, spec, &format!("seen by {model}"));

            let ids: Vec<u32> = ids.iter().map(|id| u32::try_from(*id).unwrap()).collect();
            let (tokens, words) = (shape[1], shape[2]);
            // All at once, and one after the other with a cache.
            for at_once in [tokens, 1, 4] {
                let decoder = &blip.model.text_decoder;
                let mut cache = decoder.look(&found);
                let mut all = vec![0.0; logits.len()];
                for first in (0..tokens).step_by(at_once) {
                    let count = at_once.min(tokens - first);
                    let part = |row: &[u32]| row[first..first + count].to_vec();
                    let step = Step {
                        pictures: &[0, 1, 2],
                        parents: &[0, 1, 2],
                        tokens: &ids.chunks_exact(tokens).flat_map(part).collect::<Vec<_>>(),
                    };
                    let states = decoder.states(step, &mut cache, &device);
                    let [rows, _, width] = states.dims();
                    let found = decoder.scores(states.reshape([rows * count, width]));
                    let found = scores(found);
                    for (row, found) in found.chunks_exact(count * words).enumerate() {
                        all[(row * tokens + first) * words..][..count * words]
                            .copy_from_slice(found);
                    }
                }
                check(&all, &logits, spec, &format!("scored by {model}"));
            }
        }
    }
}

#[test]
fn florence_computes_what_transformers_computes() {
    for spec in devices().into_iter().chain(halved()) {
        for model in FLORENCES {
            let bytes = tensors(model);
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let (_, pixels) = numbers(&file, "pixels", f32::from_le_bytes);
            let (_, seen) = numbers(&file, "seen", f32::from_le_bytes);
            let (_, question) = numbers(&file, "question", i64::from_le_bytes);
            let (_, ids) = numbers(&file, "ids", i64::from_le_bytes);
            let (shape, logits) = numbers(&file, "logits", f32::from_le_bytes);
            let tokens = |ids: Vec<i64>| -> Vec<u32> {
                ids.into_iter()
                    .map(|id| u32::try_from(id).unwrap())
                    .collect()
            };
            let folder = fixture("captioners").join(model);
            let device = spec.open().unwrap();
            let florence = FlorenceCaptioner::load(&folder, spec, device).unwrap();
            let options = CaptionOptions {
                prompt: Some("<OCR>".to_owned()),
                ..CaptionOptions::default()
            };
            let question = tokens(question);
            assert_eq!(florence.plan(&options).unwrap().question, question);
            let pictures: Vec<&[f32]> = pixels.chunks_exact(pixels.len() / 3).collect();
            let found = florence.read(&pictures, &question);
            let values = found.clone().try_into_vec_as::<f32>().unwrap();
            check(&values, &seen, spec, &format!("read by {model}"));

            let ids = tokens(ids);
            let (count, words) = (shape[1], shape[2]);
            for at_once in [count, 1] {
                let mut cache = florence.look(&found);
                let mut all = vec![0.0; logits.len()];
                for first in (0..count).step_by(at_once) {
                    let part = |row: &[u32]| row[first..first + at_once].to_vec();
                    let step = Step {
                        pictures: &[0, 1, 2],
                        parents: &[0, 1, 2],
                        tokens: &ids.chunks_exact(count).flat_map(part).collect::<Vec<_>>(),
                    };
                    let found = florence.scores(step, &mut cache, false);
                    let found = scores(found);
                    for (row, found) in found.chunks_exact(at_once * words).enumerate() {
                        all[(row * count + first) * words..][..at_once * words]
                            .copy_from_slice(found);
                    }
                }
                check(&all, &logits, spec, &format!("scored by {model}"));
            }
        }
    }
}
