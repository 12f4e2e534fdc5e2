//! Purges in a small home: what goes from its files, and beside what is at work.

use std::collections::BTreeMap;

use serde_json::{Map, json};

use super::*;
use crate::{
    artifacts::{self, Copy, CopyKind},
    clock::Timestamp,
    corpus::{
        ContentHash, FeatureMatrix, Fingerprint, MediaInfo, MediaLocation, MediaOutcome, RawBody,
        Record, Row, Vector, VectorType,
    },
    store::{Checked, WalkedPage, Writer},
};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const WRITER: Writer<'static> = Writer {
    run_id: "r",
    task_id: "t",
    stored_at: NOW,
};

fn record(id: &str, title: &str, author: &str, image: &str) -> Record {
    Record {
        id: id.to_owned(),
        community: Some("pics".to_owned()),
        author: Some(author.to_owned()),
        title: Some(title.to_owned()),
        created_at: Some(NOW),
        media: vec![MediaLocation::Url(image.to_owned())],
        fields: Map::from_iter([("author_fullname".to_owned(), json!(format!("t2_{author}")))]),
    }
}

struct Small {
    folder: tempfile::TempDir,
    app: App,
}

impl Small {
    /// A home with these records.
    async fn with(records: &[Record]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::open(folder.path(), crate::config::Settings::default());
        let small = Self {
            app: app.await.unwrap(),
            folder,
        };
        small.store("reddit", records).await;
        small
    }

    async fn store(&self, dataset: &str, records: &[Record]) {
        let page: Vec<_> = records
            .iter()
            .map(|record| (record.clone(), None))
            .collect();
        let stored = self.app.store().store_page(dataset, &page, NOW, 0, WRITER);
        stored.await.unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.folder.path().join(path)).unwrap()
    }

    /// Writes the records as they are exported.
    fn export(&self, records: &[Record]) {
        let rows = records.iter().map(|record| {
            json!({"id": record.id, "title": record.title, "author": record.author,
                   "fields": record.fields})
        });
        let rows: Vec<String> = rows.map(|row| format!("{row}\n")).collect();
        self.write("out/posts.jsonl", &rows.concat());
        let rows = records.iter().map(|record| {
            let [title, author] = [&record.title, &record.author].map(|text| text.clone().unwrap());
            format!("{},{title},{author}\n", record.id)
        });
        let header = "id,title,author\n".to_owned();
        let rows: Vec<String> = [header].into_iter().chain(rows).collect();
        self.write("out/posts.csv", &rows.concat());
        for (name, kind) in [
            ("posts.jsonl", CopyKind::Jsonl),
            ("posts.csv", CopyKind::Csv),
        ] {
            let copy = Copy {
                path: self.folder.path().join("out").join(name),
                kind,
                dataset: Some("reddit".to_owned()),
            };
            artifacts::note_copy(self.app.data_dir(), &copy).unwrap();
        }
    }

    async fn purge(&self, id: &str) -> PurgeDone {
        let wanted = PurgeWanted {
            dataset: Some("reddit".to_owned()),
            ids: vec![id.to_owned()],
            ..PurgeWanted::default()
        };
        self.app.purge(&wanted).await.unwrap()
    }
}

#[tokio::test]
async fn what_others_have_too_is_not_told_to_be_left() {
    let records = [
        record("1aaaaa", "Where is my cat?", "some_name", "http://i/1"),
        record("1bbbbb", "Where is my cat?", "some_name", "http://i/2"),
        record(
            "1ccccc",
            "Where is my cat? Here",
            "other_name",
            "http://i/1",
        ),
    ];
    let home = Small::with(&records).await;
    home.export(&records);
    home.write(
        "data/logs/r/scrape.1.log",
        "some_name is new\nof t3_1aaaaa\n",
    );
    home.write(
        "data/runs/r/card.json",
        r#"{"by": "some_name", "ids": ["1aaaaa", "1ccccc"]}"#,
    );
    // Another data set may have the same ids.
    home.store("table:t", &[record("1aaaaa", "x", "y", "z")])
        .await;
    let done = home.purge("1aaaaa").await;
    assert_eq!(done.purged.left, Vec::<std::path::PathBuf>::new());
    assert_eq!((done.purged.exports.len(), done.purged.log_lines), (2, 1));
    assert_eq!(home.read("data/logs/r/scrape.1.log"), "some_name is new\n");
    assert!(!home.read("out/posts.csv").contains("1aaaaa"));

    // What does name one is told; nobody else has the author now.
    home.write("data/runs/r/notes.txt", "as in t3_1bbbbb");
    let done = home.purge("1bbbbb").await;
    let run = home.folder.path().join("data/runs/r");
    assert_eq!(
        done.purged.left,
        ["card.json", "notes.txt"].map(|name| run.join(name))
    );
}

#[tokio::test]
async fn an_author_called_as_a_task_takes_no_logs_along() {
    let records = [
        record("1aaaaa", "download", "scrape", "http://i/1"),
        record("1bbbbb", "x", "y", "http://i/2"),
    ];
    let home = Small::with(&records).await;
    let log = "scrape: 2 rows\nthe download failed\nscrape of t3_1aaaaa\nhello u/scrape\n";
    home.write("data/logs/r/scrape.1.log", log);
    let done = home.purge("1aaaaa").await;
    assert_eq!((done.purged.log_lines, done.purged.common_words), (2, 2));
    let left = home.read("data/logs/r/scrape.1.log");
    assert_eq!(left, "scrape: 2 rows\nthe download failed\n");
}

#[tokio::test]
async fn who_is_gone_is_gone_from_files_and_other_data_sets() {
    let records = [
        record("1aaaaa", "One", "some_name", "http://i/1"),
        record("1bbbbb", "Two", "other_name", "http://i/2"),
    ];
    let home = Small::with(&records).await;
    let of_dump = record("1ccccc", "Three", "Some_Name", "http://i/3");
    home.store("dump:d", std::slice::from_ref(&of_dump)).await;
    home.export(&records);
    home.write(
        "data/logs/r/scrape.1.log",
        "some_name is new\nother_name is new\n",
    );
    let row = |id: &str, author: &str| Row {
        id: id.to_owned(),
        created_at: None,
        community: None,
        author: Some(author.to_owned()),
        order: None,
        classes: Vec::new(),
        label: None,
    };
    let matrix = FeatureMatrix {
        rows: vec![row("1aaaaa", "some_name"), row("1bbbbb", "other_name")],
        blocks: Vec::new(),
        categories: Vec::new(),
    };
    let merged = home.app.data_dir().join("runs/r/merge.safetensors");
    fs_err::create_dir_all(merged.parent().unwrap()).unwrap();
    artifacts::write_matrix(&merged, &matrix).unwrap();
    let checked = Checked {
        authorless: vec!["1aaaaa".to_owned()],
        ..Checked::default()
    };
    let store = home.app.store();
    store.keep_checks("reddit", &checked, NOW).await.unwrap();
    let done = home.app.purge(&PurgeWanted::default()).await.unwrap();
    assert_eq!(
        (done.purged.removed.records, done.purged.exports.len()),
        (0, 2)
    );
    assert_eq!(done.purged.left, Vec::<std::path::PathBuf>::new());
    let [lines, table] = ["out/posts.jsonl", "out/posts.csv"].map(|path| home.read(path));
    assert_eq!(
        table,
        "id,title,author\n1aaaaa,One,\n1bbbbb,Two,other_name\n"
    );
    assert!(
        !lines.contains("some_name") && lines.contains("One"),
        "{lines}"
    );
    assert_eq!(home.read("data/logs/r/scrape.1.log"), "other_name is new\n");
    let authors = artifacts::read_matrix_rows(&merged).unwrap().into_iter();
    let authors: Vec<_> = authors.map(|row| row.author).collect();
    assert_eq!(authors, [None, Some("other_name".to_owned())]);
    let records = store.records("dump:d", NOW).await.unwrap();
    assert_eq!(records[0].author, None);
    assert_eq!(store.noted_purges().await.unwrap(), []);
}

#[tokio::test]
async fn a_note_stays_until_the_run_ends_whose_other_tasks_may_hold_the_record() {
    let home = Small::with(&[record("1aaaaa", "My title", "some_name", "http://i/1")]).await;
    let store = home.app.store();
    let file = home.app.data_dir().join("state.db");
    let database = sqlx::SqlitePool::connect(file.to_str().unwrap())
        .await
        .unwrap();
    let words = async |query: &'static str| {
        let found: String = sqlx::query_scalar(query)
            .fetch_one(&database)
            .await
            .unwrap();
        found
    };
    let state = async |statements: &'static str| {
        let done = sqlx::raw_sql(statements).execute(&database);
        done.await.unwrap();
    };
    // Began before, and has two tasks at work.
    state(
        r#"INSERT INTO definitions VALUES ('h', 'p', '', 0);
         INSERT INTO runs (id, pipeline, definition_hash, graph, params, scheduled_for,
             interval_start, interval_end, as_of, force, trigger, state, cause, identity, fence,
             cancel_requested, created_at, started_at)
         VALUES ('r', 'p', 'h', '[]', '{}', 0, 0, 0, 0, 0, 'manual', 'running', '', 'i', 1, 0, 0, 1);
         INSERT INTO tasks (run_id, position, task_id, op, state, cause, attempts, failures, crashes)
         VALUES ('r', 0, 'sync', 'sync_deletions', 'running', '', 1, 0, 0),
                ('r', 1, 'embed', 'embed', 'running', '', 1, 0, 0);
         UPDATE tasks SET outcome = '{"rows_in":1,"message":"t3_1aaaaa is odd","output":{"a":["b"]}}'
         WHERE position = 1"#,
    )
    .await;
    let key = RecordKey {
        dataset: "reddit".to_owned(),
        id: "1aaaaa".to_owned(),
    };
    store.note_purges(&[key], "a test", NOW).await.unwrap();
    let carry_out = async |others| {
        let done = home.app.environment().carry_out_purges(others, NOW).await;
        done.unwrap().waiting
    };
    assert_eq!(carry_out(Others::Runs("r")).await, 1);
    let outcome = words("SELECT outcome FROM tasks WHERE position = 1").await;
    assert_eq!(
        outcome,
        r#"{"rows_in":1,"message":"(purged)","output":{"a":["b"]}}"#
    );
    // The other task writes what it holds, and ends.
    let (title, encoder) = (
        ContentHash::of("My title"),
        Fingerprint::of(&[("of", "a test")]),
    );
    let vector = [(title, Vector::new(&[1.0], VectorType::F16))];
    store
        .store_embeddings(encoder, &vector, WRITER)
        .await
        .unwrap();
    home.write("data/runs/r/embed.json", r#"{"ids": ["1aaaaa", "b"]}"#);
    state("UPDATE tasks SET state = 'succeeded', ended_at = 1767225600500 WHERE position = 1")
        .await;
    assert_eq!(
        carry_out(Others::Runs("r")).await,
        1,
        "it may have written since"
    );
    home.write("data/runs/r/late.json", r#"{"ids": ["1aaaaa", "b"]}"#);
    state("UPDATE runs SET state = 'succeeded', ended_at = 1767225600900").await;
    assert_eq!(carry_out(Others::Runs("")).await, 0);
    // What a run was told to do stays, and is told to name it.
    state("UPDATE runs SET params = '{\"keep\": \"id != ''1aaaaa''\"}'").await;
    let done = home.purge("1aaaaa").await;
    assert_eq!(done.purged.left, [home.folder.path().join("data/state.db")]);
    assert!(store.embedded(encoder, &[title]).await.unwrap().is_empty());
    for name in ["embed", "late"] {
        let left = home.read(&format!("data/runs/r/{name}.json"));
        assert!(!left.contains("1aaaaa"), "{left}");
    }
}

#[tokio::test]
async fn what_was_taken_away_before_goes_too() {
    let home = Small::with(&[]).await;
    let store = home.app.store();
    let first = record("1aaaaa", "My first title", "some_name", "http://i/1");
    let sent = RawBody {
        json:
            json!({"title": "My first title", "author": "some_name", "a": [{"url": "http://i/1"}]})
                .to_string()
                .into_bytes()
                .into(),
        tells_of: Vec::new(),
    };
    let page = WalkedPage {
        records: &[(first.clone(), None)],
        raw: &BTreeMap::from([(first.id.clone(), sent)]),
        bytes: 0,
        read_to: None,
    };
    let stored = store.store_walked_page("reddit", page, NOW, WRITER);
    stored.await.unwrap();
    let media = &home.app.environment().media;
    let images = ["an image", "one whose row was never stored"].map(|bytes| {
        let info = image(bytes);
        media.put(&info, bytes.as_bytes()).unwrap();
        info
    });
    let outcome = [(
        "http://i/1".to_owned(),
        MediaOutcome::Stored(images[0].clone()),
    )];
    let stored = store.store_media_outcomes(&outcome, &[], WRITER);
    stored.await.unwrap();
    let (title, encoder) = (
        ContentHash::of("My first title"),
        Fingerprint::of(&[("of", "a test")]),
    );
    let vector = [(title, Vector::new(&[1.0], VectorType::F16))];
    store
        .store_embeddings(encoder, &vector, WRITER)
        .await
        .unwrap();
    home.write("data/logs/r/scrape.1.log", "some_name: My first title\n");
    // A moderator has taken it away since.
    let mut later = record("1aaaaa", "[ Removed by moderator ]", "x", "x");
    (later.author, later.media) = (None, Vec::new());
    later.fields.clear();
    home.store("reddit", &[later]).await;
    let done = home.purge("1aaaaa").await;
    let removed = &done.purged.removed;
    assert_eq!(
        (removed.images, removed.embeddings, removed.media_places),
        (1, 1, 1)
    );
    assert_eq!((done.purged.image_files, done.purged.log_lines), (2, 1));
    assert!(
        images
            .iter()
            .all(|image| media.find(&image.content).is_none())
    );
    assert!(store.embedded(encoder, &[title]).await.unwrap().is_empty());
}

fn image(bytes: &str) -> MediaInfo {
    MediaInfo {
        content: ContentHash::of(bytes),
        bytes: bytes.len() as u64,
        format: "png".to_owned(),
        width: 1,
        height: 1,
    }
}

#[tokio::test]
async fn an_image_that_is_stored_again_meanwhile_stays() {
    let home = Small::with(&[record("1aaaaa", "One", "some_name", "http://i/1")]).await;
    let environment = home.app.environment();
    let (info, bytes) = (image("an image"), b"an image");
    let store_at = async |place: &str| {
        let outcome = [(place.to_owned(), MediaOutcome::Stored(info.clone()))];
        let store = home.app.store();
        let stored = store.store_media_outcomes(&outcome, &[], WRITER);
        stored.await.unwrap();
    };
    environment.media.put(&info, bytes).unwrap();
    store_at("http://i/1").await;
    // As a task stores the same image of another record: first its file, which is there still.
    let turn = environment.keep_images().await.unwrap();
    environment.media.put(&info, bytes).unwrap();
    let purge = home.purge("1aaaaa");
    let meanwhile = async {
        while home
            .app
            .store()
            .noted_purges()
            .await
            .unwrap()
            .iter()
            .all(|purge| purge.removed_at.is_none())
        {
            tokio::task::yield_now().await;
        }
        assert!(environment.media.find(&info.content).is_some());
        store_at("http://i/2").await;
        drop(turn);
    };
    let (done, ()) = futures::join!(purge, meanwhile);
    assert_eq!(
        (done.purged.removed.images, done.purged.image_files),
        (1, 0)
    );
    assert!(environment.media.find(&info.content).is_some());
    assert_eq!(home.app.store().faults().await.unwrap(), []);
}
