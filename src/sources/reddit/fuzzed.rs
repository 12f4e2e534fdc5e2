//! What the fuzzer of listings feeds; compiled for the tests and by `tests/fuzz` only.

use super::listing::{ListingPage, read_child};
use crate::{clock::Timestamp, sources::ImageSize};

/// Reads `bytes` as the body of a listing.
///
/// # Panics
///
/// Where a parser does, and where a post comes without what every post has.
pub(crate) fn feed(bytes: &[u8]) {
    let Ok(page) = ListingPage::read(bytes) else {
        return;
    };
    let read_at = Timestamp::from_millis(1_767_225_600_000);
    for child in &page.children {
        match read_child(child, read_at, ImageSize::Preview(384)) {
            Ok(post) => {
                assert!(!post.record.id.is_empty());
                assert_eq!(post.observation.record_id, post.record.id);
                assert!(post.observation.score.is_none_or(f64::is_finite));
            }
            Err(reason) => assert!(!reason.to_string().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_listings_is_borne() {
        crate::media::fuzzed::replay("listing", super::feed);
    }
}
