//! What makes vectors comparable, said without loading anything.

use super::{
    Error,
    weights::catalogue::{self, Entry},
};
use crate::corpus::{ContentHash, Fingerprint};

/// The number type in which every encoder computes.
pub(super) const COMPUTE: &str = "f32";

/// The fingerprint of a named encoder or captioner, from the catalogue alone.
///
/// It is the one that the loaded encoder says. A checkpoint in a directory has none before it is
/// loaded: its weights are not pinned.
pub fn fingerprint(name: &str) -> Result<Fingerprint, Error> {
    catalogue::find(name)
        .map(of_entry)
        .ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
            known: catalogue::names(None),
        })
}

/// The fingerprint of an entry of the catalogue.
pub(super) fn of_entry(entry: &Entry) -> Fingerprint {
    let read = entry.reads.as_deref().and_then(catalogue::find);
    let weights = entry
        .weights_hash()
        .or_else(|| read.and_then(Entry::weights_hash))
        .expect("a test holds that every entry has weights or reads another's");
    // A captioner that reads vectors depends on how they were made.
    let preprocessing = match read {
        Some(read) => format!("{} of {}", entry.preprocessing, of_entry(read)),
        None => entry.preprocessing.clone(),
    };
    of_parts(weights, &preprocessing, &entry.pooling)
}

/// The fingerprint of an encoder from its parts.
pub(super) fn of_parts(weights: ContentHash, preprocessing: &str, pooling: &str) -> Fingerprint {
    Fingerprint::of(&[
        ("weights", &weights.to_string()),
        ("preprocessing", preprocessing),
        ("pooling", pooling),
        ("prompt", ""),
        ("compute", COMPUTE),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_encoder_has_its_own() {
        let mut seen = Vec::new();
        for entry in catalogue::entries() {
            let fingerprint = fingerprint(&entry.name).unwrap();
            assert!(!seen.contains(&fingerprint), "{}", entry.name);
            seen.push(fingerprint);
        }
        let error = fingerprint("no-such").unwrap_err();
        assert!(error.to_string().contains("`all-minilm-l6-v2`"), "{error}");
    }
}
