//! A page of a listing, each child of it by itself.

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::post::{ParsedPost, Reason, parse_post_read_at};
use crate::{clock::Timestamp, sources::ImageSize};

/// One page of a listing.
#[derive(Debug, Default)]
pub(super) struct ListingPage {
    /// The things as they came; each is read by itself, so that an odd one spoils nothing.
    pub(super) children: Vec<Box<RawValue>>,
    /// The cursor of the next page.
    pub(super) after: Option<String>,
    /// How many bytes the page had.
    pub(super) bytes: u64,
    /// Whether the things are byte by byte what was sent.
    pub(super) is_as_sent: bool,
}

impl ListingPage {
    /// Reads `{"kind": "Listing", "data": {"children": […], "after": …}}`, whatever else it has.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            #[serde(default, deserialize_with = "cursor")]
            after: Option<String>,
            #[serde(default, deserialize_with = "children")]
            children: Vec<Box<RawValue>>,
        }
        let envelope: Envelope = serde_json::from_slice(body)?;
        Ok(Self {
            children: envelope.data.children,
            after: envelope.data.after,
            bytes: body.len() as u64,
            is_as_sent: true,
        })
    }
}

/// A cursor; whatever is no text is none.
fn cursor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned))
}

/// A list of things; `null` is an empty one.
fn children<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    struct Children;
    impl<'de> Visitor<'de> for Children {
        type Value = Vec<Box<RawValue>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of things")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut children = Vec::new();
            while let Some(child) = list.next_element()? {
                children.push(child);
            }
            Ok(children)
        }
    }
    deserializer.deserialize_any(Children)
}

/// Reads one child of a listing as a post: `{"kind": "t3", "data": {…}}`.
pub(super) fn read_child(
    child: &RawValue,
    read_at: Timestamp,
    images: ImageSize,
) -> Result<ParsedPost, Reason> {
    parse_post_read_at(post_of(child)?.get().as_bytes(), read_at, images)
}

/// The post in a child of a listing, as it was sent.
pub(super) fn post_of(child: &RawValue) -> Result<&RawValue, Reason> {
    #[derive(Deserialize)]
    struct Child<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
        #[serde(default)]
        kind: Option<String>,
    }
    let child: Child<'_> = serde_json::from_str(child.get()).map_err(|_| Reason::Malformed)?;
    if child.kind.is_some_and(|kind| kind != "t3") {
        return Err(Reason::OtherThing);
    }
    Ok(child.data)
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
