//! A new encoder fills in while the daemon lives: it does the work.

use std::{fmt::Write as _, path::Path};

use serde_json::Value;

use crate::kit::Home;

const PIPELINE: &str = r#"
name = "seen"
profile = "blind"

[profiles.blind]
text = "none"
image = "none"
caption = "none"
visual = "none"

[profiles.seeing]
text = "none"
image = "models/vit"
caption = "none"
visual = "none"

[[task]]
id = "scrape"
op = "scrape"
source = "table:posts.jsonl,images=images,created=created_utc"

[[task]]
id = "fetch_images"
op = "fetch_images"
after = ["scrape"]

[[task]]
id = "embed_image"
op = "embed"
after = ["fetch_images"]
encoder = "{{ profile.image }}"
input = "image"
"#;
const POSTS: u8 = 9;

/// A home with a few posts, a picture for each, and a small encoder of images.
fn home() -> Home {
    let home = Home::new();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = home.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/timm/vit");
    for name in ["config.json", "model.safetensors"] {
        let bytes = fs_err::read(fixture.join(name)).unwrap();
        write(&format!("models/vit/{name}"), bytes);
    }
    let mut posts = String::new();
    for post in 0..POSTS {
        writeln!(
            posts,
            r#"{{"id":"p{post}","title":"post {post}","subreddit":"pics","author":"a","created_utc":{},"score":{post}}}"#,
            1_700_000_000 + u32::from(post) * 3600,
        )
        .unwrap();
        let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([post * 9, 40, 80]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        write(&format!("images/p{post}.png"), bytes.into_inner());
    }
    write("posts.jsonl", posts.into_bytes());
    write("pipelines/seen.toml", PIPELINE.into());
    home
}

#[tokio::test]
async fn the_daemon_fills_what_a_new_encoder_lacks() {
    let home = home();
    let first = home.run(&["run", "seen"]);
    assert!(first.status.success());
    let daemon = home.up();
    let fill = || -> Value {
        let fill = ["--json", "encoders", "fill", "seen", "--profile", "seeing"];
        let filled = home.run(&fill);
        let said = String::from_utf8_lossy(&filled.stderr).into_owned();
        assert!(filled.status.success(), "{said}");
        serde_json::from_slice(&filled.stdout).unwrap()
    };
    let made = |run: &Value| -> (u64, u64) {
        let tasks = run["tasks"].as_array().unwrap().iter();
        let of = |key: &str| -> u64 { tasks.clone().filter_map(|task| task[key].as_u64()).sum() };
        (of("rows_computed"), of("rows_reused"))
    };
    let filled = fill();
    assert_eq!(filled["state"], "succeeded", "{filled}");
    assert_eq!(made(&filled), (u64::from(POSTS), 0), "{filled}");
    // It is a run like others.
    let id = filled["run_id"].as_str().unwrap();
    let (status, known) = daemon.get(&format!("/api/v1/runs/{id}")).await;
    assert_eq!((status, &known["state"]), (200, &filled["state"]));
    assert_eq!(made(&fill()).0, 0);

    let switch = ["pipelines", "switch", "seen", "--profile", "seeing"];
    let switched = home.run(&switch);
    let said = String::from_utf8_lossy(&switched.stderr).into_owned();
    assert!(switched.status.success(), "{said}");
    let run = home.run(&["--json", "run", "seen"]);
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    let embedded = &run["tasks"][2];
    assert_eq!(embedded["rows_computed"], 0, "{run}");
    assert_eq!(embedded["rows_reused"], POSTS, "{run}");
}
