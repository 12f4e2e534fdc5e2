//! What the README shows is what happens.
use serde_json::json;

use crate::home::{Home, stderr};

const README: &str = include_str!("../../README.md");

/// The commands that the README shows, without prompt and remark.
fn commands() -> Vec<Vec<String>> {
    README
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| {
            let command = line.split("  #").next().unwrap_or_default();
            command.split_whitespace().map(str::to_owned).collect()
        })
        .collect()
}

/// The files that its examples read.
fn write_examples(home: &Home) {
    let mut posts = Vec::new();
    let mut table = vec!["id,title,community,created,score,image".to_owned()];
    for post in 0..60 {
        let created = 1_700_000_000 + post * 3600;
        let score = (post * 37) % 211;
        let line = json!({
            "id": format!("p{post}"), "title": format!("a post about {post}"),
            "subreddit": "pics", "author": "someone", "created_utc": created, "score": score,
            "url": format!("https://example.invalid/{post}.jpg"), "over_18": false,
        });
        posts.extend(format!("{line}\n").into_bytes());
        table.push(format!(
            "p{post},a post about {post},pics,{created},{score},{post}.png"
        ));
        let side = 8 + post;
        let picture = image::RgbImage::from_pixel(side, side, image::Rgb([90, 160, 40]));
        fs_err::create_dir_all(home.path().join("photos")).unwrap();
        picture
            .save(home.path().join(format!("photos/{post}.png")))
            .unwrap();
    }
    for name in ["posts.ndjson.zst", "archive/2023-11.zst"] {
        home.write(name, zstd::encode_all(&posts[..], 3).unwrap());
    }
    home.write("posts.csv", table.join("\n"));
}

#[test]
fn every_command_of_the_readme_works() {
    let commands = commands();
    let (ours, cargo): (Vec<_>, Vec<_>) = commands
        .into_iter()
        .partition(|command| command[0] == "trendmill");
    assert_eq!(
        cargo,
        [
            "cargo run --release -- run reddit --source sandbox",
            "cargo test --release"
        ]
        .map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    );
    let home = Home::new();
    write_examples(&home);
    // The main job itself is run by CI at its full size; here with fewer posts.
    let small = |word: &str| match word {
        "sandbox" => "sandbox:posts=14".to_owned(),
        other => other.to_owned(),
    };
    let main_job = cargo[0][4..].to_vec();
    assert!(!ours.is_empty());
    for command in std::iter::once(main_job).chain(ours.iter().map(|line| line[1..].to_vec())) {
        let arguments: Vec<String> = command.iter().map(|word| small(word)).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = home.run(&arguments);
        assert!(output.status.success(), "{command:?}: {}", stderr(&output));
        if command[0] == "run" && command.last().is_some_and(|word| word == "sandbox") {
            shows_the_models_of_the_readme(&String::from_utf8(output.stdout).unwrap());
        }
    }
}

/// The README's table and a run's have the same head and name the same models.
fn shows_the_models_of_the_readme(printed: &str) {
    let table = README.split("```text\n").nth(1).unwrap();
    let table = table.split("```").next().unwrap();
    let words = |line: &str| -> Vec<String> {
        line.split_whitespace()
            .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            .map(str::to_owned)
            .collect()
    };
    for shown in table.lines().filter(|line| !line.is_empty()) {
        let first = words(shown);
        assert!(
            printed.lines().any(|line| words(line) == first),
            "`{shown}` is not in\n{printed}"
        );
    }
}
