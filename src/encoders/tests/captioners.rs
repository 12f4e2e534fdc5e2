//! Captioners with random weights and odd sizes, against what transformers computes with them.

mod faults;
mod names;
mod networks;

use std::{collections::BTreeMap, path::Path};

use burn::tensor::Device;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::{devices, distance, fixture, numbers, settings};
use crate::encoders::{
    CaptionOptions, Captioner, DeviceSpec, ImageInput,
    blip::BlipCaptioner,
    captioner::{Network as _, Pictures, Plan},
    florence::FlorenceCaptioner,
    generation::{Settings, Step, Tokens},
    load_captioner,
};

const BLIPS: [&str; 2] = ["blip", "blip_half"];
const FLORENCES: [&str; 2] = ["florence", "florence_half"];
const PICTURES: [&str; 3] = ["wide.png", "tall.png", "small.png"];

/// What the reference found for each picture: whole rows and words, or rows of a search.
#[derive(Deserialize)]
#[serde(untagged)]
enum Found {
    Captions(Vec<Row>),
    Search {
        settings: serde_json::Value,
        rows: Vec<Vec<u32>>,
    },
}

#[derive(Deserialize)]
struct Row {
    ids: Vec<u32>,
    text: String,
}

fn expected(model: &str) -> BTreeMap<String, Found> {
    let file = fixture("captioners").join(model).join("expected.json");
    serde_json::from_slice(&fs_err::read(file).unwrap()).unwrap()
}

fn captions(model: &str, name: &str) -> Vec<Row> {
    match expected(model).remove(name) {
        Some(Found::Captions(rows)) => rows,
        _ => panic!("{name} has no captions"),
    }
}

fn tensors(model: &str) -> Vec<u8> {
    let file = fixture("captioners")
        .join(model)
        .join("expected.safetensors");
    fs_err::read(file).unwrap()
}

fn load(model: &str, spec: DeviceSpec) -> Captioner {
    let folder = fixture("captioners").join(model);
    load_captioner(folder.to_str().unwrap(), &spec, &settings()).unwrap()
}

fn blip(model: &str, spec: DeviceSpec) -> (BlipCaptioner, Device) {
    let folder = fixture("captioners").join(model);
    let device = spec.open().unwrap();
    let blip = BlipCaptioner::load(&folder, spec, device.clone()).unwrap();
    (blip, device)
}

fn options(name: &str) -> CaptionOptions {
    CaptionOptions {
        prompt: name
            .starts_with("prompt")
            .then(|| "a picture of".to_owned()),
        max_tokens: match name {
            "short" => Some(4),
            "prompt_beams" => Some(12),
            _ => None,
        },
        beams: name.ends_with("beams").then_some(3),
    }
}

/// The row of the reference without the tokens for start and end.
fn inner(ids: &[u32]) -> &[u32] {
    ids[1..].strip_suffix(&[3]).unwrap_or(&ids[1..])
}

#[test]
fn finds_the_captions_that_transformers_finds() {
    let files = PICTURES.map(|name| fixture("timm").join(name));
    let inputs: Vec<ImageInput<'_>> = files.iter().map(|file| ImageInput::File(file)).collect();
    for spec in devices() {
        for model in BLIPS {
            let captioner = load(model, spec);
            for name in ["greedy", "prompt", "short", "beams", "prompt_beams"] {
                // Together, and each by itself.
                let mut found = captioner.caption(&inputs, &options(name));
                for input in &inputs {
                    found.extend(captioner.caption(&[*input], &options(name)));
                }
                let expected = captions(model, name);
                for (found, expected) in found.iter().zip(expected.iter().cycle()) {
                    let found = found.as_ref().unwrap();
                    let case = format!("{name} of {model} on {spec}");
                    assert_eq!(found.token_ids, inner(&expected.ids), "{case}");
                    assert_eq!(found.text, expected.text, "{case}");
                }
            }
        }
    }
}

#[test]
fn finds_the_answers_that_transformers_finds() {
    let files = PICTURES.map(|name| fixture("timm").join(name));
    let inputs: Vec<ImageInput<'_>> = files.iter().map(|file| ImageInput::File(file)).collect();
    for spec in devices() {
        for model in FLORENCES {
            let captioner = load(model, spec);
            for (name, prompt, max_tokens, beams) in [
                ("default", None, None, None),
                ("greedy", Some("<DETAILED_CAPTION>"), None, Some(1)),
                (
                    "words",
                    Some("<REGION_TO_OCR><loc_1><loc_0>"),
                    Some(5),
                    None,
                ),
                ("question", Some("what is it?"), Some(9), Some(4)),
            ] {
                let options = CaptionOptions {
                    prompt: prompt.map(str::to_owned),
                    max_tokens,
                    beams,
                };
                let expected = captions(model, name);
                for (found, expected) in captioner.caption(&inputs, &options).iter().zip(expected) {
                    let found = found.as_ref().unwrap();
                    let case = format!("{name} of {model} on {spec}");
                    // The first one forces the token behind the start.
                    let start = if model == "florence" { 2 } else { 1 };
                    let inner = expected.ids[start..].strip_suffix(&[2]);
                    assert_eq!(
                        found.token_ids,
                        inner.unwrap_or(&expected.ids[start..]),
                        "{case}"
                    );
                    assert_eq!(found.text, expected.text, "{case}");
                }
            }
        }
    }
}

#[test]
fn searches_as_the_settings_say() {
    for spec in devices() {
        for model in BLIPS {
            let bytes = tensors(model);
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let (_, pixels) = numbers(&file, "pixels", f32::from_le_bytes);
            let pictures: Vec<&[f32]> = pixels.chunks_exact(pixels.len() / 3).collect();
            let (blip, _) = blip(model, spec);
            let mut count = 0;
            for found in expected(model).into_values() {
                let Found::Search { settings, rows } = found else {
                    continue;
                };
                let wishes: Settings = serde_json::from_value(settings.clone()).unwrap();
                let ends = wishes.eos_token_id.clone().map(Tokens::into_vec);
                let longest = if model == "blip" { 40 } else { 16 };
                let plan = Plan {
                    prompt: vec![120],
                    start: 1,
                    question: Vec::new(),
                    rules: wishes
                        .rules(1, longest, ends.unwrap_or(vec![3]), None, None)
                        .unwrap(),
                };
                for (found, expected) in blip.write(&pictures, &plan).into_iter().zip(rows) {
                    assert_eq!(found.unwrap(), expected, "{settings} of {model} on {spec}");
                }
                count += 1;
            }
            assert_eq!(count, 13);
        }
    }
}
