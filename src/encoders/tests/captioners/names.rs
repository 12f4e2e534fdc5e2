//! Captioners that have a name.

use super::*;
use crate::encoders::{
    WeightsSettings, captioner_fingerprint, captioner_precision, fingerprint, look_at_captioner,
};

#[test]
fn a_name_is_looked_for_and_must_write_sentences() {
    let home = tempfile::tempdir().unwrap();
    let weights = WeightsSettings {
        offline: true,
        hf_home: home.path().join("hf"),
        cache_dir: home.path().join("own"),
        ..settings()
    };
    let refusal = |name| {
        let loaded = load_captioner(name, &DeviceSpec::FLEX, &weights);
        loaded.unwrap_err().to_string()
    };
    let missing = refusal("blip-base");
    assert!(missing.contains("encoders pull blip-base"), "{missing}");
    let other = refusal("imagenet-tags");
    assert!(
        other.contains("not a captioner that writes sentences") && other.contains("`blip-base`"),
        "{other}"
    );
    // Files of another hash under the pinned names are refused.
    let snapshot = home.path().join(
        "hf/hub/models--Salesforce--blip-image-captioning-base/snapshots/\
         82a37760796d32b1411fe092ab5d4e227313294b",
    );
    fs_err::create_dir_all(&snapshot).unwrap();
    for name in [
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "pytorch_model.bin",
    ] {
        fs_err::write(snapshot.join(name), "{}").unwrap();
    }
    let wrong = refusal("blip-base");
    assert!(wrong.contains("is not the pinned file"), "{wrong}");
}

#[test]
fn a_name_says_what_it_is_without_its_files() {
    let of = |options: &CaptionOptions, device: &str| {
        captioner_fingerprint("blip-base", options, device.parse().unwrap()).unwrap()
    };
    let plain = CaptionOptions::default();
    let beams = CaptionOptions {
        beams: Some(3),
        ..plain.clone()
    };
    let all = [
        of(&plain, "flex"),
        of(&beams, "flex"),
        of(&plain, "libtorch:bf16"),
        fingerprint("blip-base").unwrap(),
    ];
    for (place, one) in all.iter().enumerate() {
        assert!(!all[..place].contains(one), "{place}");
    }
    let found = captioner_precision("blip-base", &plain, all[2]).unwrap();
    assert_eq!(found, Some("bf16".parse().unwrap()));
    look_at_captioner("blip-base").unwrap();
    let refused = look_at_captioner("all-minilm-l6-v2")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("a text encoder"), "{refused}");
}
