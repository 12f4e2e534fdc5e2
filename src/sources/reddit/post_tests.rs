//! Synthetic posts of each era.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::corpus::MediaLocation;

fn parsed(post: &Value) -> ParsedPost {
    parse_post(post.to_string().as_bytes(), ImageSize::Original).unwrap()
}

fn urls(post: &Value) -> Vec<String> {
    let location = |location| match location {
        MediaLocation::Url(url) => url,
        MediaLocation::File(path) => panic!("{path:?} is not a URL"),
    };
    let media = parsed(post).record.media;
    media.into_iter().map(location).collect()
}

#[test]
fn reads_a_post_of_2008_without_a_name() {
    let post = parsed(&json!({
        "id": "6abc", "title": "Tom &amp; Jerry", "author": "[deleted]", "subreddit": "pics",
        "created_utc": 1_210_000_000, "retrieved_on": 1_210_000_060, "score": 12,
        "ups": 15, "downs": 3, "over_18": false, "media": null, "url": "http://example.com/a.JPG",
    }));
    assert_eq!(post.record.id, "6abc");
    assert_eq!(post.record.author, None);
    assert_eq!(post.record.title.as_deref(), Some("Tom & Jerry"));
    assert_eq!(
        post.record.media,
        [MediaLocation::Url("http://example.com/a.JPG".to_owned())]
    );
    assert_eq!(post.observation.score, Some(12.0));
    assert_eq!(
        post.observation.age,
        LabelAge::Known(Duration::from_mins(1))
    );
}

#[test]
fn reads_numbers_written_as_text() {
    let post = parsed(&json!({
        "name": "t3_2nxyz", "title": "x", "created_utc": "1417392000", "score": "7",
        "num_comments": "3", "retrieved_on": null, "permalink": "/r/aww/comments/2nxyz/x/",
    }));
    assert_eq!(post.record.id, "2nxyz");
    assert_eq!(post.record.community.as_deref(), Some("aww"));
    assert_eq!(post.record.created_at, Some("2014-12-01".parse().unwrap()));
    assert_eq!(post.observation.score, Some(7.0));
    assert_eq!(post.observation.values["num_comments"], json!(3));
    assert_eq!(post.observation.age, LabelAge::Unknown);
    assert_eq!(post.observation.observed_at, None);
}

#[test]
fn takes_the_mature_reading_where_there_is_one() {
    let created = 1_768_000_000;
    let mut json = json!({
        "id": "1q", "title": "x", "created_utc": created, "retrieved_on": created + 21,
        "score": 90, "subreddit_subscribers": 1000, "removed_by_category": null,
        "_meta": {"retrieved_2nd_on": created + 129_660, "was_deleted_later": true},
    });
    let post = parsed(&json);
    assert_eq!(
        post.observation.age,
        LabelAge::Known(Duration::from_mins(36 * 60 + 1))
    );
    assert_eq!(post.record.fields["subscribers"], json!(1000));
    assert_eq!(post.record.fields["was_deleted_later"], json!(true));
    assert!(!post.record.fields.contains_key("removed_by_category"));
    json["_meta"] = json!({"note": "no_2nd_retrieval"});
    assert_eq!(
        parsed(&json).observation.age,
        LabelAge::Known(Duration::from_secs(21))
    );
    // In 2020 the first reading has another name.
    json["retrieved_utc"] = json!(created + 30);
    json["retrieved_on"] = Value::Null;
    assert_eq!(
        parsed(&json).observation.age,
        LabelAge::Known(Duration::from_secs(30))
    );
}

#[test]
fn knows_the_age_of_what_a_server_sends() {
    let at = Timestamp::from_seconds(1_768_003_600.0);
    let json = json!({"id": "1q", "title": "x", "created_utc": 1_768_000_000.0, "score": 3});
    let post = parse_post_read_at(json.to_string().as_bytes(), at, ImageSize::Original).unwrap();
    assert_eq!(post.observation.observed_at, Some(at));
    assert_eq!(
        post.observation.age,
        LabelAge::Known(Duration::from_hours(1))
    );
}

#[test]
fn gives_a_reason_for_what_is_no_post() {
    let reason = |text: &str| {
        parse_post(text.as_bytes(), ImageSize::Original)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(reason("{\"id\": \"a\", \"title\": \"cut"), "malformed_line");
    assert_eq!(reason("[1, 2]"), "malformed_line");
    assert_eq!(reason(r#"{"id": "a", "title": null}"#), "missing:title");
    assert_eq!(reason(r#"{"id": "a", "title": "  "}"#), "missing:title");
    assert_eq!(reason(r#"{"title": "a"}"#), "missing:id");
    assert_eq!(reason(r#"{"title": "a", "id": "t3_"}"#), "missing:id");
    assert_eq!(
        reason(r#"{"id": "a", "title": "a", "promoted": true}"#),
        "promoted"
    );
    assert_eq!(
        reason(r#"{"id": "a", "title": "a", "ad_id": "x9"}"#),
        "promoted"
    );
    let harmless = json!({"id": "a", "title": "b", "promoted": false, "ad_x": null, "id": "a"});
    assert_eq!(parsed(&harmless).record.id, "a");
}

#[test]
fn follows_a_gallery_in_its_order() {
    let image = |name: &str| {
        json!({"status": "valid", "e": "Image", "s": {"x": 9, "y": 9,
            "u": format!("https://preview.redd.it/{name}.jpg?width=9&amp;s=f")}})
    };
    let mut post = json!({
        "id": "a", "title": "b", "url": "https://www.reddit.com/gallery/a", "is_gallery": true,
        "gallery_data": {"items": [
            {"media_id": "two"}, {"media_id": "one"}, {"media_id": "bad"}, {"media_id": "lost"},
            {"media_id": "gone", "is_deleted": true}, {"media_id": "anim"}, {"media_id": "failed"},
        ]},
        "media_metadata": {
            "one": image("one"), "two": image("two"), "gone": image("gone"),
            "bad": {"status": "unprocessed", "m": "image/png"},
            "failed": {"status": "failed", "m": "image/png"},
            "anim": {"status": "valid", "e": "AnimatedImage", "s": {
                "gif": "https://i.redd.it/anim.gif", "mp4": "https://preview.redd.it/anim.gif?f=mp4"}},
        },
    });
    let expected = ["two.jpg", "one.jpg", "bad.png#pending", "anim.gif"]
        .map(|name| format!("https://i.redd.it/{name}"));
    assert_eq!(urls(&post), expected);
    post["gallery_data"] = Value::Null;
    assert!(urls(&post).is_empty());
}

#[test]
fn takes_the_smallest_preview_that_is_large_enough() {
    let taken = |post: &Value, least: u64| {
        let post = parse_post(post.to_string().as_bytes(), ImageSize::Preview(least)).unwrap();
        let urls = post
            .record
            .media
            .into_iter()
            .map(|location| match location {
                MediaLocation::Url(url) => url,
                MediaLocation::File(path) => panic!("{path:?} is not a URL"),
            });
        urls.collect::<Vec<_>>()
    };
    let preview = |file: &str, width: u32, more: &str| {
        format!("https://preview.redd.it/{file}?width={width}{more}&amp;s=f{width}")
    };
    let resolutions = |file: &str, more: &str| {
        [(320, 240), (640, 480), (960, 720)].map(|(width, height)| {
            json!({"url": preview(file, width, more), "width": width, "height": height})
        })
    };
    let post = |file: &str, more: &str| {
        json!({"id": "a", "title": "b", "url": format!("https://i.redd.it/{file}"),
        "preview": {"images": [{
            "source": {"url": preview(file, 4000, more), "width": 4000, "height": 3000},
            "resolutions": resolutions(file, more),
            "variants": {"obfuscated": {"resolutions": resolutions(file, "&amp;blur=40")}},
        }]}})
    };
    let signed = |width: u32| {
        [format!(
            "https://preview.redd.it/x1.jpg?width={width}&s=f{width}"
        )]
    };
    let original = ["https://i.redd.it/x1.jpg".to_owned()];
    let photo = post("x1.jpg", "");
    assert_eq!(taken(&photo, 384), signed(640));
    assert_eq!(taken(&photo, 481), signed(960));
    assert_eq!(taken(&photo, 721), original);
    assert_eq!(urls(&photo), original);
    // Blurred ones, animations, and previews of another file.
    assert_eq!(taken(&post("x1.jpg", "&amp;blur=40"), 384), original);
    assert_eq!(
        taken(&post("x1.gif", ""), 384),
        ["https://i.redd.it/x1.gif"]
    );
    let mut other = photo;
    other["url"] = json!("https://i.redd.it/x2.jpg");
    assert_eq!(taken(&other, 384), ["https://i.redd.it/x2.jpg"]);
    // What a link shows.
    other["url"] = json!("https://example.org/");
    assert_eq!(taken(&other, 384), signed(640));

    let sizes = |name: &str| {
        [(320, 640), (640, 1280)]
            .map(|(x, y)| json!({"x": x, "y": y, "u": preview(&format!("{name}.jpg"), x, "")}))
    };
    let gallery = json!({
        "id": "a", "title": "b", "is_gallery": true,
        "gallery_data": {"items": [{"media_id": "x2"}, {"media_id": "x1"}]},
        "media_metadata": {
            "x1": {"status": "valid", "e": "Image", "p": sizes("x1"),
                "o": [{"x": 640, "y": 1280, "u": preview("x1.jpg", 640, "&amp;blur=40")}],
                "s": {"x": 1280, "y": 2560, "u": preview("x1.jpg", 1280, "")}},
            "x2": {"status": "valid", "e": "AnimatedImage", "p": sizes("x2"),
                "s": {"gif": "https://i.redd.it/x2.gif"}},
        },
    });
    let [still] = signed(640);
    let moving = "https://i.redd.it/x2.gif".to_owned();
    assert_eq!(taken(&gallery, 384), [moving.clone(), still]);
    assert_eq!(taken(&gallery, 1000), [moving, original[0].clone()]);
}

#[test]
fn finds_the_original_of_an_image() {
    let url = |url: &str| urls(&json!({"id": "a", "title": "b", "url": url}));
    assert_eq!(
        url("http://i.redd.it/abc.jpg?x=1"),
        ["https://i.redd.it/abc.jpg"]
    );
    assert_eq!(
        url("https://preview.redd.it/some-title-v0-xuae6nj1e7vd1.jpeg?width=640&amp;s=1"),
        ["https://i.redd.it/xuae6nj1e7vd1.jpeg"]
    );
    assert_eq!(
        url("http://127.0.0.1:81/media/a.png"),
        ["http://127.0.0.1:81/media/a.png"]
    );
    assert!(url("https://www.reddit.com/r/pics/comments/a/b/").is_empty());
    assert!(url("/r/pics/comments/a/b/").is_empty());
    assert!(url("ftp://example.com/a.jpg").is_empty());
}

#[test]
fn falls_back_to_the_preview_and_takes_the_parent_of_a_crosspost() {
    let preview = json!({"images": [{"source": {
        "url": "https://external-preview.redd.it/x.jpg?auto=webp&amp;s=9", "width": 9, "height": 9}}]});
    let video =
        json!({"id": "a", "title": "b", "url": "https://v.redd.it/abc", "preview": preview});
    let expected = ["https://external-preview.redd.it/x.jpg?auto=webp&s=9"];
    assert_eq!(urls(&video), expected);
    let repeated = json!({"id": "c", "title": "d", "url": "/r/x/comments/a/b/",
        "crosspost_parent": "t3_a", "crosspost_parent_list": [video]});
    assert_eq!(urls(&repeated), expected);
}

#[test]
fn finds_images_inside_a_text_in_the_order_of_the_text() {
    let image = |name: &str| json!({"status": "valid", "s": {"u": format!("https://i.redd.it/{name}.png")}});
    let post = json!({"id": "a", "title": "b", "is_self": true, "url": "https://www.reddit.com/r/x",
        "selftext": "![img](zz)\n\nand ![img](aa)", "media_metadata": {"aa": image("aa"), "zz": image("zz")}});
    assert_eq!(
        urls(&post),
        ["https://i.redd.it/zz.png", "https://i.redd.it/aa.png"]
    );
}

#[test]
fn every_real_post_gives_a_record_or_a_reason() {
    let shared = std::env::var_os("TRENDMILL_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let file = shared.join("reddit/posts.ndjson.zst");
    let Ok(compressed) = fs_err::read(&file) else {
        eprintln!("skipped: `{}` is not there", file.display());
        return;
    };
    let mut decoder = zstd::stream::read::Decoder::new(compressed.as_slice()).unwrap();
    decoder.window_log_max(31).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    let (mut kept, mut with_images, mut dropped) = (0, 0, Vec::new());
    for line in text.lines() {
        match parse_post(line.as_bytes(), ImageSize::Original) {
            Ok(post) => {
                kept += 1;
                with_images += usize::from(!post.record.media.is_empty());
                assert!(post.record.created_at.is_some());
                assert!(post.observation.score.is_some());
            }
            Err(reason) => dropped.push(reason.to_string()),
        }
    }
    assert_eq!(kept + dropped.len(), 4_686);
    assert_eq!(dropped, ["promoted"; 4]);
    assert!(with_images > 2_000, "{with_images}");
}

#[test]
fn a_blurred_preview_is_none() {
    let post = |query: &str| {
        let source = json!({"url": format!("https://external-preview.redd.it/a.jpg?{query}s=1")});
        let blurred = json!({"url": "https://external-preview.redd.it/a.jpg?blur=40&s=2"});
        json!({"id": "a", "title": "b", "url": "https://example.org/article", "preview": {"images":
            [{"source": source, "variants": {"obfuscated": {"source": blurred}}}]}})
    };
    assert_eq!(
        urls(&post("")),
        ["https://external-preview.redd.it/a.jpg?s=1"]
    );
    assert!(urls(&post("blur=40&amp;format=pjpg&amp;")).is_empty());
}
