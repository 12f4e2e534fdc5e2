//! A run looks no further back than its window.
use serde_json::{Value, json};

use crate::home::{Home, PLAIN, posts, task};

#[test]
fn the_newest_posts_are_learned_from() {
    let home = Home::new();
    let text = PLAIN
        .replace("name = \"plain\"", "name = \"narrow\"")
        .replace(
            "keep = \"{{ params.keep }}\"",
            "keep = \"{{ params.keep }}\"\nwindow = \"{{ params.window }}\"",
        )
        .replace("keep = \"true\"", "keep = \"true\"\nwindow = 0");
    home.write("pipelines/narrow.toml", text);
    home.write("posts.ndjson", posts(60));
    let run = |arguments: &[&str]| {
        let all = ["run", "narrow", "--source", "dump:posts.ndjson"];
        let run = home.json(&[&all, arguments].concat());
        assert_eq!(run["state"], "succeeded", "{run}");
        run
    };
    let whole = run(&[]);
    assert_eq!(task(&whole, "filter")["rows_out"], 60);
    // Every second post is kept: of twenty that are wanted, forty are looked at.
    let narrow = run(&[
        "--param",
        "window=20",
        "--param",
        "keep=base36(id) % 2 == 0",
    ]);
    let filter = task(&narrow, "filter");
    assert_eq!(
        (filter["rows_in"].as_u64(), filter["rows_out"].as_u64()),
        (Some(40), Some(20))
    );
    assert_eq!(filter["dropped"]["not_kept"], 20);
    assert_eq!(task(&narrow, "merge")["rows_out"], 20);
    let predicted = home.json_lines(&["models", "show", "narrow", "--predictions"]);
    let ids: Vec<&str> = predicted
        .iter()
        .filter_map(|row| row["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 20, "{ids:?}");
    assert!(ids.iter().all(|id| *id >= "p0020"), "{ids:?}");
    assert!(ids.is_sorted(), "{ids:?}");
}

/// Which of them are new is not known, least of all by their ids.
#[test]
fn records_without_a_time_are_all_kept() {
    let home = Home::empty();
    home.write(
        "pipelines/windows.toml",
        r#"
name = "windows"

[[task]]
id = "scrape"
op = "scrape"
source = "table:rows.jsonl"

[[task]]
id = "wide"
op = "filter"
after = ["scrape"]
keep = "true"
window = 3

[[task]]
id = "narrow"
op = "filter"
after = ["wide"]
keep = 'title != "not this"'
window = 2
"#,
    );
    let mut rows = vec![
        r#"{"id":"zzzzzz","title":"without a time"}"#.to_owned(),
        r#"{"id":"1000000","title":"without a time"}"#.to_owned(),
        r#"{"id":"1000001","title":"not this"}"#.to_owned(),
    ];
    rows.extend((1..=5).map(|day| {
        format!(r#"{{"id":"p{day}","title":"of day {day}","created":"2026-01-0{day}"}}"#)
    }));
    home.write("rows.jsonl", rows.join("\n"));
    let run = home.json(&["run", "windows"]);
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(task(&run, "scrape")["rows_out"], 8);
    assert_eq!(task(&run, "wide")["rows_out"], 6);
    let file = format!("data/runs/{}/narrow.json", run["run_id"].as_str().unwrap());
    let kept = fs_err::read(home.path().join(file)).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["ids"], json!(["1000000", "zzzzzz", "p4", "p5"]));
}
