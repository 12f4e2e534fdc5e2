//! Posts of archives that their author has deleted.

use serde_json::Value;

use crate::corpus::Record;

/// The reason under which they are counted.
pub(super) const DELETED: &str = "deleted";

/// Whether the author of an archived post has deleted it: then nobody may keep it, whereas what
/// moderators took away is kept, and kept out of training.
///
/// Archives tell that a post is gone (`was_deleted_later`) and, in other fields, who took it away;
/// where nobody is named it counts as the author. Without any of this the text tells: an author's
/// deletion leaves `[deleted]`, a moderator's `[removed]`.
pub(super) fn is_deleted(record: &Record) -> bool {
    let word = |name: &str| record.fields.get(name).and_then(Value::as_str);
    let takers = ["removed_by_category", "removal_type"].map(word);
    let mut takers = takers.into_iter().flatten().peekable();
    if takers.peek().is_some() {
        return takers.any(|taker| taker == "deleted");
    }
    match record.fields.get("was_deleted_later") {
        Some(Value::Bool(true)) => return true,
        Some(Value::String(word)) if word == "deleted" => return true,
        _ => {}
    }
    record.author.is_none() && word("selftext") == Some("[deleted]")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sources::{ImageSize, reddit::post::parse_post};

    #[test]
    fn what_its_author_deleted_is_told_from_what_others_took_away() {
        for (told, deleted) in [
            (json!({"author": "ann", "selftext": "text"}), false),
            (json!({"author": "ann", "selftext": "[deleted]"}), false),
            (json!({"author": "[deleted]", "selftext": "text"}), false),
            (
                json!({"author": "[deleted]", "selftext": "[deleted]"}),
                true,
            ),
            (
                json!({"author": "[deleted]", "selftext": "[removed]"}),
                false,
            ),
            (
                json!({"author": "[deleted]", "selftext": "[deleted]",
                       "removed_by_category": "moderator"}),
                false,
            ),
            (
                json!({"author": "ann", "removed_by_category": "deleted"}),
                true,
            ),
            (
                json!({"author": "ann", "removed_by_category": "reddit"}),
                false,
            ),
            (
                json!({"_meta": {"removal_type": "deleted", "was_deleted_later": true}}),
                true,
            ),
            (
                json!({"_meta": {"removal_type": "removed", "was_deleted_later": true}}),
                false,
            ),
            (
                json!({"_meta": {"removal_type": "removed by reddit"}}),
                false,
            ),
            (json!({"_meta": {"was_deleted_later": true}}), true),
            (json!({"_meta": {"was_deleted_later": "deleted"}}), true),
            (json!({"_meta": {"was_deleted_later": false}}), false),
        ] {
            let mut post = json!({"id": "a", "title": "t"});
            let fields = told.as_object().unwrap().clone();
            post.as_object_mut().unwrap().extend(fields);
            let line = post.to_string();
            let parsed = parse_post(line.as_bytes(), ImageSize::Original).unwrap();
            assert_eq!(is_deleted(&parsed.record), deleted, "{told}");
        }
    }
}
