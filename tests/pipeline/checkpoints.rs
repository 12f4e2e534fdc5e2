//! A checkpoint in a folder of the home as the encoder of a pipeline.
use std::path::Path;

use crate::home::{Home, PLAIN, posts, stderr, task};

/// A home with sixty posts, a picture for each, a small network for pictures under `models/vit`
/// and a pipeline that learns from them.
fn home() -> Home {
    let home = Home::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/timm/vit");
    for name in ["config.json", "model.safetensors"] {
        let bytes = fs_err::read(fixture.join(name)).unwrap();
        home.write(&format!("models/vit/{name}"), bytes);
    }
    let pipeline = PLAIN
        .replace("name = \"plain\"", "name = \"seen\"")
        .replace("blocks = {}", "blocks = { image = \"embed_image\" }")
        .replace(
            "[[task]]\nid = \"merge\"\nop = \"merge\"\nafter = [\"fetch_images\"]",
            "[[task]]\nid = \"embed_image\"\nop = \"embed\"\nafter = [\"fetch_images\"]\nencoder = \
             \"models/vit\"\ninput = \"image\"\n\n[[task]]\nid = \"merge\"\nop = \"merge\"\nafter = \
             [\"embed_image\"]",
        );
    home.write("pipelines/seen.toml", pipeline);
    home.write("posts.jsonl", posts(60));
    for post in 0..60_u8 {
        let picture = image::RgbImage::from_fn(24, 16, |x, y| {
            let [across, down] = [x * 10, y * 15].map(|level| u8::try_from(level).unwrap());
            image::Rgb([post * 4, across, down ^ post])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        home.write(&format!("images/p{post:04}.png"), bytes.into_inner());
    }
    home
}

const SOURCE: &str = "table:posts.jsonl,images=images,created=created_utc";

#[test]
fn a_folder_names_an_encoder_as_long_as_it_stays_as_it_is() {
    let home = home();
    let check = ["pipelines", "check", "pipelines/seen.toml"];
    assert_eq!(home.run(&check).status.code(), Some(0));
    let run = home.json(&["run", "seen", "--source", SOURCE]);
    let embedded = task(&run, "embed_image");
    assert_eq!(embedded["rows_computed"], 60, "{run}");
    assert_eq!(run["model"]["version"], 1, "{run}");
    // Nothing is computed twice.
    let again = home.json(&["run", "seen", "--source", SOURCE]);
    assert_eq!(task(&again, "embed_image")["rows_reused"], 60, "{again}");
    let manifest = home.json(&["models", "show", "seen/1"]);
    let text = manifest.to_string();
    assert!(text.contains("\"models/vit\""), "{text}");
    let predict = ["predict", "seen/1", "--input", "posts.jsonl"];
    assert_eq!(home.json_lines(&predict).len(), 60);

    // The same tensors under one other setting are another encoder.
    let config = home.path().join("models/vit/config.json");
    let words = fs_err::read_to_string(&config).unwrap();
    let changed = words.replace("\"crop_pct\": ", "\"crop_pct\": 0.5, \"was\": ");
    assert_ne!(words, changed);
    fs_err::write(&config, changed).unwrap();
    let output = home.run(&predict);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("another `models/vit` than lies in that directory now"),
        "{said}"
    );
    let run = home.json(&["run", "seen", "--source", SOURCE, "--force"]);
    assert_eq!(task(&run, "embed_image")["rows_computed"], 60, "{run}");
}

#[test]
fn a_folder_that_is_no_checkpoint_is_told_before_anything_runs() {
    let home = home();
    let said = || {
        let output = home.run(&["pipelines", "check", "pipelines/seen.toml"]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = home.path().join("models/vit");
    fs_err::remove_file(folder.join("model.safetensors")).unwrap();
    let no_weights = said();
    assert!(
        no_weights.contains("it must hold weights as `model.safetensors`"),
        "{no_weights}"
    );
    fs_err::remove_file(folder.join("config.json")).unwrap();
    let empty = said();
    assert!(empty.contains("it has no `config.json`"), "{empty}");
    fs_err::remove_dir(&folder).unwrap();
    let missing = said();
    assert!(
        missing.contains("there is no directory") && missing.contains("models/vit"),
        "{missing}"
    );
    let output = home.run(&["run", "seen", "--source", SOURCE]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
