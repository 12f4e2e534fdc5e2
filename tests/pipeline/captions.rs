//! Captions from a server: asked for once, within bounds, with a key that stays where it belongs.
use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    home::{Home, stderr, task},
    served::{Captions, Reply},
};

const KEY: &str = "sk-never-to-be-seen";
const SANDBOX: &str = "sandbox:posts=10";

/// A home with a pipeline that describes images, and the address of a server for it.
fn home(url: &str, settings: &str) -> Home {
    let home = Home::empty();
    home.write(
        "trendmill.toml",
        format!(
            "[captioner.openai]\nbase_url = \"{url}/v1/\"\nmodel = \"see/it\"\napi_key = \
             \"{KEY}\"\nconcurrency = 3\n"
        ),
    );
    home.write(
        "pipelines/described.toml",
        format!(
            r#"
name = "described"

[params]
source = "{SANDBOX}"
horizon = "36h"

[[task]]
id = "scrape"
op = "scrape"
source = "{{{{ params.source }}}}"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "{{{{ params.horizon }}}}"
tolerance = "1h"

[[task]]
id = "fetch_images"
op = "fetch_images"
after = ["refresh"]

[[task]]
id = "caption"
op = "caption"
after = ["fetch_images"]
captioner = "openai"
{settings}
"#
        ),
    );
    home
}

fn run(home: &Home) -> Value {
    home.json(&["run", "described"])
}

/// How often the server was asked about each image.
fn times(server: &Captions) -> BTreeMap<Vec<u8>, usize> {
    let mut times = BTreeMap::new();
    for asked in server.asked() {
        *times.entry(asked.image).or_default() += 1;
    }
    times
}

/// The files below a folder that hold these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs_err::read(&path)
                .unwrap_or_default()
                .windows(bytes.len())
                .any(|window| window == bytes)
            {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[test]
fn an_image_is_asked_about_once_and_the_key_stays_where_it_was_written() {
    let echo = format!("wrong key: {KEY}");
    let server = Captions::that(move |asked| match asked.number {
        // Only the first tries of three images.
        0 => Reply::Text(500, echo.clone()),
        1 => Reply::Text(503, format!("{{\"error\": \"{echo}\"}}")),
        2 => Reply::Cut,
        number => Reply::Say(format!("picture {number}, {echo}")),
    });
    let home = home(&server.url(), "prompt = \"What is it?\"");
    let first = run(&home);
    let caption = task(&first, "caption");
    let images = times(&server).len();
    assert!(images > 20, "{images}");
    assert_eq!(caption["state"], "succeeded", "{caption}");
    assert_eq!(caption["rows_computed"], images);
    assert_eq!(server.asked().len(), images + 3);
    assert!(server.most_at_once() <= 3);
    for asked in server.asked() {
        assert_eq!(asked.authorization, Some(format!("Bearer {KEY}")));
        assert!(asked.body.contains("What is it?"));
    }

    // The same words to a server at another address, which is not asked.
    let moved = Captions::that(|_| Reply::Text(500, String::new()));
    let file = home.path().join("trendmill.toml");
    let text = fs_err::read_to_string(&file).unwrap();
    home.write("trendmill.toml", text.replace(&server.url(), &moved.url()));
    let second = run(&home);
    let caption = task(&second, "caption");
    assert_eq!(caption["rows_computed"], 0);
    assert_eq!(caption["rows_reused"], images);
    assert_eq!(moved.asked().len(), 0);

    // Other words are another captioner.
    let path = "pipelines/described.toml";
    let text = fs_err::read_to_string(home.path().join(path)).unwrap();
    home.write(path, text.replace("What is it?", "What is this?"));
    home.write("trendmill.toml", fs_err::read(&file).unwrap());
    let output = home.run(&["-vv", "run", "described"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!moved.asked().is_empty());
    let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("in a row") && !said.contains(KEY), "{said}");

    let shown = home.json(&["config", "show"]).to_string();
    assert!(shown.contains("captioner.openai.api_key") && !shown.contains(KEY));
    let doctor = home.json(&["doctor"]);
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "captioner");
    assert_eq!(check.unwrap()["standing"], "ok", "{doctor}");
    assert_eq!(files_with(home.path(), KEY.as_bytes()), ["trendmill.toml"]);
}

#[test]
fn a_killed_run_asks_about_the_rest_alone() {
    let server = Captions::that(|asked| {
        Reply::Slowly(
            Duration::from_millis(60),
            format!("picture {}", asked.number),
        )
    });
    let home = home(&server.url(), "");
    for so_far in [6, 14] {
        let mut child = home
            .command(&["run", "described"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while server.asked().len() < so_far {
            assert!(
                started.elapsed() < Duration::from_mins(2),
                "it asks nothing"
            );
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = run(&home);
    assert_eq!(task(&last, "caption")["state"], "succeeded", "{last}");
    assert_eq!(home.json(&["runs", "list"]).as_array().unwrap().len(), 1);
    let times = times(&server);
    assert_eq!(task(&last, "caption")["rows_computed"], times.len());
    // What was under way at each death is asked about again.
    let again = times.values().filter(|&&count| count > 1).count();
    assert!(again <= 2 * 3 && server.asked().len() <= times.len() + 2 * 3);
}

#[test]
fn a_spent_budget_leaves_the_rest_for_the_next_run() {
    let server = Captions::that(|asked| {
        // The task itself fails once, when it has sent some of its requests.
        match asked.number {
            4 => Reply::Text(401, String::new()),
            number => Reply::Say(format!("picture {number}")),
        }
    });
    let home = home(&server.url(), "budget = 9");
    let output = home.run(&["run", "described"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("api_key"), "{}", stderr(&output));
    let sent = server.asked().len();
    assert!((5..9).contains(&sent), "{sent}");
    let first = home.json(&["runs", "retry", "latest"]);
    let caption = task(&first, "caption");
    assert_eq!(caption["state"], "succeeded", "{caption}");
    let message = caption["message"].as_str().unwrap();
    assert!(
        message.contains("budget of 9 requests is spent"),
        "{message}"
    );
    let waiting = caption["dropped"]["budget"].as_u64().unwrap();
    assert!(waiting > 9, "{caption}");
    let sent = server.asked().len();
    let second = run(&home);
    assert_eq!(server.asked().len(), sent + 9);
    assert_eq!(task(&second, "caption")["dropped"]["budget"], waiting - 9);
}

#[test]
fn bad_answers_are_counted_and_a_dead_server_fails_the_task_soon() {
    let server = Captions::that(|asked| match asked.number {
        3 => Reply::Hang,
        5 => Reply::Text(200, "<!DOCTYPE html><p>a login".to_owned()),
        7 => Reply::Text(200, "{\"choices\": []}".to_owned()),
        9 => Reply::Text(200, "{".to_owned()),
        11 => Reply::Head(429, "retry-after", "0".to_owned()),
        number => Reply::Say(format!("picture {number}")),
    });
    let home = home(&server.url(), "request_timeout = \"2s\"");
    let first = run(&home);
    let caption = task(&first, "caption");
    assert_eq!(caption["state"], "succeeded", "{caption}");
    for reason in ["timeout", "html", "empty", "malformed"] {
        assert_eq!(caption["dropped"][reason], 1, "{caption}");
    }
    let images = times(&server).len();
    assert_eq!(caption["rows_computed"], images - 4);

    // The four are asked about again, by a server that has gone.
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let output = home
        .command(&["--json", "run", "described"])
        .env("TRENDMILL_CAPTIONER__OPENAI__BASE_URL", &url)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = task(&run, "caption")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("nobody answers at") && message.contains(&url),
        "{message}"
    );

    for (settings, words) in [
        ("beams = 3", "beams"),
        ("max_tokens = 0", "max_tokens"),
        ("request_timeout = \"soon\"", "`soon` is no length of time"),
    ] {
        let home = self::home(&server.url(), settings);
        let output = home.run(&["run", "described"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}

#[test]
fn files_are_described_by_the_command_line() {
    let server = Captions::that(|asked| match asked.image.len() {
        ..1000 => Reply::Say("small".to_owned()),
        _ => Reply::Text(400, "{\"error\": \"too large\"}".to_owned()),
    });
    let home = home(&server.url(), "");
    home.write("small.png", png(4));
    home.write("large.png", png(400));
    home.write("none.png", "none");
    let files = ["small.png", "large.png", "none.png", "gone.png"];
    let command = [
        "encoders",
        "caption",
        "--model",
        "openai",
        "--prompt",
        "So?",
        "--image-file",
    ];
    let output = home.run(&[&command[..], &files].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0].to_string(),
        r#"{"file":"small.png","caption":"small"}"#
    );
    let reasons: Vec<&str> = lines[1..]
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["http_400", "not_image", "missing_file"]);
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.body.contains("So?"))
    );
}

/// What makes a model of captions.
const LEARNING: &str = r#"
max_tokens = 33

[[task]]
id = "embed_caption"
op = "embed"
after = ["caption"]
encoder = "all-minilm-l6-v2"
input = "caption"

[[task]]
id = "merge"
op = "merge"
after = ["embed_caption"]
blocks = { caption = "embed_caption" }
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

#[test]
fn a_model_of_captions_asks_about_new_images_as_in_training() {
    let server = Captions::that(|asked| Reply::Say(format!("picture {}", asked.image.len())));
    let home = home(&server.url(), LEARNING);
    let model = &run(&home)["model"];
    assert_eq!(model["version"], 1, "{model}");
    let before = server.asked().len();
    home.write("new.png", png(64));
    let predict = [
        "predict",
        "described",
        "--image",
        "new.png",
        "--set",
        "community=art",
    ];
    // What the settings would ask now plays no part.
    let predicted = |url: &str| {
        home.command(&predict)
            .env("TRENDMILL_CAPTIONER__OPENAI__BASE_URL", url)
            .env("TRENDMILL_CAPTIONER__OPENAI__PROMPT", "Something else")
            .output()
            .unwrap()
    };
    let output = predicted(&server.url());
    assert!(output.status.success(), "{}", stderr(&output));
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(line["prediction"].is_number(), "{line}");
    let asked = server.asked();
    assert_eq!(asked.len(), before + 1);
    assert!(asked[before].body.contains("\"max_tokens\":33"));
    assert!(!asked[before].body.contains("Something else"));

    let failing = Captions::that(|_| Reply::Text(404, "{\"error\": \"no such model\"}".to_owned()));
    let output = predicted(&failing.url());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no such model"),
        "{}",
        stderr(&output)
    );
    let file = home.path().join("trendmill.toml");
    fs_err::remove_file(file).unwrap();
    let output = home.run(&predict);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("captioner.openai.base_url"), "{said}");
}

#[test]
fn a_checkpoint_in_a_folder_describes_an_image_once_and_again_for_predictions() {
    let home = home("http://127.0.0.1:9", LEARNING);
    let path = "pipelines/described.toml";
    let text = fs_err::read_to_string(home.path().join(path)).unwrap();
    let text = text.replace("\"openai\"", "\"weights/blip\"\nbeams = 2\nprompt = \"a\"");
    home.write(path, text.replace("max_tokens = 33", "max_tokens = 5"));
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/captioners/blip");
    for file in fs_err::read_dir(fixture).unwrap() {
        let file = file.unwrap();
        let name = format!("weights/blip/{}", file.file_name().display());
        home.write(&name, fs_err::read(file.path()).unwrap());
    }
    let first = run(&home);
    let caption = task(&first, "caption");
    assert_eq!(caption["state"], "succeeded", "{caption}");
    assert!(caption["rows_computed"].as_u64().unwrap() > 20, "{caption}");
    assert_eq!(caption["dropped"], serde_json::json!({}), "{caption}");
    let second = run(&home);
    assert_eq!(task(&second, "caption")["rows_computed"], 0);
    assert_eq!(
        task(&second, "caption")["rows_reused"],
        caption["rows_computed"]
    );

    home.write("new.png", png(64));
    let predict = [
        "predict",
        "described",
        "--image",
        "new.png",
        "--set",
        "community=art",
    ];
    let line = &home.json_lines(&predict)[0];
    assert!(line["prediction"].is_number(), "{line}");

    // Other files are another captioner.
    home.write(
        "weights/blip/tokenizer_config.json",
        "{\"do_lower_case\": false}",
    );
    let output = home.run(&predict);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("another `weights/blip`"),
        "{}",
        stderr(&output)
    );
    let planned = home.run(&["run", "described", "--param", "horizon=24h", "--dry-run"]);
    assert!(planned.status.success(), "{}", stderr(&planned));
    for (setting, words) in [
        ("budget = 3", "`budget` is not for"),
        ("device = \"gpu\"", "gpu"),
    ] {
        let text = fs_err::read_to_string(home.path().join(path)).unwrap();
        home.write("pipelines/wrong.toml", text.replace("beams = 2", setting));
        let output = home.run(&["pipelines", "check", "pipelines/wrong.toml"]);
        let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success() && said.contains(words), "{said}");
    }
}

/// A picture that does not pack well.
fn png(side: u32) -> Vec<u8> {
    let pixels = image::RgbImage::from_fn(side, side, |x, y| {
        image::Rgb([x * y, x ^ y, x * 7 + y * 3].map(|value| u8::try_from(value % 256).unwrap()))
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}
