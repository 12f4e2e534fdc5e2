//! Whose vectors can be compared.

use super::weights::catalogue;
use crate::corpus::Fingerprint;

/// Whether the vectors of two encoders are of one space, so that their cosine says something.
///
/// Those of one encoder are, and those of an encoder that sees images as a text encoder reads texts:
/// Visualized-BGE keeps its text encoder as it was (Zhou et al. 2024).
pub fn share_space(a: (&str, Fingerprint), b: (&str, Fingerprint)) -> bool {
    let sees_as = |visual: &str, text: &str| {
        catalogue::find(visual).is_some_and(|entry| {
            entry.architecture == "visualized-bge" && entry.text.as_deref() == Some(text)
        })
    };
    a.1 == b.1 || sees_as(a.0, b.0) || sees_as(b.0, a.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_seen_as_texts_are_read() {
        let of = |name| (name, Fingerprint::of(&[("name", name)]));
        assert!(share_space(of("minilm"), of("minilm")));
        assert!(share_space(of("visualized-bge-m3"), of("bge-m3")));
        assert!(share_space(of("bge-m3"), of("visualized-bge-m3")));
        assert!(!share_space(
            of("visualized-bge-m3"),
            of("bge-base-en-v1.5")
        ));
        assert!(!share_space(of("all-minilm-l6-v2"), of("bge-m3")));
    }
}
