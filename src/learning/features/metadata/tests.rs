//! What the numbers and categories of a record are.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::corpus::ContentHash;

fn record(title: Option<&str>, created_at: Option<&str>) -> Record {
    Record {
        id: "a".to_owned(),
        community: Some("pics".to_owned()),
        author: None,
        title: title.map(str::to_owned),
        created_at: created_at.map(|text| text.parse().unwrap()),
        media: Vec::new(),
        fields: serde_json::Map::new(),
    }
}

fn named(names: &[&str], record: &Record, media: &[MediaInfo]) -> BTreeMap<String, f32> {
    let schema = MetadataSchema::new(names, &[]).unwrap();
    let values = numbers_of(
        &schema,
        &Known {
            record,
            media,
            past: &Past::default(),
            statistics: None,
            vector: &|_| None,
        },
    );
    assert_eq!(values.len(), schema.columns().len());
    schema.columns().into_iter().zip(values).collect()
}

#[test]
fn two_vectors_are_as_similar_as_their_directions() {
    let schema = MetadataSchema::new(&["similarity.title.caption"], &[]).unwrap();
    assert_eq!(
        schema.columns(),
        [
            "similarity_title_caption",
            "similarity_title_caption_missing"
        ]
    );
    assert_eq!(schema.similarities(), [("title", "caption")]);
    let of = |title: Option<&[f32]>, caption: Option<&[f32]>| {
        numbers_of(
            &schema,
            &Known {
                record: &record(None, None),
                media: &[],
                past: &Past::default(),
                statistics: None,
                vector: &|name| if name == "title" { title } else { caption },
            },
        )
    };
    let (a, b) = ([3.0_f32, 4.0].as_slice(), [8.0_f32, 6.0].as_slice());
    assert!((of(Some(a), Some(b))[0] - 0.96).abs() < 1e-6);
    assert_eq!(of(Some(a), Some(a)), [1.0, 0.0]);
    assert_eq!(of(Some(a), None), [0.0, 1.0]);
    assert_eq!(of(Some(a), Some(&[0.0; 2])), [0.0, 1.0]);
    for wrong in [
        "similarity.title",
        "similarity.title.title",
        "similarity..a",
        "similarity.a.b.c",
    ] {
        let error = MetadataSchema::new(&[wrong], &[]).unwrap_err().to_string();
        assert!(error.contains("similarity.A.B"), "{error}");
    }
}

#[test]
fn numbers_are_what_their_names_say() {
    let mut post = record(Some("Is THIS [OC] 1?"), Some("2026-01-17T06:00:00Z"));
    post.fields.insert("subscribers".to_owned(), json!(999));
    post.fields.insert("karma".to_owned(), json!("-9"));
    post.fields.insert("over_18".to_owned(), json!(true));
    let image = MediaInfo {
        content: ContentHash::of("x"),
        bytes: 1,
        format: "png".to_owned(),
        width: 2000,
        height: 1000,
    };
    let mut names = METADATA_NAMES.to_vec();
    names.extend(HISTORY_NAMES);
    names.extend([
        "fields.subscribers",
        "fields.karma",
        "fields.over_18",
        "fields.none",
    ]);
    let found = named(&names, &post, &[image]);
    let near = |name: &str, value: f32| {
        assert!(
            (found[name] - value).abs() < 1e-6,
            "{name}: {}",
            found[name]
        );
    };
    near("hour_sin", 1.0);
    near("hour_cos", 0.0);
    near("hour_cos2", -1.0);
    near("weekday_sat", 1.0);
    near("weekday_sun", 0.0);
    near("title_words", 4.0_f32.ln_1p());
    near("title_question", 1.0);
    near("title_exclamation", 0.0);
    near("title_tag", 1.0);
    near("title_digit", 1.0);
    near("title_caps", 7.0 / 8.0);
    near("title_oc", 1.0);
    near("title_tags", 2.0_f32.ln());
    near("title_digits", 2.0_f32.ln());
    near("title_emoji", 0.0);
    near("media_count", 2.0_f32.ln());
    near("image_aspect", 2.0_f32.ln());
    near("image_megapixels", 3.0_f32.ln());
    near("subscribers", 1000.0_f32.ln());
    near("karma", -10.0_f32.ln());
    near("over_18", 2.0_f32.ln());
    near("none_missing", 1.0);
    near("author_history_missing", 1.0);
    near("subscribers_missing", 0.0);
}

#[test]
fn what_is_missing_is_told() {
    let found = named(&METADATA_NAMES, &record(None, None), &[]);
    assert_eq!(found["hour_missing"], 1.0);
    assert_eq!(found["weekday_missing"], 1.0);
    assert_eq!(found["image_shape_missing"], 1.0);
    assert_eq!(found["title_chars"], 0.0);
}

#[test]
fn categories_are_texts() {
    let mut post = record(None, None);
    post.fields.insert("flair".to_owned(), json!("OC"));
    post.fields.insert("year".to_owned(), json!(1999));
    let schema = MetadataSchema::new(
        &[],
        &[
            "community",
            "author",
            "fields.flair",
            "fields.year",
            "fields.none",
        ],
    )
    .unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        category_of(&schema, &post),
        [text("pics"), None, text("OC"), text("1999"), None]
    );
}

proptest! {
    #[test]
    fn any_title_and_field_gives_finite_numbers(title in ".{0,80}", value: f64, time: i64) {
        let mut post = record(Some(&title), None);
        post.created_at = Some(crate::clock::Timestamp::from_millis(time));
        post.fields.insert("x".to_owned(), json!(value));
        let mut names = METADATA_NAMES.to_vec();
        names.push("fields.x");
        prop_assert!(named(&names, &post, &[]).values().all(|value| value.is_finite()));
    }
}
