//! Tests of what a second walk reads.

use std::{collections::BTreeMap, io::Write, path::Path};

use fs_err as fs;
use tokio::sync::mpsc;

use super::{
    DumpSource,
    dump_tests::{blocks, compressed, post},
    parquet_tests::posts,
};
use crate::{
    corpus::FileCursor,
    sources::{Error, Page, ScrapeRequest, ScrapeSummary, Source},
};

/// A reader with a memory, as the store has one.
#[derive(Default)]
struct Reader {
    cursors: BTreeMap<String, FileCursor>,
    since: Option<&'static str>,
    as_of: Option<&'static str>,
    now: Option<&'static str>,
}

/// The ids that a walk gave, and what it dropped and read.
#[derive(Debug, Default)]
struct News {
    ids: Vec<String>,
    dropped: BTreeMap<String, u64>,
    bytes: u64,
}

impl Reader {
    /// Walks until `pages` pages are stored, then dies.
    async fn walk(&mut self, path: &Path, pages: usize) -> (News, Result<ScrapeSummary, Error>) {
        let source = DumpSource::open(path).unwrap();
        let (send, mut receive) = mpsc::channel::<Page>(1);
        let request = ScrapeRequest {
            since: self.since.map(|text| text.parse().unwrap()),
            now: self.now.map(|text| text.parse().unwrap()),
            cursors: self.cursors.values().cloned().collect(),
            ..ScrapeRequest::everything(self.as_of.unwrap_or("2026-12-01").parse().unwrap())
        };
        let mut news = News::default();
        let take = async {
            for _ in 0..pages {
                let Some(page) = receive.recv().await else {
                    return;
                };
                let ids = page.records.into_iter().map(|(record, _)| record.id);
                news.ids.extend(ids);
                news.bytes += page.bytes;
                for (reason, rows) in page.dropped {
                    *news.dropped.entry(reason).or_default() += rows;
                }
                if let Some(cursor) = page.cursor {
                    self.cursors.insert(cursor.file.clone(), cursor);
                }
            }
            drop(receive);
        };
        let (end, ()) = tokio::join!(source.scrape(request, send), take);
        (news, end)
    }

    /// Walks to the end.
    async fn news(&mut self, path: &Path) -> News {
        let (news, end) = self.walk(path, usize::MAX).await;
        end.unwrap();
        news
    }
}

fn lines(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers
        .map(|n| post(&format!("a{n}"), "pics", 1_600_000_000))
        .collect()
}

fn ids(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("a{n}")).collect()
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_killed_walk_goes_on_behind_its_last_page() {
    let folder = tempfile::tempdir().unwrap();
    let all = lines(0..2600);
    let text = all.join("\n") + "\n";
    let frames: Vec<_> = text
        .as_bytes()
        .chunks(10_001)
        .flat_map(|part| zstd::bulk::compress(part, 3).unwrap())
        .collect();
    let groups = [0..300, 300..1100, 1100..1900, 1900..2200, 2200..2600]
        .map(|numbers| (numbers, "pics", 1_500_000_000));
    let files = [
        ("x.ndjson", text.clone().into_bytes()),
        ("one.zst", compressed(&text)),
        ("many.zst", frames),
        ("x.zst_blocks", blocks(&all)),
        ("x.parquet", posts(&groups)),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        let mut reader = Reader::default();
        let mut found = Vec::new();
        let mut read = 0;
        for _ in 0..5 {
            // How it ends is chance: the last page may be under way already.
            let (news, _) = reader.walk(&path, 1).await;
            assert_eq!(news.ids.len(), 500, "{name}");
            found.extend(news.ids);
        }
        let last = reader.news(&path).await;
        read += last.bytes;
        found.extend(last.ids);
        assert!(found == ids(0..2600), "{name}: each post once, in order");
        if name != "one.zst" {
            assert!(read < bytes.len() as u64 / 4, "{name}: {read} bytes");
        }
        let lines = reader.cursors.values().next().unwrap().lines;
        assert_eq!(lines, 2600, "{name}");
        let nothing = reader.news(&path).await;
        assert_eq!((nothing.ids.len(), nothing.bytes), (0, 0), "{name}");
    }
}

#[tokio::test]
async fn a_watched_folder_gives_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |numbers| lines(numbers).join("\n") + "\n";
    let mut reader = Reader::default();
    fs::write(path("a.jsonl"), text(0..10)).unwrap();
    fs::write(path("b.zst"), compressed(&text(10..20))).unwrap();
    fs::write(path("c.zst_blocks"), blocks(&lines(20..30))).unwrap();
    assert_eq!(reader.news(folder.path()).await.ids, ids(0..30));
    assert_eq!(reader.news(folder.path()).await.bytes, 0);
    fs::write(path("p.parquet"), posts(&[(70..90, "pics", 1_500_000_000)])).unwrap();
    assert_eq!(reader.news(folder.path()).await.ids, ids(70..90));
    assert_eq!(reader.news(folder.path()).await.bytes, 0);
    fs::write(path("p.parquet"), posts(&[(80..91, "pics", 1_500_000_000)])).unwrap();
    assert_eq!(reader.news(folder.path()).await.ids, ids(80..91));

    append(&path("a.jsonl"), text(30..31).as_bytes());
    append(&path("b.zst"), &compressed(&text(31..33)));
    append(&path("c.zst_blocks"), &blocks(&lines(33..34)));
    fs::write(path("d.ndjson"), text(34..36)).unwrap();
    let news = reader.news(folder.path()).await;
    assert_eq!(news.ids, ids(30..36));
    assert_eq!(news.dropped, BTreeMap::new());
    assert_eq!(reader.news(folder.path()).await.bytes, 0);

    // One that begins otherwise, one that ends otherwise, and one that is shorter.
    fs::write(path("a.jsonl"), text(40..60)).unwrap();
    let changed = text(34..36).replace("a35", "b35");
    fs::write(path("d.ndjson"), changed + &text(60..61)).unwrap();
    fs::write(path("b.zst"), compressed(&text(61..62))).unwrap();
    let mut expected = ids(40..60);
    expected.extend(ids(61..62));
    expected.extend(["a34", "b35", "a60"].map(str::to_owned));
    assert_eq!(reader.news(folder.path()).await.ids, expected);
    assert_eq!(reader.news(folder.path()).await.bytes, 0);
}

#[tokio::test]
async fn a_file_of_the_same_length_that_was_written_again_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ndjson");
    let mut reader = Reader::default();
    fs::write(&path, lines(10..20).join("\n")).unwrap();
    reader.news(&path).await;
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, lines(30..40).join("\n")).unwrap();
    let later = modified + std::time::Duration::from_secs(1);
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.set_modified(later).unwrap();
    assert_eq!(reader.news(&path).await.ids, ids(30..40));
}

#[tokio::test]
async fn a_line_that_is_still_being_written_is_read_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ndjson");
    let mut reader = Reader::default();
    let last = post("a1", "pics", 1);
    let (begin, end) = last.split_at(last.len() / 2);
    fs::write(&path, format!("{}\n{begin}", post("a0", "pics", 1))).unwrap();
    let news = reader.news(&path).await;
    let unfinished = BTreeMap::from([("unfinished_line".to_owned(), 1)]);
    assert_eq!((news.ids, news.dropped), (ids(0..1), unfinished));
    append(&path, end.as_bytes());
    let news = reader.news(&path).await;
    assert_eq!((news.ids, news.dropped.len()), (ids(1..2), 0));
    // The end of that line, and another one without.
    append(&path, format!("\n{}", post("a2", "pics", 1)).as_bytes());
    let news = reader.news(&path).await;
    assert_eq!((news.ids, news.dropped.len()), (ids(2..3), 0));
    assert_eq!(reader.news(&path).await.bytes, 0);
}

#[tokio::test]
async fn a_dump_that_is_still_coming_is_read_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.zst");
    let whole = compressed(&lines(0..5000).join("\n"));
    fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    let mut reader = Reader::default();
    let (first, end) = reader.walk(&path, usize::MAX).await;
    assert!(matches!(end, Err(Error::Broken { .. })));
    fs::write(&path, &whole).unwrap();
    let second = reader.news(&path).await;
    assert!(!first.ids.is_empty() && !second.ids.is_empty());
    assert_eq!([first.ids, second.ids].concat(), ids(0..5000));
}

#[tokio::test]
async fn a_file_of_a_folder_that_is_not_whole_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |numbers| lines(numbers).join("\n") + "\n";
    let whole = compressed(&text(0..5000));
    fs::write(path("a.zst"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("b.jsonl"), text(5000..5010)).unwrap();
    let rows = posts(&[(5010..5020, "pics", 1_500_000_000)]);
    fs::write(path("c.parquet"), &rows[..rows.len() / 2]).unwrap();
    for hidden in [
        ".x.jsonl",
        "x.jsonl.part",
        "x.zst.crdownload",
        "x.zst.tmp",
        ".DS_Store",
    ] {
        fs::write(path(hidden), text(6000..6001)).unwrap();
    }
    let mut reader = Reader::default();
    let (first, end) = reader.walk(folder.path(), usize::MAX).await;
    let summary = end.unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    let unfinished = ["a.zst", "c.parquet"].map(|name| folder.join(name));
    assert_eq!(summary.unfinished, unfinished);
    let said = summary.unfinished().unwrap();
    assert!(
        said.contains("a.zst") && said.contains("c.parquet"),
        "{said}"
    );
    assert_eq!(first.ids[first.ids.len() - 10..], ids(5000..5010));

    fs::write(path("a.zst"), &whole).unwrap();
    fs::write(path("c.parquet"), &rows).unwrap();
    let second = reader.news(&folder).await;
    let mut all = [first.ids, second.ids].concat();
    all.sort_by_key(|id| id[1..].parse::<u32>().unwrap());
    assert_eq!(all, ids(0..5020));
    assert_eq!(reader.news(&folder).await.bytes, 0);

    // What is damaged is told of, all of it, and holds up no other either.
    for name in ["d.zst", "e.parquet"] {
        fs::write(path(name), "no such file at all").unwrap();
    }
    fs::write(path("f.jsonl"), text(5020..5021)).unwrap();
    let (third, end) = reader.walk(&folder, usize::MAX).await;
    let error = end.unwrap_err().to_string();
    assert!(
        error.contains("d.zst") && error.contains("e.parquet"),
        "{error}"
    );
    assert_eq!(third.ids, ids(5020..5021));
}

#[tokio::test]
async fn posts_that_are_too_young_are_left_for_a_later_walk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ndjson");
    let text: Vec<_> = ["2020-01-01", "2020-01-03", "2020-01-02", "2020-01-04"]
        .iter()
        .zip(0..)
        .map(|(day, n)| {
            let created = day.parse::<crate::clock::Timestamp>().unwrap().as_seconds();
            format!(r#"{{"id":"a{n}","title":"b","created_utc":{created},"subreddit":"pics"}}"#)
        })
        .collect();
    fs::write(&path, text.join("\n")).unwrap();
    let mut reader = Reader {
        as_of: Some("2020-01-02"),
        ..Reader::default()
    };
    let news = reader.news(&path).await;
    assert_eq!(
        (news.ids, news.dropped["after_as_of"]),
        (vec!["a0".to_owned(), "a2".to_owned()], 2)
    );
    reader.as_of = Some("2020-01-05");
    assert_eq!(reader.news(&path).await.ids, ids(1..4));
    assert_eq!(reader.news(&path).await.bytes, 0);
    // A day that cannot have come yet is not waited for.
    let mut impossible = text.clone();
    impossible[1] = text[1].replace("\"created_utc\":", "\"created_utc\":9");
    fs::write(&path, impossible.join("\n")).unwrap();
    let mut reader = Reader {
        now: Some("2020-02-01"),
        ..Reader::default()
    };
    let news = reader.news(&path).await;
    assert_eq!((news.ids.len(), news.dropped["in_future"]), (3, 1));
    assert_eq!(reader.news(&path).await.bytes, 0);
    fs::write(&path, text.join("\n")).unwrap();
    let mut reader = Reader {
        since: Some("2020-01-03"),
        ..Reader::default()
    };
    let news = reader.news(&path).await;
    assert_eq!(news.ids, ["a1", "a3"]);
    assert_eq!(news.dropped["before_since"], 2);
}
