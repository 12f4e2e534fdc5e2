//! What the commands answer, and with which exit codes.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn settings(folder: &std::path::Path) -> WeightsSettings {
    WeightsSettings {
        offline: true,
        hf_home: folder.to_owned(),
        hf_endpoint: encoders::weights::HF_ENDPOINT.to_owned(),
        hf_token: None,
        cache_dir: folder.to_owned(),
    }
}

async fn output(words: &[&str]) -> Result<String, (u8, String)> {
    let folder = tempfile::tempdir().unwrap();
    let line = Line::try_parse_from([&["encoders"], words].concat()).unwrap();
    let mut out = Vec::new();
    let captioner = crate::app::captioner(&crate::config::Settings::default());
    let weights = settings(folder.path());
    run(line.command, weights, &captioner, true, &mut out)
        .await
        .map_err(|failure| (failure.exit_code(), failure.to_string()))?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn exit_codes_tell_who_must_mend_it() {
    let listed = output(&["list"]).await.unwrap();
    assert!(
        listed.contains("\"all-minilm-l6-v2\"") && listed.contains("\"libtorch\""),
        "{listed}"
    );
    let embed = |model, rest: &[&'static str]| {
        let words = [
            &["embed", "--out", "never.safetensors", "--model", model],
            rest,
        ]
        .concat();
        async move { output(&words).await.unwrap_err() }
    };
    for (model, rest, code, words) in [
        (
            "no-such",
            &["--text-file", "Cargo.toml"][..],
            2,
            "`all-minilm-l6-v2`",
        ),
        (
            "all-minilm-l6-v2",
            &["--text-file", "Cargo.toml"],
            3,
            "encoders pull",
        ),
        (
            "all-minilm-l6-v2",
            &["--pairs", "Cargo.toml"],
            2,
            "no visual encoder",
        ),
        (
            "all-minilm-l6-v2",
            &["--image-file", "a.png"],
            2,
            "not an image encoder",
        ),
        (
            "efficientnet-lite0",
            &["--text-file", "Cargo.toml"],
            2,
            "not a text encoder",
        ),
        ("all-minilm-l6-v2", &[], 2, "--text-file"),
        (
            "all-minilm-l6-v2",
            &["--text-file", "a", "--device", "cuda:0"],
            3,
            "libtorch:cuda:N",
        ),
    ] {
        let (found, message) = embed(model, rest).await;
        assert_eq!(found, code, "{message}");
        assert!(message.contains(words), "{message}");
    }
    for (words, code, message) in [
        (&["--beams", "3"][..], 2, "`--beams` is for captioners"),
        (
            &["--model", "no-such"],
            2,
            "`imagenet-tags`, `blip-base`, `florence-2-base`, or a directory",
        ),
        (&["--model", BLIP, "--beams", "0"], 2, "0 beams"),
        (&["--model", "openai", "--beams", "3"], 2, "`--beams`"),
        (&["--model", "openai"], 3, "captioner.openai."),
    ] {
        let words = [&["caption", "--image-file", "a.png"], words].concat();
        let failure = output(&words).await.unwrap_err();
        assert_eq!(failure.0, code, "{}", failure.1);
        assert!(failure.1.contains(message), "{}", failure.1);
    }
}

const BLIP: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/captioners/blip"
);

#[tokio::test]
async fn one_damaged_file_hides_no_other_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let weights = settings(folder.path());
    for (repository, commit) in [
        (
            "resnet18.a1_in1k",
            "491b427b45c94c7fb0e78b5474cc919aff584bbf",
        ),
        (
            "vit_base_patch16_224.augreg2_in21k_ft_in1k",
            "063c6c38a5d8510b2e57df480445e94b231dad2c",
        ),
    ] {
        let place = format!("hub/models--timm--{repository}/snapshots/{commit}");
        let place = weights.hf_home.join(place);
        fs_err::create_dir_all(&place).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs_err::write(place.join(file), "{}").unwrap();
        }
    }
    let captioner = crate::app::captioner(&crate::config::Settings::default());
    let run = async |words: &[&str]| {
        let line = Line::try_parse_from([&["encoders"], words].concat()).unwrap();
        let mut out = Vec::new();
        let done = run(line.command, weights.clone(), &captioner, true, &mut out).await;
        let out: serde_json::Value = serde_json::from_slice(&out).unwrap();
        (
            done.map_err(|failure| (failure.exit_code(), failure.to_string())),
            out,
        )
    };
    let (listed, rows) = run(&["list"]).await;
    assert_eq!(listed, Ok(()));
    let rows = rows.as_array().unwrap();
    let faulty = rows.iter().filter(|row| row.get("fault").is_some());
    let names: Vec<&serde_json::Value> = faulty.map(|row| &row["name"]).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(rows.iter().any(|row| row["name"] == "bge-m3"));
    let (checked, rows) = run(&["check"]).await;
    assert_eq!(
        checked,
        Err((1, "2 of 2 encoders cannot be used".to_owned()))
    );
    for row in rows.as_array().unwrap() {
        let fault = row["fault"].as_str().unwrap();
        assert!(fault.contains("is not the pinned file"), "{row}");
    }
}

#[tokio::test]
async fn a_folder_writes_sentences() {
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/timm/wide.png");
    let words = [
        "caption",
        "--model",
        BLIP,
        "--prompt",
        "a",
        "--max-tokens",
        "3",
    ];
    let lines = output(&[&words[..], &["--image-file", picture]].concat()).await;
    let line: serde_json::Value = serde_json::from_str(lines.unwrap().trim()).unwrap();
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["file", "caption", "token_ids"]);
    assert_eq!(line["file"], picture);
    assert_eq!(line["token_ids"][0], 5);
}
