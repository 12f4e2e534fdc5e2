//! How fast a few contents go on this device.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{
        Environment,
        caption::{caption_of, describe},
        embed::embed_some,
        report::blocking,
        sharing::Decoded,
    },
    Content, Encoding, Stock, What, Work, without,
};
use crate::{corpus::ContentHash, encoders, engine::TaskError};

/// How many contents a sample takes, one piece after the other. The first piece is not counted: it
/// makes what is made once.
const PIECES: [usize; 4] = [1, 3, 8, 20];
/// A sample that took this long takes no further piece.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// How fast a few contents went. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// How many were timed.
    pub(crate) rows: usize,
    /// How long they took, without the loading of the encoder.
    pub(crate) seconds: f64,
    /// The mean length of a result in bytes, where there was one.
    pub(crate) bytes: Option<f64>,
}

impl Encoding {
    /// Encodes a few contents, those that lack a result first, and keeps nothing; none where there
    /// is no content. A server is not asked: an answer that is thrown away may cost money.
    ///
    /// # Errors
    ///
    /// Where the encoder cannot be had.
    pub(crate) async fn sample(
        &self,
        environment: &Arc<Environment>,
        stock: &Stock,
    ) -> Result<Option<Sample>, TaskError> {
        let from = if stock.missing.is_empty() {
            &stock.known
        } else {
            &stock.missing
        };
        let contents = spread(from, PIECES.iter().sum());
        if contents.is_empty() {
            return Ok(None);
        }
        let (environment, encoding) = (Arc::clone(environment), self.clone());
        let vectors = match &self.work {
            Work::Caption(_, None) => return Ok(None),
            Work::Caption(_, Some(reads)) => {
                let hashes: Vec<ContentHash> = contents.iter().map(|(hash, _)| *hash).collect();
                let store = &environment.store;
                store.embeddings(reads.fingerprint, &hashes).await?
            }
            Work::Embed(_) | Work::Write(..) => HashMap::new(),
        };
        blocking(move || -> Result<Option<Sample>, encoders::Error> {
            match &encoding.work {
                Work::Embed(output) => {
                    let warm = embed_some(&environment, output, encoding.device, &[])?;
                    debug_assert!(warm.is_empty(), "nothing was asked for");
                    timed(&contents, |piece| {
                        let vectors = embed_some(&environment, output, encoding.device, piece)?;
                        Ok(vectors.iter().map(|v| v.as_bytes().len()).collect())
                    })
                }
                Work::Caption(_, None) => Ok(None),
                Work::Write(_, writing) => {
                    let captioner = environment.captioner(&writing.name, encoding.device)?;
                    timed(&contents, |piece| {
                        let images: Vec<ContentHash> =
                            piece.iter().map(|(image, _)| *image).collect();
                        let decoded = Decoded::default();
                        let written =
                            describe(&environment, &captioner, writing, &images, &decoded);
                        let lengths = written.into_iter().filter_map(|(_, caption)| {
                            let caption = caption.ok()?;
                            Some(caption.caption.len() + caption.details.to_string().len())
                        });
                        Ok(lengths.collect())
                    })
                }
                Work::Caption(_, Some(reads)) => {
                    let mut vectors = vectors;
                    let absent: Vec<Content> = without(&contents, |c| vectors.contains_key(c));
                    for content in absent {
                        let of = (content.0, What::Image);
                        let made = embed_some(&environment, reads, encoding.device, &[of])?;
                        vectors.extend(made.into_iter().map(|vector| (content.0, vector)));
                    }
                    let tagger = encoders::load_tagger(&encoding.encoder, &environment.weights)?;
                    timed(&contents, |piece| {
                        let vectors = piece.iter().filter_map(|(image, _)| vectors.get(image));
                        Ok(vectors
                            .map(|vector| {
                                let written = caption_of(&tagger, &vector.values());
                                written.caption.len() + written.details.to_string().len()
                            })
                            .collect())
                    })
                }
            }
        })
        .await?
        .map_err(TaskError::from)
    }
}

/// At most `count` of the contents, from all over the list.
fn spread(contents: &[Content], count: usize) -> Vec<Content> {
    let step = contents.len().div_ceil(count).max(1);
    contents.iter().step_by(step).cloned().collect()
}

/// Times pieces of contents; `work` tells the lengths of the results.
fn timed(
    contents: &[Content],
    mut work: impl FnMut(&[Content]) -> Result<Vec<usize>, encoders::Error>,
) -> Result<Option<Sample>, encoders::Error> {
    let (mut lengths, mut rest) = (Vec::new(), contents);
    let mut first = None;
    let (mut rows, mut seconds) = (0, 0.0);
    for size in PIECES {
        let (piece, later) = rest.split_at(size.min(rest.len()));
        if piece.is_empty() || seconds > LONG_ENOUGH.as_secs_f64() {
            break;
        }
        rest = later;
        let started = Instant::now();
        lengths.extend(work(piece)?);
        let took = started.elapsed().as_secs_f64();
        if first.is_none() {
            first = Some(took);
            // One that takes this long is its own measure.
            if took > LONG_ENOUGH.as_secs_f64() {
                break;
            }
        } else {
            rows += piece.len();
            seconds += took;
        }
    }
    let bytes =
        (!lengths.is_empty()).then(|| lengths.iter().sum::<usize>() as f64 / lengths.len() as f64);
    Ok(match (rows, first) {
        (0, None) => None,
        (0, Some(seconds)) => Some(Sample {
            rows: 1,
            seconds,
            bytes,
        }),
        _ => Some(Sample {
            rows,
            seconds,
            bytes,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(count: usize) -> Vec<Content> {
        (0..count)
            .map(|n| (ContentHash::of(n.to_string()), What::Image))
            .collect()
    }

    #[test]
    fn a_sample_is_taken_from_all_over_and_its_first_row_is_not_timed() {
        for (count, taken) in [(0, 0), (1, 1), (31, 31), (32, 32), (33, 17), (1000, 32)] {
            assert_eq!(spread(&contents(count), 32).len(), taken, "{count}");
        }
        let of = |count: usize| {
            timed(&contents(count), |piece| Ok(vec![8; piece.len()]))
                .unwrap()
                .map(|sample| (sample.rows, sample.bytes))
        };
        assert_eq!(of(0), None);
        assert_eq!(of(1), Some((1, Some(8.0))));
        assert_eq!(of(32), Some((31, Some(8.0))));
    }
}
