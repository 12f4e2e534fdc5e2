//! What the fields of a post hold, for readers of formats that have other types than JSON.

use super::post::Key;

/// What a field of a post holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Nothing that is read.
    Unread,
    /// Yes or no.
    Flag,
    /// A whole number.
    Count,
    /// An object or an array.
    Nested,
    /// A text or any number.
    Plain,
}

/// What the field of this name holds.
pub(crate) fn nature_of(name: &str) -> Nature {
    match Key::of(name) {
        Key::Other => Nature::Unread,
        Key::Advertising if name.starts_with("ad_") => Nature::Plain,
        Key::Advertising
        | Key::Known(
            "over_18"
            | "spoiler"
            | "is_self"
            | "is_video"
            | "is_gallery"
            | "is_original_content"
            | "stickied"
            | "author_premium"
            | "hide_score",
        ) => Nature::Flag,
        Key::Known(
            "num_comments"
            | "num_crossposts"
            | "gilded"
            | "total_awards_received"
            | "subreddit_subscribers",
        ) => Nature::Count,
        Key::Known(
            "_meta" | "preview" | "gallery_data" | "media_metadata" | "crosspost_parent_list",
        ) => Nature::Nested,
        Key::Known(_) => Nature::Plain,
    }
}
