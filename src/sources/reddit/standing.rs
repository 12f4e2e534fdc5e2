//! Whether a post is there still, and if not, who took it away.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{listing::ListingPage, post::text};
use crate::{
    corpus::Record,
    sources::{Standing, Standings},
};

/// What stands in place of the name of an account that is gone.
const GONE: &str = "[deleted]";

/// How the posts of an answer stand, each with its short id; what is no post is passed over.
pub(super) fn standings(page: &ListingPage) -> Standings {
    #[derive(Deserialize)]
    struct Child {
        data: Map<String, Value>,
    }
    page.children
        .iter()
        .filter_map(|child| {
            let child: Child = serde_json::from_str(child.get()).ok()?;
            let id = text(child.data.get("id"))
                .or_else(|| text(child.data.get("name")))
                .map(|id| id.strip_prefix("t3_").unwrap_or(id))?;
            Some((id.to_owned(), standing(&child.data)))
        })
        .collect()
}

/// Whether the author of a post has deleted it: the source keeps its place.
pub(super) fn is_deleted(post: &Record) -> bool {
    let field = |name: &str| text(post.fields.get(name));
    match field("removed_by_category") {
        Some(category) => category == "deleted",
        None => post.author.is_none() && field("selftext") == Some(GONE),
    }
}

fn standing(post: &Map<String, Value>) -> Standing {
    let author_is_gone = text(post.get("author")) == Some(GONE);
    match text(post.get("removed_by_category")) {
        Some("deleted") => Standing::Deleted,
        None if author_is_gone && text(post.get("selftext")) == Some(GONE) => Standing::Deleted,
        Some(category) => Standing::Removed(category.to_owned()),
        None if author_is_gone => Standing::AuthorGone,
        None => Standing::There,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_being_gone_is_told() {
        let body = br#"{"kind": "Listing", "data": {"children": [
            {"kind": "t3", "data": {"id": "a", "author": "ann", "removed_by_category": null}},
            {"kind": "t3", "data": {"name": "t3_b", "author": "[deleted]",
                                    "removed_by_category": "deleted"}},
            {"kind": "t3", "data": {"id": "c", "author": "bob",
                                    "removed_by_category": "moderator"}},
            {"kind": "t3", "data": {"id": "d", "author": "[deleted]"}},
            {"kind": "t3", "data": {"id": "e", "author": "[deleted]", "selftext": "[deleted]"}},
            {"kind": "t3", "data": 7}]}}"#;
        let found = standings(&ListingPage::read(body).unwrap());
        let expected = [
            ("a", Standing::There),
            ("b", Standing::Deleted),
            ("c", Standing::Removed("moderator".to_owned())),
            ("d", Standing::AuthorGone),
            ("e", Standing::Deleted),
        ]
        .map(|(id, standing)| (id.to_owned(), standing));
        assert_eq!(found, expected);
    }
}
