//! Captions out of stored image vectors: the classifier layer of EfficientNet, without a second
//! look at the picture.

use std::sync::LazyLock;

use super::{
    Error, Kind, WeightsSettings,
    efficientnet::{self, Classifier},
    fingerprint,
    weights::{self, catalogue},
};
use crate::corpus::Fingerprint;

/// The classes of ImageNet-1k in the order of the logits, one a line, synonyms behind commas.
///
/// The names are WordNet's; the list is that of the npm package `@tensorflow-models/mobilenet`.
static CLASSES: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("imagenet_classes.txt").lines().collect());

/// Labels below this probability are left out, but for the best one.
const LEAST_SCORE: f32 = 0.1;
/// The most labels that a caption has.
const MOST_TAGS: usize = 5;

/// One class that was recognised.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Tag {
    /// The class's first name: `Egyptian cat`.
    pub label: &'static str,
    /// Its probability.
    pub score: f32,
}

/// What an image shows, in words.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Caption {
    /// The labels, the most probable first: `espresso, cup`.
    pub text: String,
    /// The labels with their probabilities; at least one.
    pub tags: Vec<Tag>,
}

/// A loaded captioner; may be shared between threads.
#[derive(Debug)]
pub struct Tagger {
    name: String,
    fingerprint: Fingerprint,
    encoder_fingerprint: Fingerprint,
    classifier: Classifier,
}

/// Loads a named captioner that reads image vectors.
pub fn load_tagger(name: &str, weights: &WeightsSettings) -> Result<Tagger, Error> {
    let known = || catalogue::names(Some(Kind::Tagger));
    let entry = catalogue::find(name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
        known: known(),
    })?;
    let read = entry.reads.as_deref().and_then(catalogue::find);
    let (Kind::Tagger, Some(read)) = (entry.kind, read) else {
        return Err(Error::WrongKind {
            name: name.to_owned(),
            found: entry.kind.with_article(),
            wanted: Kind::Tagger.with_article(),
            known: known(),
        });
    };
    let located = weights::locate(read, weights)?;
    Ok(Tagger {
        name: name.to_owned(),
        fingerprint: fingerprint::of_entry(entry),
        encoder_fingerprint: fingerprint::of_entry(read),
        classifier: efficientnet::load_classifier(located.file(&read.weights))?,
    })
}

impl Tagger {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes its captions comparable.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The encoder whose vectors it reads.
    pub const fn encoder_fingerprint(&self) -> Fingerprint {
        self.encoder_fingerprint
    }

    /// The caption of the image that has this vector.
    ///
    /// Vectors are stored as 16-bit floats, so the numbers are rounded to them first: a fresh
    /// vector and the stored one have the same caption.
    ///
    /// # Panics
    ///
    /// Where the vector has another length than the encoder's.
    pub fn caption(&self, vector: &[f32]) -> Caption {
        self.classifier.caption(vector)
    }
}

impl Classifier {
    fn caption(&self, vector: &[f32]) -> Caption {
        let scores = self.scores(vector);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        let tags: Vec<Tag> = order
            .into_iter()
            .take(MOST_TAGS)
            .enumerate()
            .filter(|(rank, class)| *rank == 0 || scores[*class] >= LEAST_SCORE)
            .map(|(_, class)| Tag {
                label: first_name(CLASSES[class]),
                score: scores[class],
            })
            .collect();
        let labels: Vec<&str> = tags.iter().map(|tag| tag.label).collect();
        Caption {
            text: labels.join(", "),
            tags,
        }
    }

    /// The probability of each class.
    fn scores(&self, vector: &[f32]) -> Vec<f32> {
        let features = self.weight.len() / self.bias.len();
        assert_eq!(
            vector.len(),
            features,
            "the vector is not this captioner's encoder's"
        );
        let vector: Vec<f32> = vector
            .iter()
            .map(|v| half::f16::from_f32(*v).to_f32())
            .collect();
        let logits: Vec<f64> = self
            .weight
            .chunks_exact(features)
            .zip(&self.bias)
            .map(|(row, bias)| f64::from(dot(row, &vector)) + f64::from(*bias))
            .collect();
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|logit| (logit - top).exp()).collect();
        let total: f64 = powers.iter().sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a score is shown with a few digits"
        )]
        let scores = powers.iter().map(|power| (power / total) as f32).collect();
        scores
    }
}

/// The sum of products, in lanes that the compiler can keep in one register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn first_name(names: &'static str) -> &'static str {
    names.split(',').next().unwrap_or(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A classifier over two features: feature one means class 504, feature two 967.
    fn classifier() -> Classifier {
        let mut weight = vec![0.0; 2 * 1000];
        weight[504 * 2] = 9.0;
        weight[967 * 2 + 1] = 9.0;
        Classifier {
            weight,
            bias: vec![0.0; 1000],
        }
    }

    #[test]
    fn names_what_is_probable_and_at_least_one() {
        assert_eq!(CLASSES.len(), 1000);
        let caption = classifier().caption(&[1.0, 1.01]);
        assert_eq!(caption.text, "espresso, coffee mug");
        assert_eq!(caption.tags.len(), 2);
        // Nothing is probable: the first of the equals is named.
        let caption = classifier().caption(&[0.0, 0.0]);
        assert_eq!(caption.text, "tench");
        assert!(caption.tags[0].score < 0.0011);
    }

    #[test]
    fn a_stored_vector_has_the_same_caption() {
        for fresh in [
            [0.12345, 0.123_46],
            [0.7001, 0.7002],
            [1.0 / 3.0, 0.333_334],
        ] {
            let stored = fresh.map(|v| half::f16::from_f32(v).to_f32());
            assert_eq!(classifier().caption(&fresh), classifier().caption(&stored));
        }
    }
}
