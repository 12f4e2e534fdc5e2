//! A post as Reddit writes it → a record and its reading.
//!
//! One reader serves the API of today and the dumps of twenty years: every field may be absent,
//! null, or of another type, and only a post without an id or a title is given up.

use std::{collections::BTreeSet, fmt, sync::LazyLock};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::media;
use crate::{
    clock::Timestamp,
    corpus::{LabelAge, Observation, RawBody, Record},
    sources::ImageSize,
};

/// A post that could be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParsedPost {
    /// What does not change; the id is Reddit's short one in base 36, without `t3_`.
    pub(crate) record: Record,
    /// What was read of its numbers, and when.
    pub(crate) observation: Observation,
    /// Ids and authors of the posts that it repeats, which it has within it.
    pub(crate) tells_of: Vec<String>,
}

impl ParsedPost {
    /// The text that it was read from, as it is kept.
    pub(crate) fn raw(&self, json: &[u8]) -> RawBody {
        RawBody {
            json: json.into(),
            tells_of: self.tells_of.clone(),
        }
    }
}

/// Why a post was given up; shown as the code under which it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The text is not a JSON object.
    Malformed,
    /// It is a comment, a community or another thing that a listing can hold.
    OtherThing,
    /// It is an advertisement.
    Promoted,
    /// It lacks the named field.
    Missing(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("malformed_line"),
            Self::OtherThing => f.write_str("no_post"),
            Self::Promoted => f.write_str("promoted"),
            Self::Missing(field) => write!(f, "missing:{field}"),
        }
    }
}

/// Reads a post of a dump; when its numbers were read is what the post itself tells.
///
/// A score that was read again for maturity (`_meta.retrieved_2nd_on`) has that time; any other
/// has the time of the first reading, or none.
pub(crate) fn parse_post(json: &[u8], images: ImageSize) -> Result<ParsedPost, Reason> {
    parse(json, None, images)
}

/// Reads a post that a server has sent as it was at `read_at`.
pub(crate) fn parse_post_read_at(
    json: &[u8],
    read_at: Timestamp,
    images: ImageSize,
) -> Result<ParsedPost, Reason> {
    parse(json, Some(read_at), images)
}

fn parse(json: &[u8], read_at: Option<Timestamp>, images: ImageSize) -> Result<ParsedPost, Reason> {
    let post: Fields = serde_json::from_slice(json).map_err(|_| Reason::Malformed)?;
    if post.is_advertisement {
        return Err(Reason::Promoted);
    }
    let post = post.known;
    let id = ["id", "name"]
        .iter()
        .filter_map(|name| text(post.get(*name)))
        .map(|id| id.strip_prefix("t3_").unwrap_or(id))
        .find(|id| !id.is_empty())
        .ok_or(Reason::Missing("id"))?
        .to_owned();
    let title = text(post.get("title"))
        .map(unescape)
        .ok_or(Reason::Missing("title"))?;
    let created_at = time(post.get("created_utc"));
    let observed_at = read_at.or_else(|| told_reading(&post));
    let age = match (created_at, observed_at) {
        (Some(created), Some(observed)) if observed >= created => {
            LabelAge::Known(observed.since(created))
        }
        _ => LabelAge::Unknown,
    };
    let observation = Observation {
        record_id: id.clone(),
        observed_at,
        age,
        score: number(post.get("score")).or_else(|| number(post.get("ups"))),
        values: copied(&post, CHANGING),
    };
    let record = Record {
        id,
        community: community(&post),
        author: text(post.get("author"))
            .filter(|name| !matches!(*name, "[deleted]" | "[removed]"))
            .map(str::to_owned),
        title: Some(title),
        created_at,
        media: media::locations(&post, images),
        fields: fields(&post),
    };
    Ok(ParsedPost {
        record,
        observation,
        tells_of: repeated(&post),
    })
}

/// The ids and authors of the posts that a post repeats.
fn repeated(post: &Map<String, Value>) -> Vec<String> {
    let parents = post.get("crosspost_parent_list").and_then(Value::as_array);
    let names = |parent: &Value| {
        let id = text(parent.get("id")).or_else(|| text(parent.get("name")));
        let id = id.map(|id| id.strip_prefix("t3_").unwrap_or(id));
        let author = text(parent.get("author"));
        let account = text(parent.get("author_fullname"));
        [id, author, account].map(|name| name.map(str::to_owned))
    };
    parents
        .into_iter()
        .flatten()
        .flat_map(names)
        .flatten()
        .collect()
}

/// What is read again and again.
const CHANGING: &[(&str, &str)] = &[
    ("num_comments", "num_comments"),
    ("upvote_ratio", "upvote_ratio"),
    ("num_crossposts", "num_crossposts"),
    ("gilded", "gilded"),
    ("total_awards_received", "total_awards_received"),
    ("hide_score", "hide_score"),
];

/// What is kept as it is: Reddit's name, and ours.
const LASTING: &[(&str, &str)] = &[
    ("over_18", "over_18"),
    ("spoiler", "spoiler"),
    ("is_self", "is_self"),
    ("is_video", "is_video"),
    ("is_gallery", "is_gallery"),
    ("is_original_content", "is_original_content"),
    ("stickied", "stickied"),
    ("distinguished", "distinguished"),
    ("domain", "domain"),
    ("post_hint", "post_hint"),
    ("link_flair_text", "link_flair_text"),
    ("author_fullname", "author_fullname"),
    ("author_flair_text", "author_flair_text"),
    ("author_premium", "author_premium"),
    ("subreddit_subscribers", "subscribers"),
    ("crosspost_parent", "crosspost_parent"),
    ("removed_by_category", "removed_by_category"),
    ("permalink", "permalink"),
    ("url", "url"),
    ("selftext", "selftext"),
];

/// What is read beside the fields of [`CHANGING`] and [`LASTING`].
const STRUCTURAL: &[&str] = &[
    "id",
    "name",
    "title",
    "author",
    "subreddit",
    "subreddit_name_prefixed",
    "created_utc",
    "retrieved_on",
    "retrieved_utc",
    "_meta",
    "score",
    "ups",
    "url_overridden_by_dest",
    "preview",
    "gallery_data",
    "media_metadata",
    "crosspost_parent_list",
];

/// The fields of a post that are read; all others are skipped without being built.
#[derive(Debug, Default)]
struct Fields {
    known: Map<String, Value>,
    is_advertisement: bool,
}

/// The name of a field: one that is read, a mark of an advertisement, or another.
pub(super) enum Key {
    Known(&'static str),
    Advertising,
    Other,
}

/// The names of all fields that are read.
static READ: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let columns = LASTING.iter().chain(CHANGING).map(|(name, _)| *name);
    STRUCTURAL.iter().copied().chain(columns).collect()
});

impl Key {
    pub(super) fn of(name: &str) -> Self {
        // Advertisements of all years carry `promoted`; those of later years `ad_…` besides.
        if matches!(name, "promoted" | "is_created_from_ads_ui") || name.starts_with("ad_") {
            Self::Advertising
        } else {
            READ.get(name).map_or(Self::Other, |name| Self::Known(name))
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(Key::of(name))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a post")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Known(name) => {
                            fields.known.insert(name.to_owned(), map.next_value()?);
                        }
                        Key::Advertising => {
                            let value: Value = map.next_value()?;
                            fields.is_advertisement |=
                                !matches!(value, Value::Null | Value::Bool(false))
                                    && value.as_str() != Some("");
                        }
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The time of the reading that gave the score, as the dump tells.
fn told_reading(post: &Map<String, Value>) -> Option<Timestamp> {
    let again = post
        .get("_meta")
        .and_then(|meta| time(meta.get("retrieved_2nd_on")));
    again
        .or_else(|| time(post.get("retrieved_on")))
        .or_else(|| time(post.get("retrieved_utc")))
}

fn community(post: &Map<String, Value>) -> Option<String> {
    let prefixed = text(post.get("subreddit_name_prefixed"));
    let from_path = || {
        text(post.get("permalink"))?
            .strip_prefix("/r/")?
            .split('/')
            .next()
    };
    text(post.get("subreddit"))
        .or_else(|| prefixed?.strip_prefix("r/"))
        .or_else(from_path)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

fn fields(post: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = copied(post, LASTING);
    // Arctic Shift says of a post whether it was taken away later.
    if let Some(meta) = post.get("_meta") {
        for name in ["removal_type", "was_deleted_later", "was_initially_deleted"] {
            if let Some(value) = meta.get(name).filter(|value| !value.is_null()) {
                fields.insert(name.to_owned(), value.clone());
            }
        }
    }
    fields
}

/// The fields named, under their new names; what is null or an empty text is left out.
fn copied(post: &Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    names
        .iter()
        .filter_map(|(theirs, ours)| {
            let value = match post.get(*theirs)? {
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
                Value::String(text) if text.is_empty() => return None,
                Value::String(text) if NUMBERS.contains(theirs) => text
                    .parse::<i64>()
                    .map(Value::from)
                    .or_else(|_| text.parse::<f64>().map(Value::from))
                    .ok()?,
                Value::String(text) => Value::from(unescape(text)),
                value => value.clone(),
            };
            Some(((*ours).to_owned(), value))
        })
        .collect()
}

/// Numbers that some years write as text.
const NUMBERS: &[&str] = &[
    "num_comments",
    "upvote_ratio",
    "num_crossposts",
    "gilded",
    "total_awards_received",
    "subreddit_subscribers",
];

/// A text that says something.
pub(super) fn text(value: Option<&Value>) -> Option<&str> {
    value?
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// A number, also where it is written as text (the dump of 2014-12, say).
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

pub(super) fn time(value: Option<&Value>) -> Option<Timestamp> {
    number(value)
        .filter(|seconds| *seconds > 0.0)
        .map(Timestamp::from_seconds)
}

/// Undoes the escapes that Reddit writes unless it is asked for `raw_json`, as in most dumps.
pub(super) fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
