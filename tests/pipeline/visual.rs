//! Images with their captions, by an encoder that sees both and lies in a directory.
use std::path::Path;

use serde_json::Value;

use crate::{
    home::{Home, stderr, task},
    served::{Captions, Reply},
};

const PIPELINE: &str = r#"
name = "seen"
profile = "alone"

[params]
source = "sandbox:posts=14"
horizon = "36h"

[profiles.asked]
text = "none"
image = "none"
caption = "openai"
visual = "seeing"

[profiles.written]
text = "none"
image = "none"
caption = "weights/blip"
visual = "seeing"

[profiles.alone]
text = "none"
image = "none"
caption = "none"
visual = "seeing"

[profiles.plain]
text = "none"
image = "none"
caption = "none"
visual = "none"

[[task]]
id = "scrape"
op = "scrape"
source = "{{ params.source }}"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "{{ params.horizon }}"
tolerance = "1h"

[[task]]
id = "fetch_images"
op = "fetch_images"
after = ["refresh"]

[[task]]
id = "caption"
op = "caption"
after = ["fetch_images"]
captioner = "{{ profile.caption }}"

[[task]]
id = "embed_visual"
op = "embed"
after = ["fetch_images", "caption"]
trigger = "none_failed"
encoder = "{{ profile.visual }}"
input = "visual"

[[task]]
id = "merge"
op = "merge"
after = ["embed_visual"]
trigger = "none_failed"
blocks = { visual = "embed_visual" }
numbers = ["hour"]
categories = ["community"]
target = "log1p(score)"

[[task]]
id = "train"
op = "train"
after = ["merge"]

[[task]]
id = "evaluate"
op = "evaluate"
after = ["train"]

[[task]]
id = "persist"
op = "persist"
after = ["evaluate"]
"#;

/// A home with the pipeline, the encoder's directory, and a server of captions.
fn home(server: &Captions) -> Home {
    let home = Home::empty();
    for (fixture, folder) in [("visual/m3", "seeing"), ("captioners/blip", "weights/blip")] {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for file in fs_err::read_dir(fixtures.join(fixture)).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            if !name.starts_with("expected") {
                let bytes = fs_err::read(file.path()).unwrap();
                home.write(&format!("{folder}/{name}"), bytes);
            }
        }
    }
    home.write(
        "trendmill.toml",
        format!(
            "[captioner.openai]\nbase_url = \"{}/v1/\"\nmodel = \"see/it\"\n",
            server.url()
        ),
    );
    home.write("pipelines/seen.toml", PIPELINE);
    home
}

#[test]
fn an_image_and_its_caption_have_one_vector() {
    let server = Captions::that(|asked| Reply::Say(format!("the cat {}", asked.number % 3)));
    let home = home(&server);
    let run = |profile: &str| -> Value { home.json(&["run", "seen", "--profile", profile]) };
    let first = run("asked");
    let images = task(&first, "caption")["rows_computed"].as_u64().unwrap();
    assert!(images > 20, "{images}");
    let embedded = task(&first, "embed_visual");
    assert_eq!(embedded["rows_computed"], images, "{embedded}");

    let again = run("asked");
    assert_eq!(task(&again, "embed_visual")["rows_computed"], 0);
    assert_eq!(task(&again, "embed_visual")["rows_reused"], images);

    let evaluated = home.json_lines(&["models", "show", "seen/1", "--predictions"]);
    let output = home.run(&["records", "export", "--format", "jsonl", "--out", "a.jsonl"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let predicted = home.json_lines(&[
        "predict",
        "seen",
        "--fit",
        "evaluated",
        "--input",
        "a.jsonl",
    ]);
    for row in &evaluated {
        let same = predicted.iter().find(|other| other["id"] == row["id"]);
        assert_eq!(same.unwrap()["prediction"], row["prediction"]);
    }

    // Without captions each image is seen alone, which is another content.
    let alone = run("alone");
    assert_eq!(task(&alone, "caption")["state"], "skipped");
    assert_eq!(task(&alone, "embed_visual")["rows_computed"], images);
}

#[test]
fn a_profile_that_sees_is_planned_filled_and_switched_to() {
    let server = Captions::that(|_| Reply::Say("a".to_owned()));
    let home = home(&server);
    let run = |more: &[&str]| home.json(&[&["run", "seen"], more].concat());
    let first = run(&["--profile", "plain"]);
    assert_eq!(task(&first, "embed_visual")["state"], "skipped", "{first}");
    run(&["--profile", "alone"]);
    let planned = |task: &str| {
        let plan = home.json(&["encoders", "plan", "seen", "--profile", "written"]);
        let tasks = plan["tasks"].as_array().unwrap();
        tasks
            .iter()
            .find(|row| row["task"] == task)
            .unwrap()
            .clone()
    };
    // Each image lacks a caption, and a vector with it, though it has one alone.
    let (captions, pairs) = (planned("caption"), planned("embed_visual"));
    let images = captions["missing"].as_u64().unwrap();
    assert!(images > 20, "{captions}");
    for row in [&captions, &pairs] {
        assert_eq!(row["missing"], images, "{row}");
        assert!(row["rows_per_second"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(pairs["input"], "visual");
    let day = run(&["--profile", "written", "--dry-run"]);
    let tasks = day["encoding"]["tasks"].as_array().unwrap();
    assert!(
        tasks.iter().any(|row| row["task"] == "embed_visual"),
        "{day}"
    );

    let switch = ["pipelines", "switch", "seen", "--profile", "written"];
    let refused = home.run(&switch);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    let filled = home.json(&["encoders", "fill", "seen", "--profile", "written"]);
    let made = task(&filled, "embed_visual");
    assert_eq!(made["rows_computed"], images, "{filled}");
    assert_eq!(planned("embed_visual")["missing"], 0);
    home.json(&switch);
    let switched = run(&[]);
    assert_eq!(
        home.json(&["pipelines", "show", "seen"])["profile"],
        "written"
    );
    assert_eq!(task(&switched, "embed_visual")["rows_computed"], 0);
    assert_eq!(task(&switched, "embed_visual")["rows_reused"], images);
    let predicted = home.run(&["predict", "seen", "--text", "a red fox"]);
    assert!(predicted.status.success(), "{}", stderr(&predicted));

    // The versions and profiles of today need all of it.
    assert_eq!(home.json(&["encoders", "gc"])["rows"], 0);
}

#[test]
fn an_encoder_that_does_not_see_both_is_refused_before_anything_runs() {
    let server = Captions::that(|_| Reply::Say("a".to_owned()));
    let home = home(&server);
    let pipeline = PIPELINE.replace("\"seeing\"", "\"all-minilm-l6-v2\"");
    home.write("pipelines/seen.toml", pipeline);
    let output = home.run(&["run", "seen"]);
    assert_eq!(output.status.code(), Some(2));
    let words = stderr(&output);
    assert!(
        words.contains("does not encode an image with its text"),
        "{words}"
    );
}
