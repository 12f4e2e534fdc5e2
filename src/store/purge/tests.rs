//! What of a record goes, what stays because others have it too, and that it stays away.

use serde_json::{Map, json};

use super::*;
use crate::{
    clock::Timestamp,
    corpus::{
        AuthorReading, ContentHash, Fingerprint, LabelAge, MediaInfo, MediaLocation, MediaOutcome,
        Observation, RawBody, Record, Vector, VectorType,
    },
    store::{Store, StoredCaption, WalkedPage, Writer},
};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const LATER: Timestamp = Timestamp::from_millis(1_767_225_700_000);
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

/// What was sent of a record, which has the words of others.
fn sent(record: &Record, tells_of: &[&str]) -> (String, RawBody) {
    let raw = RawBody {
        json: json!({ "id": record.id, "title": record.title, "author": record.author })
            .to_string()
            .into_bytes()
            .into(),
        tells_of: tells_of.iter().map(|name| (*name).to_owned()).collect(),
    };
    (record.id.clone(), raw)
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
    let page = WalkedPage {
        records: &page,
        raw: &page.iter().map(|(record, _)| sent(record, &[])).collect(),
        bytes: 0,
        read_to: None,
    };
    store
        .store_walked_page("reddit", page, NOW, WRITER)
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
    let (removed, noted) = store.remove_noted(NOW).await.unwrap();
    assert!(noted.iter().all(|purge| purge.removed_at == Some(NOW)));
    // A process that died here does it again, and they are gone since the first time.
    let (again, noted) = store.remove_noted(LATER).await.unwrap();
    assert_eq!(again, Removed::default());
    assert!(noted.iter().all(|purge| purge.removed_at == Some(NOW)));
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
        raw: 1,
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
    // Nor is another key made: it would let back in all that was purged under the lost one.
    let key = RecordKey {
        dataset: "dump:other".to_owned(),
        id: "four".to_owned(),
    };
    let error = store.note_purges(&[key], "asked", NOW).await.unwrap_err();
    assert!(error.to_string().contains("purge.key"), "{error}");
    assert!(!folder.path().join("purge.key").exists());
}

#[tokio::test]
async fn what_is_noted_meanwhile_is_for_the_next_one() {
    let store = Store::in_memory().await.unwrap();
    filled(&store).await;
    let note = async |id: &str| {
        let keys = store.chosen(&ids(&[id])).await.unwrap();
        store.note_purges(&keys, "a test", NOW).await.unwrap();
    };
    note("one").await;
    let (_, first) = store.remove_noted(NOW).await.unwrap();
    note("two").await;
    let keys: Vec<&RecordKey> = first.iter().map(|purge| &purge.key).collect();
    store.finish_purges(&keys, NOW).await.unwrap();
    let left = store.noted_purges().await.unwrap();
    assert_eq!((left.len(), &*left[0].key.id), (1, "two"));
    assert_eq!(left[0].removed_at, None);
    assert_eq!(store.remove_noted(NOW).await.unwrap().0.records, 1);
}

#[tokio::test]
async fn one_that_came_back_is_a_fault() {
    let store = Store::in_memory().await.unwrap();
    filled(&store).await;
    purge(&store, ids(&["one"])).await;
    assert_eq!(store.faults().await.unwrap(), []);
    // As a copy of the tables would bring it.
    sqlx::query(
        "INSERT INTO records SELECT dataset, 'one', community, author, title, created_at, '[]',
             fields, observed_at, stored_at, run_id
         FROM records WHERE dataset = 'reddit' AND id = 'two'",
    )
    .execute(store.content.writer())
    .await
    .unwrap();
    let faults = store.faults().await.unwrap();
    let purged = faults.iter().find(|fault| fault.code == "purged_record");
    let purged = purged.unwrap_or_else(|| panic!("{faults:?}"));
    assert!(purged.message.contains("`one`"), "{purged:?}");
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
    let found = |word: &[u8]| {
        ["state.db", "content.db", "state.db-wal", "content.db-wal"]
            .iter()
            .any(|name| {
                let bytes = fs_err::read(folder.path().join(name)).unwrap_or_default();
                bytes.windows(word.len()).any(|window| window == word)
            })
    };
    assert!(found(b"a red house") && found(b"seen alone") && found(b"t2_ann"));
    let bodies: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT body FROM raw WHERE record_id IN ('one', 'two')")
            .fetch_all(store.content.read())
            .await
            .unwrap();
    assert!(bodies.len() == 2 && bodies.iter().all(|body| found(body)));
    purge(&store, ids(&["one", "two"])).await;
    assert_eq!(store.scrub_due().await.unwrap(), Some(NOW));
    assert!(store.scrub(NOW).await.unwrap());
    for word in ["a red house", "seen alone", "t2_ann", "http://i/1"] {
        assert!(!found(word.as_bytes()), "{word}");
    }
    assert!(!bodies.iter().any(|body| found(body)));
    assert!(found(b"the same words") && found(b"bob"));
    assert_eq!(store.scrub_due().await.unwrap(), None);
}

/// What repeats a post has its title and its author in it.
#[tokio::test]
async fn what_was_sent_of_others_goes_too() {
    let store = Store::in_memory().await.unwrap();
    filled(&store).await;
    let page = [
        record("of one", "look at this", "eve", &[]),
        record("of bob", "and at this", "eve", &[]),
        record("of two", "this too", "eve", &[]),
    ];
    let told = [
        &["one", "ann", "t2_ann"],
        &["x", "bob", "t2_bob"],
        &["two", "ann", "t2_ann"],
    ];
    let raw = || {
        page.iter()
            .zip(told)
            .map(|((record, _), told)| sent(record, told))
    };
    let keep = async |dataset: &str| {
        let page = WalkedPage {
            records: &page,
            raw: &raw().collect(),
            bytes: 0,
            read_to: None,
        };
        store
            .store_walked_page(dataset, page, NOW, WRITER)
            .await
            .unwrap();
    };
    let left = async |dataset: &str| {
        let mut left = Vec::new();
        let visited = store.visit_raw(dataset, |raw| left.push(raw.record_id));
        visited.await.unwrap();
        left.sort();
        left
    };
    keep("reddit").await;
    let removed = purge(&store, ids(&["one"])).await;
    assert_eq!((removed.records, removed.raw), (2, 2));
    // Ann has another post, whose own words are not purged.
    assert_eq!(left("reddit").await, ["of bob", "of two", "three", "two"]);
    let wish = PurgeWish {
        dataset: "reddit".to_owned(),
        author: Some("bob".to_owned()),
        ..PurgeWish::default()
    };
    assert_eq!(purge(&store, wish).await.raw, 2);
    assert_eq!(left("reddit").await, ["of two", "two"]);
    // Nor does a repetition that is found later bring the words back.
    keep("dump:d").await;
    assert_eq!(left("dump:d").await, ["of bob", "of two"]);
    let said: String = sqlx::query_scalar("SELECT tells_of FROM raw WHERE record_id = 'of bob'")
        .fetch_one(store.content.read())
        .await
        .unwrap();
    assert_eq!(said, r#"["x","bob","t2_bob"]"#);
    assert_eq!(store.faults().await.unwrap(), []);
}
