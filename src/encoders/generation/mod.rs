//! Rows of tokens out of a network that scores the next one: greedy and beam search.
//!
//! Nothing here knows a network: [`generate`] asks a closure for the scores of each step. Every
//! picture is searched by itself, as `generate` of transformers does it with a batch of one; what is
//! finished leaves the batch.

mod beams;
mod cache;
mod greedy;
mod rules;
mod scores;
#[cfg(test)]
mod tests;

pub(super) use cache::{Attended, Cache};
pub(super) use rules::{EarlyStopping, Rules, Settings, Tokens};

use self::{beams::Beams, greedy::Greedy};
use super::ImageError;

/// What the network computes next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    /// Which of the pictures of the step before are left, in order. At first: all.
    pub pictures: &'a [usize],
    /// For each row the row of the step before that it continues. At first, when each picture has
    /// one row: its own number. The rows of a picture stand together, as many for each.
    pub parents: &'a [usize],
    /// The tokens that each row gets, row after row, as many for each.
    pub tokens: &'a [u32],
}

/// One picture's search.
trait Search {
    /// Reads the scores of all tokens for each of its rows.
    fn take(&mut self, logits: &[&[f32]]) -> Next;
}

/// What a search does next.
#[derive(Debug, PartialEq)]
enum Next {
    /// Its rows: which of its rows each continues, and with which token.
    Rows(Vec<(usize, u32)>),
    /// The row that it found.
    Done(Vec<u32>),
}

/// One search that goes on.
struct Running {
    /// Which picture it is for.
    picture: usize,
    search: Box<dyn Search>,
    /// The rows that it has next.
    next: Vec<(usize, u32)>,
}

/// The row of tokens that is found for each of `pictures` pictures, the prompt included.
///
/// The network gives the scores of the next token, `[rows, tokens that there are]`. What it fails
/// at, all fail at; numbers that are not finite are the fault of their picture alone.
pub(super) fn generate(
    prompt: &[u32],
    pictures: usize,
    rules: &Rules,
    mut network: impl FnMut(Step<'_>) -> Result<Vec<f32>, ImageError>,
) -> Vec<Result<Vec<u32>, ImageError>> {
    let mut found: Vec<Option<Result<Vec<u32>, ImageError>>> =
        (0..pictures).map(|_| None).collect();
    let all: Vec<usize> = (0..pictures).collect();
    let mut step = network(Step {
        pictures: &all,
        parents: &all,
        tokens: &prompt.repeat(pictures),
    });
    let mut running: Vec<Running> = all
        .iter()
        .map(|picture| Running {
            picture: *picture,
            search: start(prompt, rules),
            next: vec![(0, 0)],
        })
        .collect();
    while !running.is_empty() {
        let logits = match step {
            Ok(logits) => logits,
            Err(error) => {
                let words = error.to_string();
                for running in running {
                    found[running.picture] = Some(Err(ImageError::Compute(words.clone())));
                }
                break;
            }
        };
        let rows: usize = running.iter().map(|running| running.next.len()).sum();
        let mut logits = logits.chunks_exact(logits.len() / rows);
        let (mut left, mut parents, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        let (mut kept, mut first) = (Vec::with_capacity(running.len()), 0);
        for (index, mut one) in running.into_iter().enumerate() {
            let own: Vec<&[f32]> = logits.by_ref().take(one.next.len()).collect();
            let result = if own.iter().copied().flatten().all(|score| score.is_finite()) {
                one.search.take(&own)
            } else {
                found[one.picture] = Some(Err(not_finite()));
                first += one.next.len();
                continue;
            };
            match result {
                Next::Done(row) => found[one.picture] = Some(Ok(row)),
                Next::Rows(next) => {
                    left.push(index);
                    parents.extend(next.iter().map(|(parent, _)| first + parent));
                    tokens.extend(next.iter().map(|(_, token)| *token));
                    first += one.next.len();
                    one.next = next;
                    kept.push(one);
                    continue;
                }
            }
            first += one.next.len();
        }
        running = kept;
        if running.is_empty() {
            break;
        }
        step = network(Step {
            pictures: &left,
            parents: &parents,
            tokens: &tokens,
        });
    }
    found
        .into_iter()
        .map(|row| row.expect("a search ends with a row or an error"))
        .collect()
}

fn start(prompt: &[u32], rules: &Rules) -> Box<dyn Search> {
    if rules.beams > 1 {
        Box::new(Beams::new(prompt, rules))
    } else {
        Box::new(Greedy::new(prompt, rules))
    }
}

fn not_finite() -> ImageError {
    ImageError::Compute("the scores of the next word are not finite numbers".to_owned())
}
