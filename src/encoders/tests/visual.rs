//! Visual encoders with random weights and odd sizes, against what `FlagEmbedding` computes with
//! them (`tests/reference/visualized_bge.py`).

use std::path::PathBuf;

use safetensors::SafeTensors;

use super::{devices, distance, fixture, numbers, settings};
use crate::encoders::{
    DeviceSpec, ImageError, ImageInput, VisualEncoder, WeightsSettings, bert::BertTokenizer,
    is_visual, load_visual,
};

const KINDS: [&str; 2] = ["m3", "base"];
const PICTURES: [&str; 3] = ["wide.png", "tall.png", "small.png"];

fn encoder(kind: &str, device: DeviceSpec) -> VisualEncoder {
    let folder = fixture("visual").join(kind);
    load_visual(folder.to_str().unwrap(), &device, &settings()).unwrap()
}

fn texts() -> Vec<String> {
    let texts = fs_err::read(fixture("visual/m3/texts.json")).unwrap();
    serde_json::from_slice(&texts).unwrap()
}

fn pictures() -> Vec<PathBuf> {
    PICTURES.map(|name| fixture("timm").join(name)).to_vec()
}

/// The rows of a tensor of what was expected.
fn expected(kind: &str, name: &str) -> Vec<Vec<f32>> {
    let bytes = fs_err::read(fixture("visual").join(kind).join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (shape, values) = numbers(&file, name, f32::from_le_bytes);
    let length = shape[1..].iter().product();
    values.chunks_exact(length).map(<[f32]>::to_vec).collect()
}

#[test]
fn computes_what_flagembedding_computes() {
    for spec in devices() {
        for kind in KINDS {
            let encoder = encoder(kind, spec);
            let tokenizer = fixture("visual").join(kind).join("tokenizer.json");
            let tokenizer = BertTokenizer::read(&tokenizer, 20).unwrap();
            let texts = texts();
            let items: Vec<_> = texts
                .iter()
                .map(|text| (None, Some(text.as_str())))
                .collect();
            for (found, expected) in encoder
                .embed(&items)
                .into_iter()
                .zip(expected(kind, "texts"))
            {
                let worst = distance(&found.unwrap(), &expected);
                assert!(worst < 1e-4, "{worst} for a text of {kind} on {spec}");
            }
            let pixels = expected(kind, "pixels");
            for (name, texts) in [
                ("pictures", ["", "", ""].map(str::to_owned).to_vec()),
                ("pairs", texts),
            ] {
                for ((pixels, text), expected) in
                    pixels.iter().zip(&texts).zip(expected(kind, name))
                {
                    let ids = tokenizer.encode(&[text]).unwrap();
                    let found = encoder
                        .compute(pixels.clone(), &[&ids[0]])
                        .unwrap()
                        .concat();
                    let worst = distance(&found, &expected);
                    assert!(worst < 1e-4, "{worst} for {name} of {kind} on {spec}");
                }
            }
        }
    }
}

#[test]
fn files_become_the_vectors_that_flagembedding_makes_of_them() {
    let (texts, pictures) = (texts(), pictures());
    for spec in devices() {
        for kind in KINDS {
            let encoder = encoder(kind, spec);
            let alone = pictures
                .iter()
                .map(|path| (Some(ImageInput::File(path)), None));
            let paired = pictures
                .iter()
                .zip(&texts)
                .map(|(path, text)| (Some(ImageInput::File(path)), Some(text.as_str())));
            let wanted = [expected(kind, "pictures"), expected(kind, "pairs")].concat();
            let items: Vec<_> = alone.chain(paired).collect();
            for (found, expected) in encoder.embed(&items).into_iter().zip(wanted) {
                let found = found.unwrap();
                assert_eq!(found.len(), encoder.dimension());
                let cosine: f32 = found.iter().zip(&expected).map(|(a, b)| a * b).sum();
                assert!(cosine > 0.9999, "{cosine} for {kind} on {spec}");
            }
        }
    }
}

#[test]
fn items_of_all_kinds_do_not_disturb_each_other() {
    let (texts, pictures) = (texts(), pictures());
    let long = ["the cat"; 100].join(" ");
    for spec in devices() {
        let encoder = encoder("m3", spec);
        let image = |index: usize| Some(ImageInput::File(&pictures[index]));
        let items = [
            (image(0), Some(texts[1].as_str())),
            (None, Some(texts[3].as_str())),
            (None, None),
            (Some(ImageInput::Bytes(b"no image")), Some("a cat")),
            (image(1), None),
            (image(1), Some("")),
            (None, Some(long.as_str())),
            (image(2), Some(long.as_str())),
            (image(0), Some(texts[3].as_str())),
        ];
        let together = encoder.embed(&items);
        assert!(matches!(together[2], Err(ImageError::Nothing)));
        assert!(matches!(together[3], Err(ImageError::Decode(_))));
        for (item, found) in items.iter().zip(&together) {
            let Ok(found) = found else { continue };
            let alone = encoder.embed(&[*item]).swap_remove(0).unwrap();
            let worst = distance(&alone, found);
            let allowed = if spec.is_exact() { 0.0 } else { 1e-5 };
            assert!(worst <= allowed, "{worst} on {spec}");
        }
        assert!(distance(together[4].as_ref().unwrap(), together[5].as_ref().unwrap()) <= 1e-5);
        // Beside a picture there is room for 20 tokens: two of them begin and end the text.
        let cut = ["the cat"; 9].join(" ");
        let cut = encoder
            .embed(&[(image(2), Some(&cut))])
            .swap_remove(0)
            .unwrap();
        assert!(distance(&cut, together[7].as_ref().unwrap()) <= 1e-5);
    }
}

#[test]
fn what_is_no_visual_encoder_says_so() {
    let load = |name: &str| {
        load_visual(name, &DeviceSpec::FLEX, &settings())
            .unwrap_err()
            .to_string()
    };
    assert!(
        load("all-minilm-l6-v2")
            .contains("a text encoder, not an encoder of images with their texts")
    );
    assert!(load("no/such").contains("no directory"));
    let folder = fixture("bert_tiny");
    assert!(!is_visual(folder.to_str().unwrap()));
    assert!(!is_visual("bge-m3"));
    assert!(load(folder.to_str().unwrap()).contains("holds no visual encoder"));
    assert!(is_visual(fixture("visual/base").to_str().unwrap()));
    assert!(is_visual("visualized-bge-m3"));
    let empty = tempfile::tempdir().unwrap();
    let nothing = WeightsSettings {
        offline: true,
        hf_home: empty.path().join("hub"),
        cache_dir: empty.path().join("own"),
        ..settings()
    };
    let error = load_visual("visualized-bge-m3", &DeviceSpec::FLEX, &nothing).unwrap_err();
    assert!(error.is_environment(), "{error}");
    assert!(
        error
            .to_string()
            .contains("no weights for `visualized-bge-m3`"),
        "{error}"
    );
}
