//! Captioners with random weights and odd sizes, against what transformers computes with them.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::Device;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::{devices, distance, fixture, numbers, settings};
use crate::encoders::{
    CaptionOptions, Captioner, DeviceSpec, ImageInput,
    blip::BlipCaptioner,
    captioner::{Network as _, Plan},
    generation::{Settings, Step, Tokens},
    load_captioner,
};

const BLIPS: [&str; 2] = ["blip", "blip_half"];
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
fn sees_what_the_processor_sees() {
    for model in BLIPS {
        let bytes = tensors(model);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (_, pixels) = numbers(&file, "pixels", f32::from_le_bytes);
        let (blip, _) = blip(model, DeviceSpec::FLEX);
        let pixels = pixels.chunks_exact(pixels.len() / PICTURES.len());
        for (name, expected) in PICTURES.iter().zip(pixels) {
            let picture = image::open(fixture("timm").join(name)).unwrap().into_rgb8();
            let found = blip.pictures().prepare(&picture).unwrap();
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
    for spec in devices() {
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
            let values: Vec<f32> = found.clone().into_data().try_into_vec().unwrap();
            let worst = distance(&values, &seen);
            assert!(worst < 1e-4, "{worst} seen by {model} on {spec}");

            let ids: Vec<u32> = ids.iter().map(|id| u32::try_from(*id).unwrap()).collect();
            let (tokens, words) = (shape[1], shape[2]);
            // All at once, and one after the other with a cache.
            for at_once in [tokens, 1, 4] {
                let decoder = &blip.model.text_decoder;
                let mut cache = decoder.look(&found);
                let mut scores = vec![0.0; logits.len()];
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
                    let found: Vec<f32> = found.into_data().try_into_vec().unwrap();
                    for (row, found) in found.chunks_exact(count * words).enumerate() {
                        scores[(row * tokens + first) * words..][..count * words]
                            .copy_from_slice(found);
                    }
                }
                let worst = distance(&scores, &logits);
                assert!(worst < 1e-4, "{worst} scored by {model} on {spec}");
            }
        }
    }
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

#[test]
fn a_broken_picture_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    let photo = image::RgbImage::from_fn(80, 60, |x, y| {
        image::Rgb([x, y, 7].map(|level| level as u8))
    });
    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    encoder.encode_image(&photo).unwrap();
    let strip = image::RgbImage::from_fn(20_000, 10, |x, _| image::Rgb([(x % 251) as u8; 3]));
    let dot = image::RgbImage::new(1, 1);
    let missing = folder.path().join("missing.png");
    let good = fixture("timm").join("wide.png");
    let inputs = [
        ImageInput::File(&good),
        ImageInput::Bytes(&jpeg[..jpeg.len() / 2]),
        ImageInput::Pixels(&strip),
        ImageInput::File(&missing),
        ImageInput::Pixels(&dot),
        ImageInput::Bytes(b"<html>"),
        ImageInput::File(&good),
    ];
    for spec in devices() {
        let captioner = load("blip", spec);
        let found = captioner.caption(&inputs, &CaptionOptions::default());
        let expected = captions("blip", "greedy");
        for index in [0, 6] {
            let found = found[index].as_ref().unwrap();
            assert_eq!(found.token_ids, inner(&expected[0].ids), "{spec}");
        }
        for (index, broken) in found.iter().enumerate() {
            assert_eq!(
                broken.is_err(),
                [1, 3, 5].contains(&index),
                "{index}: {broken:?}"
            );
        }
        assert!(
            captioner
                .caption(&[], &CaptionOptions::default())
                .is_empty()
        );
    }
}

/// A copy of a fixture, for changes.
fn copy(model: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs_err::read_dir(fixture("captioners").join(model)).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn refusal(folder: &Path) -> String {
    let name = folder.to_str().unwrap();
    let loaded = load_captioner(name, &DeviceSpec::FLEX, &settings());
    loaded.unwrap_err().to_string()
}

#[test]
fn names_what_is_wrong_with_a_checkpoint() {
    let changed = |file: &str, from: &str, to: &str| {
        let folder = copy("blip");
        let path = folder.path().join(file);
        let text = fs_err::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs_err::write(&path, text.replacen(from, to, 1)).unwrap();
        refusal(folder.path())
    };
    let config = "config.json";
    for (file, from, to, words) in [
        (
            config,
            "\"blip\"",
            "\"git\"",
            "`git`; captioners of type `blip`",
        ),
        (
            config,
            "ForConditionalGeneration",
            "ForQuestionAnswering",
            "`architectures` is",
        ),
        (
            config,
            "\"gelu\"",
            "\"mish\"",
            "`text_config.hidden_act` is `mish`",
        ),
        (
            config,
            "\"num_attention_heads\": 3",
            "\"num_attention_heads\": 5",
            "not a multiple",
        ),
        (
            config,
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "is missing",
        ),
        (
            config,
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 1",
            "is unexpected",
        ),
        (
            config,
            "\"hidden_size\": 36",
            "\"hidden_size\": 39",
            "tensors do not fit",
        ),
        (
            config,
            "\"image_size\": 40",
            "\"image_size\": 32",
            "positions for 16",
        ),
        (
            "processor_config.json",
            "\"resample\": 3",
            "\"resample\": 0",
            "`resample` is 0",
        ),
        (
            "processor_config.json",
            "\"height\"",
            "\"longest_edge\"",
            "`size` is",
        ),
    ] {
        let error = changed(file, from, to);
        assert!(error.contains(words), "{words}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).contains("config.json"));
    assert!(refusal(Path::new("no-such")).contains("`imagenet-tags`, or a directory"));
}

#[test]
fn names_what_is_wrong_with_a_wish() {
    let captioner = load("blip", DeviceSpec::FLEX);
    let wish = |prompt: Option<&str>, max_tokens, beams| CaptionOptions {
        prompt: prompt.map(str::to_owned),
        max_tokens,
        beams,
    };
    let long = "a ".repeat(60);
    for (options, words) in [
        (
            wish(Some(&long), None, None),
            "a prompt of 61 tokens leaves no room",
        ),
        (wish(None, Some(0), None), "leaves no room"),
        (wish(None, None, Some(0)), "0 beams"),
    ] {
        let error = captioner.check(&options).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        let dot = image::RgbImage::new(1, 1);
        let found = captioner.caption(&[ImageInput::Pixels(&dot)], &options);
        assert!(found[0].as_ref().unwrap_err().to_string().contains(words));
    }
    let plain = captioner.fingerprint(&wish(None, None, None));
    for other in [
        wish(Some(""), None, None),
        wish(Some("a"), None, None),
        wish(None, Some(9), None),
        wish(None, None, Some(9)),
    ] {
        // No words and no prompt are the same.
        let same = other.prompt.as_deref() == Some("");
        assert_eq!(captioner.fingerprint(&other) == plain, same, "{other:?}");
    }
}
