//! The sources on the real data beside the project, where it is there.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    process::Command,
};

use tokio::sync::mpsc;

use super::*;
use crate::corpus::LabelAge;

/// The file or folder below the shared data; `None`, said, where it is absent.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TRENDMILL_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let found = root.join(path);
    if !found.exists() {
        eprintln!("skipped: there is no `{}`", found.display());
        return None;
    }
    Some(found)
}

/// Unpacks an archive; `None`, said, where that cannot be done.
pub(super) fn unpack(archive: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let archive = shared(archive)?;
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new("tar")
        .arg("xf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    if done.is_ok_and(|status| status.success()) {
        let path = folder.path().to_owned();
        Some((folder, path))
    } else {
        eprintln!("skipped: `{}` cannot be unpacked here", archive.display());
        None
    }
}

async fn read(spec: &str) -> (Vec<(Record, Option<Observation>)>, BTreeMap<String, u64>) {
    let source: Box<dyn Source> = match spec.parse().unwrap() {
        SourceSpec::Dump(path) => Box::new(DumpSource::open(&path).unwrap()),
        SourceSpec::Table(table) => Box::new(TableSource::open(table).unwrap()),
        other => panic!("`{other}` is no file"),
    };
    let (send, mut receive) = mpsc::channel::<Page>(2);
    let request = ScrapeRequest::everything("2026-12-31".parse().unwrap());
    let (mut records, mut dropped) = (Vec::new(), BTreeMap::new());
    let collect = async {
        while let Some(page) = receive.recv().await {
            records.extend(page.records);
            for (reason, rows) in page.dropped {
                *dropped.entry(reason).or_default() += rows;
            }
        }
    };
    let (end, ()) = tokio::join!(source.scrape(request, send), collect);
    end.unwrap();
    (records, dropped)
}

#[tokio::test]
async fn every_real_post_of_the_dump_is_accounted_for() {
    let Some(path) = shared("reddit/posts.ndjson.zst") else {
        return;
    };
    let (records, dropped) = read(&format!("dump:{}", path.display())).await;
    let ids: HashSet<_> = records.iter().map(|(record, _)| &record.id).collect();
    println!("{} records, dropped {dropped:?}", ids.len());
    assert_eq!(ids.len(), records.len());
    assert_eq!(ids.len() as u64 + dropped.values().sum::<u64>(), 4686);
    assert!(!dropped.contains_key("malformed_line"));
    assert!(ids.len() > 4500);
}

#[tokio::test]
async fn the_scores_over_time_have_labels_of_one_age() {
    let Some((_kept, folder)) = unpack("reddit/score_over_time.tar.xz") else {
        return;
    };
    let (records, dropped) = read(&format!("table:{},score=score_18@18h", folder.display())).await;
    assert_eq!(records.len(), 21_796);
    assert_eq!(
        dropped,
        BTreeMap::from([("duplicate".to_owned(), 23_689 - 21_796)])
    );
    let labels: Vec<_> = records
        .iter()
        .filter_map(|(_, reading)| reading.as_ref())
        .collect();
    assert_eq!(labels.len(), 18_722);
    let age = LabelAge::Known(Duration::from_hours(18));
    assert!(
        labels
            .iter()
            .all(|label| label.age == age && label.score.is_some())
    );
    let whole = records.iter().all(|(record, _)| {
        record.title.is_some()
            && record.created_at.is_some()
            && record.community.is_some()
            && !record.fields.contains_key("score")
    });
    assert!(whole);
}

#[tokio::test]
async fn the_landscapes_have_their_pictures() {
    let (Some(posts), Some((_kept, folder))) = (
        shared("reddit/earthporn/posts.geojson"),
        unpack("reddit/earthporn/thumbnails.tar.gz"),
    ) else {
        return;
    };
    let spec = format!("table:{},images={}", posts.display(), folder.display());
    let (records, dropped) = read(&spec).await;
    assert_eq!((records.len(), dropped.len()), (991, 0));
    assert!(
        records
            .iter()
            .all(|(record, reading)| record.media.len() == 1 && reading.is_some())
    );
    let fetcher = crate::net::Fetcher::new(&crate::net::FetchSettings::default()).unwrap();
    for (record, _) in &records {
        let image = obtain(&fetcher, crate::media::Limits::default(), &record.media[0]).await;
        let Obtained::Image(info, _) = image else {
            panic!("{}: {image:?}", record.id);
        };
        assert_eq!(
            (info.width, info.height, info.format.as_str()),
            (64, 64, "jpeg")
        );
    }
}
