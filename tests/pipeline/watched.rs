//! A watched folder of dumps, read on from run to run; and a scan, which stores nothing.
use serde_json::json;

use crate::home::{Home, posts, stderr, task};

/// The posts of these numbers.
fn some(numbers: std::ops::Range<usize>) -> String {
    let all = posts(numbers.end);
    let lines: Vec<&str> = all.split_inclusive('\n').skip(numbers.start).collect();
    lines.concat()
}

fn exported(home: &Home) -> usize {
    home.json_lines(&["records", "export"]).len()
}

#[test]
fn the_next_run_reads_only_new_files_and_new_tails() {
    let home = Home::with_plain();
    home.write("dumps/a.ndjson", some(0..80));
    let run = |more: &[&str]| {
        let words = ["run", "plain", "--source", "dump:dumps", "--date"];
        let run = home.json(&[&words, more].concat());
        task(&run, "scrape")["rows_in"].as_u64().unwrap()
    };
    assert_eq!(run(&["2026-01-01"]), 80);
    assert_eq!(run(&["2026-01-02"]), 0);
    home.write("dumps/a.ndjson", some(0..85));
    let packed = zstd::encode_all(some(85..90).as_bytes(), 3).unwrap();
    home.write("dumps/b.zst", packed);
    assert_eq!(run(&["2026-01-03"]), 10);
    assert_eq!(exported(&home), 90);
    // Another file in its place.
    home.write("dumps/a.ndjson", some(90..95));
    assert_eq!(run(&["2026-01-04"]), 5);
    assert_eq!(exported(&home), 95);
    assert_eq!(run(&["2026-01-04", "--force"]), 10);
}

#[test]
fn a_scan_counts_and_stores_nothing() {
    let home = Home::empty();
    let other = some(0..10).replace("\"pics\"", "\"aww\"");
    let text = other + &some(10..14) + "no json\n";
    home.write("posts.zst", zstd::encode_all(text.as_bytes(), 3).unwrap());
    let scan = ["records", "scan", "--source", "dump:posts.zst"];
    let found = home.json(&[&scan[..], &["--param", "subreddits=PICS"]].concat());
    assert_eq!((&found["lines"], &found["kept"]), (&json!(15), &json!(4)));
    assert_eq!(found["decoded_bytes"], text.len());
    assert_eq!(
        found["dropped"],
        json!({"malformed_line": 1, "other_community": 10})
    );
    let since = home.json(&[&scan[..], &["--param", "since=2023-11-15"]].concat());
    assert_eq!(since["kept"], json!(12));
    assert!(!home.path().join("data/content.db").exists());
    let output = home.run(&[&scan[..], &["--param", "horizon=1h"]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
