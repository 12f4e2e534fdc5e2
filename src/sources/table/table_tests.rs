//! Tests of the table reader.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::corpus::{LabelAge, MediaLocation};

fn load(file: &str, text: &str, options: &str) -> Result<Loaded, Error> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), text).unwrap();
    open(folder.path(), &format!("{file}{options}")).and_then(|table| table.load())
}

fn open(folder: &Path, text: &str) -> Result<TableSource, Error> {
    let mut spec: TableSpec = text.parse()?;
    spec.path = folder.join(spec.path);
    spec.images = spec.images.map(|images| folder.join(images));
    TableSource::open(spec)
}

fn dropped(loaded: &Loaded) -> Value {
    json!(loaded.dropped)
}

#[test]
fn csv_cells_are_what_they_look_like() {
    let text = "\u{feff}id,title,created_utc,subreddit,author,upvotes,n,zip,flag,empty\n\
                a1,\"Hello, \"\"you\"\"\",1576411462.0,pics,me,12,3.5,0123,True,\n";
    let loaded = load("t.csv", text, "").unwrap();
    let (record, reading) = &loaded.records[0];
    assert_eq!(record.id, "a1");
    assert_eq!(record.title.as_deref(), Some("Hello, \"you\""));
    assert_eq!(record.community.as_deref(), Some("pics"));
    assert_eq!(record.author.as_deref(), Some("me"));
    assert_eq!(
        record.created_at,
        Some("2019-12-15T12:04:22Z".parse().unwrap())
    );
    let reading = reading.as_ref().unwrap();
    assert_eq!(
        (reading.score, reading.age),
        (Some(12.0), LabelAge::Unknown)
    );
    assert_eq!(
        json!(record.fields),
        json!({"n": 3.5, "zip": "0123", "flag": true, "empty": null})
    );
}

#[test]
fn every_row_is_kept_or_counted() {
    let text = "id,title,created\n1,one,\n2,two\n,three,\n4, ,\n5,five,soon\n1,last,\n";
    let loaded = load("t.csv", text, "").unwrap();
    assert_eq!(loaded.records.len(), 1);
    assert_eq!(loaded.records[0].0.title.as_deref(), Some("last"));
    assert_eq!(
        dropped(&loaded),
        json!({"malformed_line": 1, "missing:id": 1, "missing:title": 1,
               "malformed:created": 1, "duplicate": 1})
    );
}

#[test]
fn a_table_without_titles_keeps_its_rows() {
    let loaded = load("t.csv", "id;likes;x\n1;2;3\n2;;3\n", "").unwrap();
    assert_eq!(loaded.records.len(), 2);
    assert!(loaded.records[0].1.is_some());
    assert_eq!(
        loaded.records[1].1, None,
        "a row without a score has no reading"
    );
}

#[test]
fn a_named_score_has_its_age_and_leaves_no_other_score_behind() {
    let text = "id,title,created,score,score_2,score_18\n\
                a,x,2020-01-01,900,3,18\nb,y,2020-01-01,900,3,\n";
    let loaded = load("t.csv", text, ",score=score_18@18h").unwrap();
    let (record, reading) = &loaded.records[0];
    let reading = reading.as_ref().unwrap();
    assert_eq!(reading.score, Some(18.0));
    assert_eq!(reading.age, LabelAge::Known(Duration::from_hours(18)));
    assert_eq!(
        reading.observed_at,
        Some("2020-01-01T18:00:00Z".parse().unwrap())
    );
    assert_eq!(json!(record.fields), json!({"score_2": 3}));
    assert_eq!(loaded.records[1].1, None);
}

#[test]
fn an_unknown_column_is_named_with_those_that_exist() {
    let error = load("t.csv", "id,title\n1,a\n", ",score=likes").unwrap_err();
    assert!(matches!(error, Error::Wrong(_)));
    let message = error.to_string();
    assert!(
        message.contains("`score=likes`") && message.contains("`id`, `title`"),
        "{message}"
    );
}

#[test]
fn geojson_points_have_a_place() {
    let text = json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-89.5, 47.9]},
         "properties": {"id": "a", "title": "x", "upvotes": 5, "country": "Chad"}},
        {"type": "Feature", "id": 7, "geometry": null, "properties": {"title": "y"}},
        "no feature",
    ]});
    let loaded = load("t.geojson", &text.to_string(), "").unwrap();
    assert_eq!(
        json!(loaded.records[0].0.fields),
        json!({"country": "Chad", "longitude": -89.5, "latitude": 47.9})
    );
    assert_eq!(loaded.records[0].1.as_ref().unwrap().score, Some(5.0));
    assert_eq!(loaded.records[1].0.id, "7");
    assert_eq!(dropped(&loaded), json!({"malformed_line": 1}));
    let cut = &text.to_string()[..60];
    assert!(matches!(
        load("t.geojson", cut, "").unwrap_err(),
        Error::Broken { .. }
    ));
}

#[test]
fn an_export_is_read_back() {
    let text = concat!(
        r#"{"id":"a","title":"x","community":"pics","author":null,"#,
        r#""created_at":"2026-01-01T00:00:00Z","score":4,"observed_at":"2026-01-02T12:00:00Z","#,
        r#""age_seconds":129600,"images":["img/1.png","https://example.org/2.png"],"#,
        r#""fields":{"subscribers":10}}"#,
        "\nnot json\n\n{\"id\":\"b\",\"title\":\"y\",\"score\":null}\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let spec = TableSpec::new(folder.path().join("-"));
    let mut converter = Converter::new(&spec, None);
    converter.enter(folder.path());
    rows::read(
        &spec.path,
        text.as_bytes(),
        Format::JsonLines,
        &mut converter,
    )
    .unwrap();
    converter.leave(&spec.path, 0);
    let loaded = converter.finish().unwrap();
    let (record, reading) = &loaded.records[0];
    assert_eq!(
        record.media,
        [
            MediaLocation::File(folder.path().join("img/1.png")),
            MediaLocation::Url("https://example.org/2.png".to_owned()),
        ]
    );
    assert_eq!(json!(record.fields), json!({"subscribers": 10}));
    assert_eq!(record.author, None);
    let reading = reading.as_ref().unwrap();
    assert_eq!(reading.age, LabelAge::Known(Duration::from_hours(36)));
    assert_eq!(
        reading.observed_at,
        Some("2026-01-02T12:00:00Z".parse().unwrap())
    );
    assert_eq!(loaded.records[1].1, None);
    assert_eq!(dropped(&loaded), json!({"malformed_line": 1}));
}

#[test]
fn images_join_by_id_or_by_the_named_column() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("pics");
    fs::create_dir_all(&images).unwrap();
    for name in ["a.jpg", "a_2.png", "ab.jpg", "named.png"] {
        fs::write(images.join(name), "").unwrap();
    }
    fs::write(
        folder.path().join("t.csv"),
        "id,pic\na,\nb,named.png\nc,other.png\n",
    )
    .unwrap();
    let loaded = open(folder.path(), "t.csv,images=pics,image=pic")
        .unwrap()
        .load()
        .unwrap();
    let media: Vec<Vec<_>> = loaded
        .records
        .iter()
        .map(|(record, _)| {
            record
                .media
                .iter()
                .map(|location| match location {
                    MediaLocation::File(path) => path
                        .strip_prefix(fs::canonicalize(folder.path()).unwrap())
                        .unwrap()
                        .to_owned(),
                    MediaLocation::Url(_) => unreachable!(),
                })
                .collect()
        })
        .collect();
    let expected: [&[&str]; 3] = [
        &["pics/a.jpg", "pics/a_2.png"],
        &["pics/named.png"],
        &["other.png"],
    ];
    for (media, expected) in media.iter().zip(expected) {
        assert!(
            media
                .iter()
                .map(|path| path.to_str().unwrap())
                .eq(expected.iter().copied())
        );
    }
}

#[tokio::test]
async fn a_folder_is_one_table_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |range: std::ops::Range<u32>, community: &str| {
        let rows: Vec<_> = range
            .map(|n| format!("{n},{community},2020-01-01"))
            .collect();
        format!("id,community,created\n{}\n", rows.join("\n"))
    };
    fs::create_dir_all(folder.path().join("x")).unwrap();
    fs::write(folder.path().join("x/b.csv"), rows(600..1300, "Pics")).unwrap();
    fs::write(folder.path().join("a.csv"), rows(0..700, "aww")).unwrap();
    fs::write(folder.path().join("c.csv"), "id,created\nlate,2030-01-01\n").unwrap();
    fs::write(folder.path().join("readme.txt"), "no table").unwrap();
    let source = open(folder.path(), "").unwrap();
    let (send, mut receive) = mpsc::channel(1);
    let request = ScrapeRequest {
        communities: Some(vec!["pics".to_owned()]),
        watermarks: std::collections::BTreeMap::default(),
        ..ScrapeRequest::everything("2026-01-01".parse().unwrap())
    };
    let collect = async {
        let mut pages = Vec::new();
        while let Some(page) = receive.recv().await {
            pages.push(page);
        }
        pages
    };
    let (done, pages) = tokio::join!(source.scrape(request, send), collect);
    done.unwrap();
    let sizes: Vec<_> = pages.iter().map(|page| page.records.len()).collect();
    assert_eq!(sizes, [500, 200]);
    let mut dropped = std::collections::BTreeMap::new();
    for page in &pages {
        for (reason, rows) in &page.dropped {
            *dropped.entry(reason.clone()).or_insert(0) += rows;
        }
    }
    assert_eq!(
        json!(dropped),
        json!({"duplicate": 100, "other_community": 600, "after_as_of": 1})
    );
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.txt"), "").unwrap();
    for (text, hint) in [
        ("none.csv", "no file or folder"),
        ("t.txt", "`.csv`"),
        (".", "no file in"),
        ("t.txt,images=none", "no folder of images"),
    ] {
        let error = open(folder.path(), text)
            .and_then(|table| table.load())
            .unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn a_column_twice_in_a_head_is_refused() {
    let error = load("t.csv", "id,a,a\n1,2,3\n", "").unwrap_err();
    assert!(error.to_string().contains("`a` appears twice"), "{error}");
}
