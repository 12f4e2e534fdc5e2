//! What of a record goes, what stays because others have it too, and that it stays away.

use serde_json::{Map, json};

use super::*;
use crate::{
    clock::Timestamp,
    corpus::{
        AuthorReading, ContentHash, Fingerprint, LabelAge, MediaInfo, MediaLocation, MediaOutcome,
        Observation, Record, Vector, VectorType,
    },
    store::{Store, StoredCaption, Writer},
};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const WRITER: Writer<'static> = Writer {
    run_id: "r",
    task_id: "t",
    stored_at: NOW,
};

fn record(id: &str, title: &str, author: &str, images: &[&str]) -> (Record, Option<Observation>) {
    let record = Record {
        id: id.to_owned(),
        community: Some("Pics".to_owned()),
        author: Some(author.to_owned()),
        title: Some(title.to_owned()),
        created_at: Some(NOW),
        media: images
            .iter()
            .map(|url| MediaLocation::Url((*url).to_owned()))
            .collect(),
        fields: Map::from_iter([("author_fullname".to_owned(), json!(format!("t2_{author}")))]),
    };
    let observation = Observation {
        record_id: id.to_owned(),
        observed_at: Some(NOW),
        age: LabelAge::Unknown,
        score: Some(1.0),
        values: Map::new(),
    };
    (record, Some(observation))
}

fn image(of: &str) -> MediaInfo {
    MediaInfo {
        content: ContentHash::of(of),
        bytes: 1,
        format: "png".to_owned(),
        width: 1,
        height: 1,
    }
}

fn encoder() -> Fingerprint {
    Fingerprint::of(&[("of", "a test")])
}

/// Two posts of one author and one of another; images and titles that are shared and not.
async fn filled(store: &Store) {
    let page = [
        record(
            "one",
            "a red house",
            "ann",
            &["http://i/1", "http://i/shared"],
        ),
        record("two", "the same words", "ann", &["http://i/shared"]),
        record("three", "the same words", "bob", &["http://i/3"]),
    ];
    store
        .store_page("reddit", &page, NOW, 0, WRITER)
        .await
        .unwrap();
    let dump = [record("one", "a red house", "ann", &[])];
    store
        .store_page("dump:d", &dump, NOW, 0, WRITER)
        .await
        .unwrap();
    let table = [record("one", "a hill", "eve", &[])];
    store
        .store_page("table:t", &table, NOW, 0, WRITER)
        .await
        .unwrap();
    let outcomes = [
        ("http://i/1", "1"),
        ("http://i/shared", "s"),
        ("http://i/3", "3"),
    ]
    .map(|(place, of)| (place.to_owned(), MediaOutcome::Stored(image(of))));
    store
        .store_media_outcomes(&outcomes, &[], WRITER)
        .await
        .unwrap();
    let caption = |text: &str| StoredCaption {
        caption: text.to_owned(),
        details: json!({}),
    };
    let captions = [
        ("1", "seen alone"),
        ("s", "seen by two"),
        ("3", "seen by two"),
    ]
    .map(|(of, text)| (ContentHash::of(of), caption(text)));
    store
        .store_captions(encoder(), &captions, WRITER)
        .await
        .unwrap();
    let contents = [
        ContentHash::of("a red house"),
        ContentHash::of("the same words"),
        ContentHash::of("1"),
        ContentHash::of("s"),
        ContentHash::of("seen alone"),
        ContentHash::of("seen by two"),
        ContentHash::of("1").with("seen alone"),
    ];
    let vectors = contents.map(|content| (content, Vector::new(&[1.0, 2.0], VectorType::F16)));
    store
        .store_embeddings(encoder(), &vectors, WRITER)
        .await
        .unwrap();
    let author = |id: &str| AuthorReading {
        id: format!("t2_{id}"),
        read_at: NOW,
        name: Some(id.to_owned()),
        created_at: None,
        link_karma: Some(3.0),
        comment_karma: None,
    };
    let authors = [author("ann"), author("bob")];
    store.put_people("reddit", &authors, &[]).await.unwrap();
}

async fn purge(store: &Store, wish: PurgeWish) -> Removed {
    let keys = store.chosen(&wish).await.unwrap();
    store.note_purges(&keys, "a test", NOW).await.unwrap();
    let removed = store.remove_noted().await.unwrap();
    // A process that died here does it again.
    assert_eq!(store.remove_noted().await.unwrap(), Removed::default());
    let keys: Vec<&RecordKey> = keys.iter().collect();
    store.finish_purges(&keys, NOW).await.unwrap();
    removed
}

fn ids(ids: &[&str]) -> PurgeWish {
    PurgeWish {
        dataset: "reddit".to_owned(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..PurgeWish::default()
    }
}

#[tokio::test]
async fn what_others_have_too_stays() {
    let store = Store::in_memory().await.unwrap();
    filled(&store).await;
    let removed = purge(&store, ids(&["one"])).await;
    let expected = Removed {
        // Of the dump too, which tells of the same post.
        records: 2,
        observations: 2,
        predictions: 0,
        author_readings: 0,
        media_places: 1,
        images: 1,
        captions: 1,
        // The title, the image, its caption, and both together.
        embeddings: 4,
    };
    assert_eq!(removed, expected);
    assert_eq!(store.records("table:t", NOW).await.unwrap().len(), 1);
    assert_eq!(store.records("reddit", NOW).await.unwrap().len(), 2);
    let contents = ["the same words", "s", "seen by two"].map(ContentHash::of);
    let left = store.embedded(encoder(), &contents).await.unwrap();
    assert_eq!(left.len(), 3);
    assert_eq!(store.faults().await.unwrap(), []);

    // The last post of an author takes what is known of the author along.
    let removed = purge(&store, ids(&["two"])).await;
    assert_eq!(removed.author_readings, 1);
    assert_eq!(removed.images, 1, "nobody has it any more");
    let left = store.embedded(encoder(), &contents).await.unwrap();
    assert_eq!(left.len(), 2, "bob's title, and the caption of his image");
    assert_eq!(store.faults().await.unwrap(), []);
}

#[tokio::test]
async fn nothing_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    filled(&store).await;
    purge(&store, ids(&["one", "unheard of"])).await;
    let page = [
        record("one", "a red house", "ann", &[]),
        record("unheard of", "x", "y", &[]),
        record("four", "x", "y", &[]),
    ];
    let store = Store::open(folder.path()).await.unwrap();
    let dump = store.store_page("dump:other", &page, NOW, 0, WRITER).await;
    let dump = dump.unwrap();
    assert_eq!((dump.new, dump.purged), (1, 2));
    let table = store.store_page("table:t", &page, NOW, 0, WRITER).await;
    assert_eq!(table.unwrap().purged, 0, "its ids are its own");
    // Without the key nothing is stored, rather than everything.
    fs_err::remove_file(folder.path().join("purge.key")).unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let error = store.store_page("dump:other", &page, NOW, 0, WRITER).await;
    assert!(error.unwrap_err().to_string().contains("purge.key"));
}

#[tokio::test]
async fn an_author_who_was_purged_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    filled(&store).await;
    store.note_author("reddit", "Ann", NOW).await.unwrap();
    store
        .note_author("reddit", "nobody_yet", NOW)
        .await
        .unwrap();
    purge(&store, ids(&["one", "two"])).await;
    let store = Store::open(folder.path()).await.unwrap();
    let mut renamed = record("nine", "x", "other", &[]);
    let account = json!("t2_ann");
    renamed
        .0
        .fields
        .insert("author_fullname".to_owned(), account);
    let page = [
        record("seven", "x", "ann", &[]),
        record("eight", "x", "Nobody_Yet", &[]),
        renamed,
        record("ten", "x", "annabel", &[]),
    ];
    let dump = store.store_page("dump:other", &page, NOW, 0, WRITER).await;
    let dump = dump.unwrap();
    assert_eq!((dump.new, dump.purged), (1, 3));
    let table = store.store_page("table:t", &page, NOW, 0, WRITER).await;
    assert_eq!(table.unwrap().purged, 0, "its authors are its own");
    let reading = AuthorReading {
        id: "t2_x".to_owned(),
        read_at: NOW,
        name: Some("ANN".to_owned()),
        created_at: None,
        link_karma: Some(1.0),
        comment_karma: None,
    };
    store.put_people("reddit", &[reading], &[]).await.unwrap();
    assert!(
        store
            .author_at("reddit", "t2_x", NOW)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.faults().await.unwrap(), []);
}

#[tokio::test]
async fn authors_and_communities_are_chosen_by_name() {
    let store = Store::in_memory().await.unwrap();
    filled(&store).await;
    let wish = |author: Option<&str>, community: Option<&str>| PurgeWish {
        dataset: "reddit".to_owned(),
        author: author.map(str::to_owned),
        community: community.map(str::to_owned),
        ..PurgeWish::default()
    };
    let chosen = store.chosen(&wish(Some("Ann"), None)).await.unwrap();
    let named: Vec<_> = chosen
        .iter()
        .map(|key| (key.dataset.as_str(), key.id.as_str()))
        .collect();
    assert_eq!(
        named,
        [("dump:d", "one"), ("reddit", "one"), ("reddit", "two")]
    );
    let chosen = store.chosen(&wish(None, Some("pics"))).await.unwrap();
    assert_eq!(chosen.len(), 4);
    assert_eq!(store.chosen(&wish(Some("nobody"), None)).await.unwrap(), []);
}

#[tokio::test]
async fn no_byte_stays_in_the_databases() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    filled(&store).await;
    let found = |word: &str| {
        ["state.db", "content.db", "state.db-wal", "content.db-wal"]
            .iter()
            .any(|name| {
                let bytes = fs_err::read(folder.path().join(name)).unwrap_or_default();
                bytes
                    .windows(word.len())
                    .any(|window| window == word.as_bytes())
            })
    };
    assert!(found("a red house") && found("seen alone") && found("t2_ann"));
    purge(&store, ids(&["one", "two"])).await;
    assert_eq!(store.scrub_due().await.unwrap(), Some(NOW));
    assert!(store.scrub(NOW).await.unwrap());
    for word in ["a red house", "seen alone", "t2_ann", "http://i/1"] {
        assert!(!found(word), "{word}");
    }
    assert!(found("the same words") && found("bob"));
    assert_eq!(store.scrub_due().await.unwrap(), None);
}
