//! Tests of dumps in Parquet.

use std::{path::Path, sync::Arc};

use fs_err as fs;
use parquet::{
    basic::{Compression, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use serde_json::{Value, json};

use super::dump_tests::{Walk, walk, walk_request};
use crate::sources::{Error, ScrapeRequest};

/// Values of a column, and their levels; without any, each is there.
pub(super) enum Cells {
    Text(Vec<Vec<u8>>),
    Whole(Vec<i64>),
    Double(Vec<f64>),
    Flag(Vec<bool>),
}

pub(super) struct Cut {
    pub(super) cells: Cells,
    pub(super) defs: Vec<i16>,
    pub(super) reps: Vec<i16>,
}

impl From<Cells> for Cut {
    fn from(cells: Cells) -> Self {
        Self {
            cells,
            defs: Vec::new(),
            reps: Vec::new(),
        }
    }
}

fn texts<T: AsRef<str>>(all: impl IntoIterator<Item = T>) -> Cells {
    let bytes = all
        .into_iter()
        .map(|text| text.as_ref().as_bytes().to_vec());
    Cells::Text(bytes.collect())
}

/// A file of these groups of columns.
pub(super) fn written(schema: &str, compression: Compression, groups: Vec<Vec<Cut>>) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(compression);
    let properties = Arc::new(properties.build());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for group in groups {
        let mut row_group = file.next_row_group().unwrap();
        for Cut { cells, defs, reps } in group {
            let defs = (!defs.is_empty()).then_some(&defs[..]);
            let reps = (!reps.is_empty()).then_some(&reps[..]);
            let mut column = row_group.next_column().unwrap().unwrap();
            match (column.untyped(), cells) {
                (ColumnWriter::ByteArrayColumnWriter(writer), Cells::Text(all)) => {
                    let all: Vec<_> = all.into_iter().map(ByteArray::from).collect();
                    writer.write_batch(&all, defs, reps)
                }
                (ColumnWriter::Int64ColumnWriter(writer), Cells::Whole(all)) => {
                    writer.write_batch(&all, defs, reps)
                }
                (ColumnWriter::DoubleColumnWriter(writer), Cells::Double(all)) => {
                    writer.write_batch(&all, defs, reps)
                }
                (ColumnWriter::BoolColumnWriter(writer), Cells::Flag(all)) => {
                    writer.write_batch(&all, defs, reps)
                }
                _ => panic!("cells of another column"),
            }
            .unwrap();
            column.close().unwrap();
        }
        row_group.close().unwrap();
    }
    file.into_inner().unwrap()
}

const PLAIN: &str = "message posts {
    REQUIRED BINARY id (STRING);
    REQUIRED BINARY title (STRING);
    REQUIRED BINARY subreddit (STRING);
    REQUIRED INT64 created_utc;
    OPTIONAL BINARY body_of_no_post (STRING);
}";

/// Posts with these numbers as ids, made at these times in these communities, a group each.
pub(super) fn posts(groups: &[(std::ops::Range<u32>, &str, i64)]) -> Vec<u8> {
    let groups = groups.iter().map(|(numbers, community, made)| {
        let some = numbers.len();
        let ids: Vec<_> = numbers.clone().map(|n| format!("a{n}")).collect();
        let unread = Cut {
            cells: texts(Vec::<String>::new()),
            defs: vec![0; some],
            reps: Vec::new(),
        };
        vec![
            texts(&ids).into(),
            texts(ids.iter().map(|id| format!("post {id}"))).into(),
            texts(vec![*community; some]).into(),
            Cells::Whole(numbers.clone().map(|n| made + i64::from(n)).collect()).into(),
            unread,
        ]
    });
    written(PLAIN, Compression::SNAPPY, groups.collect())
}

fn ids(walk: &Walk) -> Vec<&str> {
    let records = walk.records.iter();
    records.map(|(record, _)| record.id.as_str()).collect()
}

#[tokio::test]
async fn rows_are_what_lines_of_the_same_posts_are() {
    let folder = tempfile::tempdir().unwrap();
    let galleries = json!({"m1": {"status": "valid", "e": "Image",
                                  "s": {"u": "https://preview.redd.it/m1.jpg"}},
                           "m2": {"status": "valid", "e": "Image",
                                  "s": {"u": "https://preview.redd.it/m2.jpg"}}});
    let lines = [
        json!({"id": "a", "title": "fish &amp; chips", "subreddit": "pics", "author": "x",
               "created_utc": 1_700_000_000, "retrieved_on": 1_700_000_060, "over_18": true,
               "stickied": false, "num_comments": 12, "upvote_ratio": 0.95, "score": 7,
               "_meta": {"retrieved_2nd_on": 1_700_129_600, "was_initially_deleted": false},
               "gallery_data": {"items": [{"media_id": "m2"}, {"media_id": "m1"}]},
               "media_metadata": galleries}),
        json!({"id": "b", "title": "no \"gallery\"\n", "subreddit": "pics", "author": null,
               "created_utc": 1_700_000_001.5, "retrieved_on": null, "over_18": false,
               "stickied": true, "num_comments": null, "upvote_ratio": 1.0, "score": -3,
               "_meta": null, "gallery_data": null, "media_metadata": null}),
        json!({"id": "c", "title": "an empty one", "subreddit": "pics", "author": "[deleted]",
               "created_utc": 1_700_000_002, "retrieved_on": 1_700_000_003.25, "over_18": true,
               "stickied": null, "num_comments": 0, "upvote_ratio": null, "score": 0,
               "_meta": {"retrieved_2nd_on": null, "was_initially_deleted": true},
               "gallery_data": {"items": []}, "media_metadata": {}}),
    ];
    let text = lines.each_ref().map(Value::to_string).join("\n");
    fs::write(folder.path().join("x.jsonl"), text).unwrap();
    let schema = "message posts {
        REQUIRED BINARY id (STRING);
        REQUIRED BINARY title;
        REQUIRED BINARY subreddit (STRING);
        OPTIONAL BINARY author (STRING);
        REQUIRED DOUBLE created_utc;
        OPTIONAL INT64 retrieved_on (TIMESTAMP(MICROS,true));
        REQUIRED INT64 over_18;
        OPTIONAL BOOLEAN stickied;
        OPTIONAL DOUBLE num_comments;
        OPTIONAL DOUBLE upvote_ratio;
        REQUIRED INT64 score;
        OPTIONAL GROUP _meta {
            OPTIONAL DOUBLE retrieved_2nd_on;
            REQUIRED BOOLEAN was_initially_deleted;
        }
        OPTIONAL GROUP gallery_data {
            OPTIONAL GROUP items (LIST) {
                REPEATED GROUP list {
                    OPTIONAL GROUP element {
                        OPTIONAL BINARY media_id (STRING);
                    }
                }
            }
        }
        OPTIONAL BINARY media_metadata (STRING);
    }";
    let some = |cells, defs: &[i16]| Cut {
        cells,
        defs: defs.to_vec(),
        reps: Vec::new(),
    };
    let group = vec![
        texts(["a", "b", "c"]).into(),
        texts(["fish &amp; chips", "no \"gallery\"\n", "an empty one"]).into(),
        texts(["pics"; 3]).into(),
        some(texts(["x", "[deleted]"]), &[1, 0, 1]),
        Cells::Double(vec![1_700_000_000.0, 1_700_000_001.5, 1_700_000_002.0]).into(),
        some(
            Cells::Whole(vec![1_700_000_060_000_000, 1_700_000_003_250_000]),
            &[1, 0, 1],
        ),
        Cells::Whole(vec![1, 0, 1]).into(),
        some(Cells::Flag(vec![false, true]), &[1, 1, 0]),
        some(Cells::Double(vec![12.0, f64::NAN, 0.0]), &[1, 1, 1]),
        some(Cells::Double(vec![0.95, 1.0]), &[1, 1, 0]),
        Cells::Whole(vec![7, -3, 0]).into(),
        some(Cells::Double(vec![1_700_129_600.0]), &[2, 0, 1]),
        some(Cells::Flag(vec![false, true]), &[1, 0, 1]),
        Cut {
            cells: texts(["m2", "m1"]),
            defs: vec![5, 5, 0, 2],
            reps: vec![0, 1, 0, 0],
        },
        some(texts([&galleries.to_string(), "{}"]), &[1, 0, 1]),
    ];
    let bytes = written(schema, Compression::ZSTD(ZstdLevel::default()), vec![group]);
    fs::write(folder.path().join("x.parquet"), bytes).unwrap();
    let lines = walk(&folder.path().join("x.jsonl"), None).await;
    let rows = walk(&folder.path().join("x.parquet"), None).await;
    rows.end.as_ref().unwrap();
    assert_eq!(rows.records, lines.records);
    assert_eq!(rows.records.len(), 3);
    assert_eq!(rows.records[0].0.media.len(), 2, "{:?}", rows.records[0].0);
}

#[tokio::test]
async fn an_odd_row_is_counted_and_loses_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let schema = "message posts {
        OPTIONAL BINARY id (STRING);
        REQUIRED BINARY title (STRING);
        OPTIONAL INT64 promoted;
    }";
    let title = |text: &[u8]| text.to_vec();
    let group = vec![
        Cut {
            cells: texts(["a", "b", "d", "e"]),
            defs: vec![1, 1, 0, 1, 1],
            reps: Vec::new(),
        },
        Cells::Text(vec![
            title(b"one"),
            title(b"\xff\xfe"),
            title(b"three"),
            title(b"four"),
            title(b"five"),
        ])
        .into(),
        Cut {
            cells: Cells::Whole(vec![0, 0, 1, 0]),
            defs: vec![1, 1, 0, 1, 1],
            reps: Vec::new(),
        },
    ];
    fs::write(
        &path,
        written(schema, Compression::UNCOMPRESSED, vec![group]),
    )
    .unwrap();
    let walk = walk(&path, None).await;
    walk.end.as_ref().unwrap();
    assert_eq!(ids(&walk), ["a", "e"]);
    assert_eq!(
        json!(walk.dropped),
        json!({"malformed_line": 1, "missing:id": 1, "promoted": 1})
    );
}

#[tokio::test]
async fn groups_without_anything_wanted_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let day = |number: i64| 1_600_000_000 + number * 86_400;
    let groups = [
        (0..2000, "AskReddit", day(0)),
        (2000..4000, "pics", day(1)),
        (4000..6000, "pics", day(2)),
        (6000..8000, "Pics", day(3)),
        (8000..10_000, "videos", day(3)),
    ];
    let bytes = posts(&groups);
    fs::write(&path, &bytes).unwrap();
    let whole = walk(&path, None).await;
    assert_eq!(whole.records.len(), 10_000);

    let request = ScrapeRequest {
        communities: Some(vec!["PICS".to_owned()]),
        since: Some(crate::clock::Timestamp::from_millis(day(2) * 1000)),
        ..ScrapeRequest::everything(crate::clock::Timestamp::from_millis((day(3) - 1) * 1000))
    };
    let some = walk_request(&path, request).await;
    some.end.as_ref().unwrap();
    assert_eq!(some.records.len(), 2000);
    assert_eq!(ids(&some)[0], "a4000");
    assert_eq!(
        json!(some.dropped),
        json!({"other_community": 4000, "before_since": 2000, "after_as_of": 2000})
    );
    assert!(
        some.bytes * 4 < whole.bytes,
        "{} of {}",
        some.bytes,
        whole.bytes
    );
    assert!(whole.bytes < bytes.len() as u64);
}

#[tokio::test]
async fn what_is_no_parquet_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let whole = posts(&[(0..50, "pics", 1_600_000_000)]);
    let message = async |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = walk(&path, None).await.end.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{error:?}");
        let cause = std::error::Error::source(&error).unwrap();
        format!("{error}: {cause}")
    };
    let cut = message(&whole[..whole.len() - 9]).await;
    assert!(
        cut.contains("is cut off") && cut.contains("`PAR1`"),
        "{cut}"
    );
    assert!(message(b"").await.contains("is cut off"));
    let other = message(b"{\"id\":\"a\",\"title\":\"b\"}").await;
    assert!(other.contains("does not begin with `PAR1`"), "{other}");
    let none = written(
        "message m { REQUIRED INT64 n; }",
        Compression::SNAPPY,
        vec![vec![Cells::Whole(vec![1]).into()]],
    );
    assert!(message(&none).await.contains("such as `id` or `title`"));
    let named = path.display().to_string();
    assert!(
        cut.contains(&named) && cut.contains("get the file anew"),
        "{cut}"
    );
}

/// Whatever byte of a file is wrong: it is an error or other posts, and nothing worse.
#[tokio::test]
async fn a_damaged_file_ends_the_walk_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let whole = posts(&[
        (0..20, "pics", 1_600_000_000),
        (20..40, "aww", 1_600_000_000),
    ]);
    assert_eq!(walk_bytes(&path, &whole).await.records.len(), 40);
    for (at, flip) in (0..whole.len())
        .zip([0x01, 0x80, 0xff, 0x10].into_iter().cycle())
        .step_by(5)
    {
        let mut damaged = whole.clone();
        damaged[at] ^= flip;
        let walk = walk_bytes(&path, &damaged).await;
        assert!(walk.records.len() <= 40 || walk.end.is_err(), "{at}");
    }
}

async fn walk_bytes(path: &Path, bytes: &[u8]) -> Walk {
    fs::write(path, bytes).unwrap();
    walk(path, None).await
}
