//! Images that several tasks read, decoded once for all of them.
use std::path::Path;

use serde_json::Value;

use crate::home::{Home, PLAIN, posts, task};

const TASKS: &str = r#"
[[task]]
id = "embed_image"
op = "embed"
after = ["fetch_images"]
encoder = "models/vit"
input = "image"
share = ["caption", "embed_visual"]

[[task]]
id = "between"
op = "shell"
after = ["embed_image"]
argv = ["true"]

[[task]]
id = "caption"
op = "caption"
after = ["between"]
captioner = "models/blip"

[[task]]
id = "embed_visual"
op = "embed"
after = ["caption"]
encoder = "models/visual"
input = "visual"

[[task]]
id = "merge"
op = "merge"
after = ["embed_image", "embed_visual"]
trigger = "none_failed"
"#;
const SOURCE: &str = "table:posts.jsonl,images=images,created=created_utc";
const IMAGES: u8 = 40;

/// A home with forty posts, three checkpoints that read their pictures, and a pipeline with these
/// tasks.
fn home(tasks: &str) -> Home {
    let home = Home::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (fixture, folder) in [
        ("timm/vit", "vit"),
        ("captioners/blip", "blip"),
        ("visual/m3", "visual"),
    ] {
        for file in fs_err::read_dir(fixtures.join(fixture)).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            if !name.starts_with("expected") {
                let bytes = fs_err::read(file.path()).unwrap();
                home.write(&format!("models/{folder}/{name}"), bytes);
            }
        }
    }
    let merge = "[[task]]\nid = \"merge\"\nop = \"merge\"\nafter = [\"fetch_images\"]\n";
    let blocks = "blocks = { image = \"embed_image\", visual = \"embed_visual\" }";
    let pipeline = PLAIN
        .replace("name = \"plain\"", "name = \"seen\"")
        .replace("blocks = {}", blocks)
        .replace(merge, tasks);
    assert!(pipeline.contains("embed_visual\"\nop"), "{pipeline}");
    home.write("pipelines/seen.toml", pipeline);
    home.write("posts.jsonl", posts(IMAGES.into()));
    for post in 0..IMAGES {
        // Every third lets something through, for which captioners put white behind it.
        let picture = image::RgbaImage::from_fn(24, 16, |x, y| {
            let [across, down] = [x * 10, y * 15].map(|level| u8::try_from(level).unwrap());
            let opaque = if post % 3 == 0 { across } else { 255 };
            image::Rgba([post * 6, across, down ^ post, opaque])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        home.write(&format!("images/p{post:04}.png"), bytes.into_inner());
    }
    home
}

/// What the tasks that read images did, and what the model says of the tested rows.
fn done(home: &Home, run: &Value) -> (Vec<Value>, Vec<Value>) {
    let of = |id: &str, key: &str| task(run, id)[key].clone();
    let tasks = ["embed_image", "caption", "embed_visual"];
    let figures = ["rows_in", "rows_out", "rows_computed", "rows_reused"];
    let figures = tasks.iter().flat_map(|id| figures.map(|key| of(id, key)));
    let predictions = home.json_lines(&["models", "show", "seen/1", "--predictions"]);
    (figures.collect(), predictions)
}

#[test]
fn what_others_read_is_decoded_once_and_theirs() {
    let shared = home(TASKS);
    // Nobody can read an image again after the first has.
    let media = shared.path().join("data/media");
    let remove = format!("argv = [\"rm\", \"-r\", \"{}\"]", media.display());
    let pipeline = shared.path().join("pipelines/seen.toml");
    let text = fs_err::read_to_string(&pipeline).unwrap();
    fs_err::write(&pipeline, text.replace("argv = [\"true\"]", &remove)).unwrap();
    let run = shared.json(&["run", "seen", "--source", SOURCE]);
    assert!(!media.exists());
    for id in ["embed_image", "caption", "embed_visual"] {
        assert_eq!(task(&run, id)["rows_computed"], IMAGES, "{id}: {run}");
    }

    let alone = home(&TASKS.replace("share = [\"caption\", \"embed_visual\"]\n", ""));
    let by_themselves = alone.json(&["run", "seen", "--source", SOURCE]);
    assert_eq!(done(&shared, &run), done(&alone, &by_themselves));
}

#[test]
fn who_cannot_share_reads_for_itself() {
    let first = "share = [\"caption\", \"embed_visual\"]\n";
    for tasks in [
        // Behind a condition, and therefore what reads its captions.
        TASKS.replace(
            "id = \"caption\"\n",
            "id = \"caption\"\nwhen = \"1 == 1\"\n",
        ),
        // The captions that it reads are made later.
        TASKS.replace(first, "share = [\"embed_visual\"]\n"),
        // The first is skipped, the second leads.
        TASKS
            .replace("\"models/vit\"", "\"none\"")
            .replace(first, "")
            .replace(
                "\"models/blip\"\n",
                "\"models/blip\"\nshare = [\"embed_visual\"]\n",
            )
            .replace("after = [\"embed_image\"]", "after = [\"fetch_images\"]"),
    ] {
        let home = home(&tasks);
        let run = home.json(&["run", "seen", "--source", SOURCE]);
        for id in ["caption", "embed_visual"] {
            assert_eq!(task(&run, id)["rows_computed"], IMAGES, "{id}: {run}");
        }
        let again = home.json(&["run", "seen", "--source", SOURCE]);
        for id in ["caption", "embed_visual"] {
            assert_eq!(task(&again, id)["rows_computed"], 0, "{id}: {again}");
        }
    }
}

#[test]
fn only_tasks_below_can_share() {
    for (share, words) in [
        (
            "[\"fetch_images\"]",
            "`fetch_images` is not downstream of `embed_image`",
        ),
        ("[\"captoin\"]", "`captoin` is no task of this pipeline"),
    ] {
        let home = home(&TASKS.replace("[\"caption\", \"embed_visual\"]", share));
        let output = home.run(&["pipelines", "check", "pipelines/seen.toml"]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(words), "{said}");
        assert!(said.contains("caption"), "{said}");
    }
}
