//! Bad input: a clear message, the right exit code, and nothing lost that was there.
use crate::home::{Home, PLAIN, posts, stderr, task};

fn home() -> Home {
    let home = Home::new();
    home.write("pipelines/plain.toml", PLAIN);
    home
}

#[test]
fn a_line_that_is_no_json_and_a_post_without_title_are_counted() {
    let home = home();
    let mut text = posts(80);
    text.push_str("this is not JSON\n");
    text.push_str("{\"id\":\"x\",\"subreddit\":\"pics\",\"created_utc\":1700000000,\"score\":1}\n");
    home.write("posts.ndjson", text);
    let run = home.json(&["run", "plain", "--source", "dump:posts.ndjson"]);
    let scrape = task(&run, "scrape");
    assert_eq!(scrape["rows_in"], 82);
    assert_eq!(scrape["rows_out"], 80);
    assert_eq!(scrape["dropped"]["malformed_line"], 1);
    assert_eq!(scrape["dropped"]["missing:title"], 1);
    assert_eq!(run["model"]["version"], 1);
}

#[test]
fn a_truncated_archive_fails_and_keeps_what_came_before() {
    let home = home();
    let packed = zstd::encode_all(posts(40_000).as_bytes(), 3).unwrap();
    home.write("posts.zst", &packed[..packed.len() * 3 / 4]);
    let output = home.run(&["--json", "run", "plain", "--source", "dump:posts.zst"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let exported = home.json_lines(&["records", "export"]);
    assert!(exported.len() > 1000, "{} rows kept", exported.len());
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = task(&run, "scrape")["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("posts.zst") && message.contains("stored"),
        "{message}"
    );
}

#[test]
fn a_page_and_a_bomb_instead_of_images_are_counted() {
    let home = home();
    home.write(
        "images/p0000.jpg",
        "<!DOCTYPE html><html><body>gone</body></html>",
    );
    home.write("images/p0001.png", bomb());
    home.write("posts.jsonl", posts(60));
    let source = "table:posts.jsonl,images=images,created=created_utc";
    let run = home.json(&["run", "plain", "--source", source]);
    assert_eq!(run["state"], "succeeded");
    let fetch = task(&run, "fetch_images");
    assert_eq!(fetch["dropped"]["html"], 1, "{fetch}");
    assert_eq!(fetch["dropped"]["bomb"], 1, "{fetch}");
}

/// The head of a PNG of 60,000 × 60,000 pixels.
fn bomb() -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(60_000_u32.to_be_bytes());
    chunk.extend(60_000_u32.to_be_bytes());
    chunk.extend([8, 6, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(13_u32.to_be_bytes());
    png.extend(&chunk);
    png.extend(crc32(&chunk).to_be_bytes());
    png
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[test]
fn an_unknown_pipeline_and_a_cycle_are_wrong_use() {
    let home = home();
    let output = home.run(&["run", "redit", "--source", "sandbox"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("redit") && stderr(&output).contains("reddit"));

    home.write(
        "pipelines/loop.toml",
        "name = \"loop\"\n[[task]]\nid = \"a\"\nop = \"noop\"\nafter = [\"b\"]\n[[task]]\nid = \
         \"b\"\nop = \"noop\"\nafter = [\"a\"]\n",
    );
    for arguments in [
        &["run", "loop"][..],
        &["pipelines", "check", "pipelines/loop.toml"],
    ] {
        let output = home.run(arguments);
        assert_ne!(output.status.code(), Some(0));
        let said = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains('→'), "{said}");
    }
    assert_eq!(home.run(&["run", "loop"]).status.code(), Some(2));
    assert_eq!(
        home.run(&["run", "plain", "--source", "nowhere:x"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn a_home_that_cannot_be_written_is_unfit() {
    let home = home();
    // A file where the folder should be: root may write anywhere, but not below a file.
    home.write("data", "");
    let output = home.run(&["run", "plain", "--source", "sandbox:posts=5"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn the_live_source_without_credentials_is_unfit() {
    let home = home();
    let output = home.run(&["run", "plain"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("client_id"));
}
