//! Tests of the dump reader.

use std::{collections::BTreeMap, io::Write};

use serde_json::json;

use super::{judged::LONGEST_LINE, seen::short, *};
use crate::corpus::{Observation, Record};

pub(super) fn post(id: &str, community: &str, read_at: u64) -> String {
    json!({"id": id, "title": format!("{id} {read_at}"), "subreddit": community,
           "created_utc": 1_500_000_000, "retrieved_on": read_at, "score": 3})
    .to_string()
}

pub(super) fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

pub(super) struct Walk {
    pub(super) records: Vec<(Record, Option<Observation>)>,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) bytes: u64,
    pub(super) end: Result<ScrapeSummary, Error>,
}

impl Walk {
    /// The distinct records and the dropped rows together.
    fn lines(&self) -> u64 {
        let ids: std::collections::HashSet<_> = self.records.iter().map(|(r, _)| &r.id).collect();
        ids.len() as u64 + self.dropped.values().sum::<u64>()
    }
}

pub(super) async fn walk(path: &Path, communities: Option<&[&str]>) -> Walk {
    let request = ScrapeRequest {
        communities: communities.map(|all| all.iter().map(|c| (*c).to_owned()).collect()),
        ..ScrapeRequest::everything("2026-12-01".parse().unwrap())
    };
    walk_request(path, request).await
}

pub(super) async fn walk_request(path: &Path, request: ScrapeRequest) -> Walk {
    let source = DumpSource::open(path).unwrap();
    let (send, mut receive) = mpsc::channel::<Page>(1);
    let mut all = Page::default();
    let collect = async {
        while let Some(page) = receive.recv().await {
            assert!(page.records.len() <= 500);
            all.records.extend(page.records);
            all.bytes += page.bytes;
            for (reason, rows) in page.dropped {
                *all.dropped.entry(reason).or_default() += rows;
            }
        }
    };
    let (end, ()) = tokio::join!(source.scrape(request, send), collect);
    Walk {
        records: all.records,
        dropped: all.dropped,
        bytes: all.bytes,
        end,
    }
}

/// The first line of a post is what was known first.
#[tokio::test]
async fn lines_come_as_they_are_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ndjson");
    let first = r#"{ "id":"a", "title" : "t","odd":[1.0,1e2],"created_utc":1600000000}"#;
    let then = first.replace("odd", "even");
    fs::write(&path, format!("{first}\n\n {then} \n")).unwrap();
    let source = DumpSource::open(&path).unwrap();
    for raw in [false, true] {
        let request = ScrapeRequest {
            raw,
            ..ScrapeRequest::everything("2026-12-01".parse().unwrap())
        };
        let (send, mut receive) = mpsc::channel::<Page>(9);
        source.scrape(request, send).await.unwrap();
        let page = receive.recv().await.unwrap();
        let sent = page.raw.get("a").map(|raw| raw.json.to_vec());
        assert_eq!(sent, raw.then(|| first.as_bytes().to_vec()));
    }
}

#[tokio::test]
async fn every_line_is_sent_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..1201)
        .map(|n| post(&format!("a{n}"), "pics", 1_600_000_000))
        .collect();
    let text = format!(
        "{}\n\nnot json\n{}\n{{\"id\":\"b\"}}\n[1]\n{}",
        lines.join("\n"),
        post("c", "aww", 1_600_000_000),
        post("last", "PICS", 1_600_000_000), // without an end of line
    );
    let path = folder.path().join("x.ndjson.zst");
    fs::write(&path, compressed(&text)).unwrap();
    let walk = walk(&path, Some(&["Pics"])).await;
    walk.end.as_ref().unwrap();
    assert_eq!(walk.records.len(), 1202);
    assert_eq!(
        json!(walk.dropped),
        json!({"malformed_line": 2, "missing:title": 1, "other_community": 1})
    );
    assert_eq!(walk.lines(), 1206);
    assert_eq!(walk.bytes, fs::metadata(&path).unwrap().len());
}

#[tokio::test]
async fn what_its_author_deleted_is_dropped_and_what_moderators_took_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl");
    let post = |id: &str, told: serde_json::Value| {
        let mut post = json!({"id": id, "title": "t", "created_utc": 1_500_000_000});
        let fields = told.as_object().unwrap().clone();
        post.as_object_mut().unwrap().extend(fields);
        post.to_string()
    };
    let lines = [
        post("a", json!({"author": "[deleted]", "selftext": "[deleted]"})),
        post("b", json!({"removed_by_category": "moderator"})),
        post(
            "c",
            json!({"_meta": {"was_deleted_later": true, "removal_type": "deleted"}}),
        ),
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let walk = walk(&path, None).await;
    walk.end.as_ref().unwrap();
    assert_eq!(json!(walk.dropped), json!({"deleted": 2}));
    let [(record, _)] = &walk.records[..] else {
        panic!("{:?}", walk.records);
    };
    assert_eq!(
        (record.id.as_str(), &record.fields["removed_by_category"]),
        ("b", &json!("moderator"))
    );
}

#[tokio::test]
async fn a_later_reading_replaces_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = [("a", 20), ("b", 20), ("a", 30), ("b", 10), ("b", 25)]
        .map(|(id, at)| post(id, "pics", 1_600_000_000 + at))
        .join("\n");
    fs::write(folder.path().join("x.jsonl"), text).unwrap();
    let walk = walk(folder.path(), None).await;
    let titles: Vec<_> = walk
        .records
        .iter()
        .filter_map(|(r, _)| r.title.as_deref())
        .collect();
    assert_eq!(
        titles,
        [
            "a 1600000020",
            "b 1600000020",
            "a 1600000030",
            "b 1600000025"
        ]
    );
    assert_eq!(json!(walk.dropped), json!({"duplicate": 3}));
    assert_eq!(walk.lines(), 5);
}

#[tokio::test]
async fn a_cut_off_file_keeps_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..5000)
        .map(|n| post(&format!("a{n}"), "pics", 1_600_000_000 + n))
        .collect();
    let whole = compressed(&lines.join("\n"));
    let path = folder.path().join("x.zst");
    // Blocks of zstd hold 128 KB of text; the cut is after the first of them.
    fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    let walk = walk(&path, None).await;
    let error = walk.end.as_ref().unwrap_err();
    assert!(matches!(error, Error::Broken { .. }));
    let kept = walk.records.len();
    assert!((1..5000).contains(&kept), "{kept}");
    let message = error.to_string();
    assert!(
        message.contains("cut off") && message.contains(&format!("{kept} posts")),
        "{message}"
    );
    let ids = walk.records.iter().map(|(record, _)| record.id.clone());
    assert!(
        ids.eq((0..kept).map(|n| format!("a{n}"))),
        "in order and whole"
    );
}

#[tokio::test]
async fn an_endless_line_is_one_malformed_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{}\n{}\n",
        " ".repeat(LONGEST_LINE + 10),
        post("a", "pics", 1)
    );
    let path = folder.path().join("x.zst");
    fs::write(&path, compressed(&text)).unwrap();
    let walk = walk(&path, None).await;
    walk.end.unwrap();
    assert_eq!((walk.records.len(), walk.dropped["malformed_line"]), (1, 1));
}

#[tokio::test]
async fn a_reader_that_is_gone_ends_the_walk() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..600)
        .map(|n| post(&format!("a{n}"), "pics", 1))
        .collect();
    fs::write(folder.path().join("x.ndjson"), lines.join("\n")).unwrap();
    let source = DumpSource::open(folder.path()).unwrap();
    let (send, receive) = mpsc::channel(1);
    drop(receive);
    let request = ScrapeRequest::everything("2026-12-01".parse().unwrap());
    let end = source.scrape(request, send).await;
    assert!(matches!(end, Err(Error::Cancelled)));
}

/// Arctic Shift's blocks, of two rows each.
pub(super) fn blocks(lines: &[String]) -> Vec<u8> {
    let mut file = Vec::new();
    for rows in lines.chunks(2) {
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut block = number(rows.len()).to_vec();
        let mut offset = 0;
        for row in rows {
            block.extend(number(offset));
            block.extend(number(row.len()));
            offset += row.len();
        }
        block.extend(rows.concat().bytes());
        let packed = zstd::bulk::compress(&block, 3).unwrap();
        file.extend(number(packed.len()));
        file.extend(packed);
    }
    file
}

#[tokio::test]
async fn blocks_have_rows_as_other_dumps_have_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<_> = (0..5)
        .map(|n| post(&format!("a{n}"), if n == 2 { "aww" } else { "pics" }, 1))
        .collect();
    lines.insert(3, "{\"cut".to_owned());
    let whole = blocks(&lines);
    let path = folder.path().join("x.zst_blocks");
    fs::write(&path, &whole).unwrap();
    let all = walk(&path, Some(&["pics"])).await;
    all.end.as_ref().unwrap();
    let ids: Vec<_> = all
        .records
        .iter()
        .map(|(post, _)| post.id.as_str())
        .collect();
    assert_eq!(ids, ["a0", "a1", "a3", "a4"]);
    assert_eq!(
        json!(all.dropped),
        json!({"malformed_line": 1, "other_community": 1})
    );
    assert_eq!(all.bytes, whole.len() as u64);

    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let cut = walk(&path, None).await;
    assert!(cut.end.unwrap_err().to_string().contains("is cut off"));
    assert_eq!(cut.records.len(), 3);

    // A block that says that it has more rows than bytes.
    let packed = zstd::bulk::compress(&u32::MAX.to_le_bytes(), 3).unwrap();
    let length = u32::try_from(packed.len()).unwrap().to_le_bytes();
    fs::write(&path, [&length[..], &packed].concat()).unwrap();
    let wrong = walk(&path, None).await;
    assert!(
        wrong
            .end
            .unwrap_err()
            .to_string()
            .contains("cannot be decoded")
    );
}

#[tokio::test]
async fn a_line_may_lie_in_many_frames() {
    let folder = tempfile::tempdir().unwrap();
    let text: Vec<_> = (0..40)
        .map(|n| post(&format!("a{n}"), "pics", 1) + "\n")
        .collect();
    let text = text.concat();
    let skippable = [
        &0x184d_2a50_u32.to_le_bytes()[..],
        &3_u32.to_le_bytes(),
        b"xyz",
    ]
    .concat();
    let mut file = Vec::new();
    // Some frames tell their length and some do not; some are empty.
    for (n, part) in text.as_bytes().chunks(61).enumerate() {
        match n % 4 {
            0 => file.extend(zstd::bulk::compress(part, 3).unwrap()),
            1 => file.extend(&skippable),
            2 => file.extend(zstd::bulk::compress(b"", 3).unwrap()),
            _ => {}
        }
        if n % 4 != 0 {
            file.extend(compressed(str::from_utf8(part).unwrap()));
        }
    }
    let path = folder.path().join("x.zst");
    fs::write(&path, file).unwrap();
    let walk = walk(&path, None).await;
    walk.end.unwrap();
    let ids = walk.records.iter().map(|(post, _)| post.id.clone());
    assert!(ids.eq((0..40).map(|n| format!("a{n}"))));
    assert_eq!(walk.dropped, BTreeMap::new());
    assert_eq!(walk.bytes, fs::metadata(&path).unwrap().len());
}

#[tokio::test]
async fn a_broken_file_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.zst"), "no zstd").unwrap();
    fs::write(folder.path().join("b.ndjson"), post("b", "pics", 1)).unwrap();
    let walk = walk(folder.path(), None).await;
    assert!(walk.end.unwrap_err().to_string().contains("a.zst"));
    assert_eq!(walk.records.len(), 1);
}

#[test]
fn ids_are_numbers_without_collisions() {
    let all = [
        "a",
        "0a",
        "A",
        "ab",
        "t3_ab",
        "zzzzzzzzzzzz",
        "zzzzzzzzzzzzz",
        "",
    ];
    let numbers: std::collections::HashSet<_> = all.into_iter().map(short).collect();
    assert_eq!(numbers.len(), all.len());
    assert_eq!(short("zz"), 1295);
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.txt"), "").unwrap();
    for (name, hint) in [
        ("none", "no file"),
        ("x.txt", "`.zst`"),
        (".", "no file in"),
    ] {
        let error = DumpSource::open(&folder.path().join(name)).unwrap_err();
        assert!(matches!(error, Error::Wrong(_)));
        assert!(error.to_string().contains(hint), "{error}");
    }
}
