//! Broken pictures, checkpoints that are not as they should be, and wishes that cannot be granted.

use super::*;

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

/// What is said of a copy of the checkpoint `model` in whose `file` a text is another.
fn changed(model: &str, file: &str, from: &str, to: &str) -> String {
    let folder = copy(model);
    let path = folder.path().join(file);
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs_err::write(&path, text.replacen(from, to, 1)).unwrap();
    refusal(folder.path())
}

#[test]
fn names_what_is_wrong_with_a_checkpoint_of_blip() {
    let config = "config.json";
    for (file, from, to, words) in [
        (
            config,
            "\"blip\"",
            "\"git\"",
            "`git`; captioners of type `blip` and `florence2`",
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
        let error = changed("blip", file, from, to);
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn names_what_is_wrong_with_a_checkpoint_of_florence() {
    let config = "config.json";
    for (file, from, to, words) in [
        (
            config,
            "\"bart\"",
            "\"t5\"",
            "`text_config.model_type` is `t5`",
        ),
        (
            config,
            "\"projection_dim\": 32",
            "\"projection_dim\": 30",
            "`text_config.d_model` is 32",
        ),
        (
            config,
            "\"window_size\": 4",
            "\"window_size\": 0",
            "must be above zero",
        ),
        (config, "\"mlp_ratio\"", "\"mlp\"", "tensors do not fit"),
        (
            config,
            "\"decoder_layers\": 2",
            "\"decoder_layers\": 3",
            "is missing",
        ),
        (
            config,
            "\"encoder_layers\": 2",
            "\"encoder_layers\": 1",
            "is unexpected",
        ),
        (
            config,
            "\"max_position_embeddings\": 9",
            "\"max_position_embeddings\": 2",
            "become [3, 3]",
        ),
        (
            "processor_config.json",
            "\"image_seq_length\": 10",
            "\"image_seq_length\": 9",
            "10 vectors",
        ),
        (
            "generation_config.json",
            "{",
            "{\"do_sample\": true,",
            "`do_sample` is true",
        ),
    ] {
        let error = changed("florence", file, from, to);
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn names_what_is_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).contains("config.json"));
    assert!(
        refusal(Path::new("no-such"))
            .contains("`imagenet-tags`, `blip-base`, `florence-2-base`, or a directory")
    );
}

#[test]
fn a_question_must_fit() {
    let captioner = load("florence", DeviceSpec::FLEX);
    let long = "the ".repeat(80);
    for (prompt, words) in [
        ("<OCR> of it", "`<OCR>` stands by itself"),
        (&*long, "positions for 72"),
        ("an <image>", "2 times"),
    ] {
        let options = CaptionOptions {
            prompt: Some(prompt.to_owned()),
            ..CaptionOptions::default()
        };
        let error = captioner.check(&options).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    // Without a file of settings those of the model hold.
    let folder = copy("florence_half");
    fs_err::remove_file(folder.path().join("generation_config.json")).unwrap();
    let name = folder.path().to_str().unwrap();
    let captioner = load_captioner(name, &DeviceSpec::FLEX, &settings()).unwrap();
    let file = fixture("timm").join(PICTURES[1]);
    let found = captioner.caption(&[ImageInput::File(&file)], &CaptionOptions::default());
    let expected = &captions("florence_half", "default")[1];
    assert_eq!(found[0].as_ref().unwrap().text, expected.text);
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
