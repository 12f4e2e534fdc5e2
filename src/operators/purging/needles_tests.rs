//! What counts as a purged record being named, and what does not.

use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::store::{RecordKey, Traces};

fn noted(dataset: &str, id: &str, author: &str, title: &str) -> NotedPurge {
    NotedPurge {
        key: RecordKey {
            dataset: dataset.to_owned(),
            id: id.to_owned(),
        },
        traces: Traces {
            author: Some(author.to_owned()),
            texts: BTreeSet::from([title.to_owned()]),
            ..Traces::default()
        },
        removed_at: None,
    }
}

fn needles(noted: &[NotedPurge]) -> Needles {
    let used = HashSet::from(["fetch_images".to_owned()]);
    Needles::of(noted.iter(), &used)
}

#[track_caller]
fn finds(needles: &Needles, named: &[&str], others: &[&str]) {
    for named in named {
        assert!(needles.are_in(named.as_bytes()), "{named}");
    }
    for other in others {
        assert!(!needles.are_in(other.as_bytes()), "{other}");
    }
}

#[test]
fn finds_texts_anywhere_and_ids_as_words() {
    let needles = needles(&[noted("reddit", "1abcde", "some_name", "a \"red\" house")]);
    assert_eq!(needles.common(), 0);
    finds(
        &needles,
        &[
            "say: a \"red\" house!",
            r#"{"title":"a \"red\" house"}"#,
            "t3_1abcde",
            "(1abcde)",
            "id=1abcde",
            "1abcde_0.jpg",
            "houses: a \"red\" houses",
            "by some_name.",
            "said “some_name”",
            "u_some_name",
            "_some_name_ and",
            r"by\nsome_name",
        ],
        &[
            "a red house",
            "11abcde",
            "1abcdef",
            "some_name2",
            "some_name_2",
            "awesome_name",
        ],
    );
}

#[test]
fn common_words_count_where_they_are_meant() {
    let noted = [
        noted("reddit", "1abcde", "scrape", "download"),
        noted("reddit", "1abcdf", "fetch_images", "Error"),
    ];
    let needles = needles(&noted);
    assert_eq!(needles.common(), 4);
    finds(
        &needles,
        &[
            "nothing is known of u/scrape",
            r#"{"author":"scrape"}"#,
            "t3_1abcde by scrape",
            "scrape, who wrote 1abcde",
            "the title `download` is odd",
            "user fetch_images",
        ],
        &[
            "scrape: 42 rows",
            "the download failed",
            "scrape: download of 1xyz failed",
            "the task fetch_images failed",
            "INFO Error",
            "t3_1abcdx\nscrape",
        ],
    );
}

#[test]
fn short_phrases_are_found_whole() {
    let needles = needles(&[
        noted("reddit", "1abcde", "Ann-B", "My cat"),
        noted("reddit", "1abcdf", "Ann.B", "wow!!"),
        noted("reddit", "1abcdg", "eve99", "größe"),
    ]);
    finds(
        &needles,
        &[
            "of `My cat`",
            "\"My cat\"",
            "so wow!!",
            "by Ann-B.",
            "Ann.B:",
            "eine größe.",
        ],
        &[
            "My cats",
            "Oh-My catch",
            "wow!",
            "Ann-Bob",
            "vergrößert größer",
        ],
    );
}

#[test]
fn short_ids_and_numbers_count_where_their_record_is_named() {
    let noted = [
        noted("table:a/posts.csv", "42", "somebody7", "x"),
        noted("table:a/posts.csv", "house", "somebody8", "y"),
        noted("reddit", "abc", "somebody9", "2026"),
    ];
    let needles = needles(&noted);
    assert_eq!(needles.common(), 6);
    finds(
        &needles,
        &[
            "record `42` of table",
            "table:a/posts.csv: 42 has no image",
            "id=42",
            "\"record_id\": \"house\"",
            "t3_abc",
            "post abc",
            "title: 2026",
        ],
        &[
            "42 rows",
            "in 2026",
            "a red house",
            "id 421",
            "abc",
            "the id of row 42",
            "x",
        ],
    );
}

#[test]
fn a_text_across_two_pieces_is_found() {
    let needles = needles(&[noted("reddit", "1abcde", "scrape", "a long enough text")]);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    let is_found = |before: usize, text: &[u8]| {
        let mut bytes = vec![b'.'; before];
        bytes.extend_from_slice(text);
        bytes.extend(vec![b'.'; PIECE]);
        fs_err::write(&path, &bytes).unwrap();
        needles.are_in_file(&path).unwrap()
    };
    for before in [
        0,
        PIECE - 5,
        PIECE - COMPARED,
        2 * PIECE - COMPARED - BESIDE - 5,
    ] {
        assert!(is_found(before, b"a long enough text"), "{before}");
        assert!(!is_found(before, b"a long enough tex"), "{before}");
        assert!(is_found(before, b"1abcde: scrape"), "{before}");
        assert!(!is_found(before, b"x1abcdef"), "{before}");
        assert!(is_found(before, b"author=scrape"), "{before}");
        assert!(!is_found(before, b"the scrape"), "{before}");
    }
}
