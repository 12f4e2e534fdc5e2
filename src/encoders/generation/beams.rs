//! Several rows that compete: beam search.

use std::cmp::Ordering;

use super::{EarlyStopping, Next, Rules, Search};

/// Stands for a score that nothing is worse than; added to what must not be chosen.
const WORST: f32 = -1.0e9;

/// The search of one picture.
///
/// Source: `_beam_search` of transformers' `generation/utils.py`, for a batch of one. The numbers are
/// 32-bit floats as there, so that what is level here is level there.
pub(super) struct Beams {
    /// The rows that grow, best first.
    open: Vec<Hypothesis>,
    /// The rows that are finished, best first; those not yet found stand at [`WORST`].
    closed: Vec<Hypothesis>,
    /// Whether an open row can still become better than the closed ones.
    can_improve: bool,
    /// Only the prompt has been read: all rows are that of the prompt.
    is_first: bool,
    prompt: usize,
    rules: Rules,
}

/// One row.
#[derive(Clone)]
struct Hypothesis {
    row: Vec<u32>,
    score: f32,
    is_finished: bool,
}

/// One row with one more token.
#[derive(Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    score: f32,
    ends: bool,
}

impl Beams {
    pub(super) fn new(prompt: &[u32], rules: &Rules) -> Self {
        let row = |score| Hypothesis {
            row: prompt.to_vec(),
            score,
            is_finished: false,
        };
        Self {
            // Only the first row may continue, lest all be the same.
            open: (0..rules.beams)
                .map(|beam| row(if beam == 0 { 0.0 } else { WORST }))
                .collect(),
            closed: vec![row(WORST); rules.beams],
            can_improve: true,
            is_first: true,
            prompt: prompt.len(),
            rules: rules.clone(),
        }
    }

    /// The best continuations: so many that, whatever ends, all beams can go on.
    fn candidates(&self, logits: &[&[f32]]) -> Vec<Candidate> {
        let count = self.rules.beams * (1 + self.rules.ends.len()).max(2);
        let mut best: Vec<Candidate> = Vec::with_capacity(count + 1);
        for (parent, beam) in self.open.iter().enumerate() {
            let mut scores = logits[if self.is_first { 0 } else { parent }].to_vec();
            to_log_probabilities(&mut scores);
            self.rules.apply(&beam.row, self.prompt, &mut scores);
            for (token, score) in scores.iter().enumerate() {
                let score = score + beam.score;
                if best.len() == count && best[count - 1].score >= score {
                    continue;
                }
                let place = best.partition_point(|candidate| candidate.score >= score);
                let token = u32::try_from(token).expect("a token's id is a 32-bit number");
                let ends = self.rules.ends_with(beam.row.len() + 1, token);
                best.insert(
                    place,
                    Candidate {
                        parent,
                        token,
                        score,
                        ends,
                    },
                );
                best.truncate(count);
            }
        }
        best
    }

    fn grown(&self, candidate: Candidate, score: f32, is_finished: bool) -> Hypothesis {
        let mut row = self.open[candidate.parent].row.clone();
        row.push(candidate.token);
        Hypothesis {
            row,
            score,
            is_finished,
        }
    }

    /// `length` generated tokens raised to the penalty.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "divides a 32-bit float, as there"
    )]
    fn penalty(&self, length: usize) -> f32 {
        (length as f64).powf(self.rules.length_penalty) as f32
    }

    fn stops_when_full(&self) -> bool {
        self.rules.early_stopping == EarlyStopping::WhenFull && self.is_full()
    }

    fn is_full(&self) -> bool {
        self.closed.iter().all(|row| row.is_finished)
    }

    /// Puts the candidates that ended among the closed rows, where they are better.
    fn close(&mut self, candidates: &[Candidate], length: usize) {
        let penalty = self.penalty(length - self.prompt);
        let barred = |is: bool| if is { WORST } else { 0.0 };
        let grown: Vec<Hypothesis> = candidates
            .iter()
            .enumerate()
            .map(|(place, candidate)| {
                // Those behind the beams are there only so that these can go on.
                let ended = candidate.ends && place < self.rules.beams;
                let mut score = candidate.score / penalty;
                score += barred(self.stops_when_full());
                score += barred(!self.can_improve);
                score += barred(!ended);
                self.grown(*candidate, score, ended)
            })
            .collect();
        self.closed.extend(grown);
        self.closed.sort_by(|a, b| falling(a.score, b.score));
        self.closed.truncate(self.rules.beams);
    }

    /// Whether the best open row can still come before the worst closed one.
    fn may_improve(&self, length: usize) -> bool {
        let rules = &self.rules;
        let best_length =
            if rules.early_stopping == EarlyStopping::Never && rules.length_penalty > 0.0 {
                rules.longest
            } else {
                length
            };
        let best = self.open[0].score / self.penalty(best_length - self.prompt);
        let lowest = self
            .closed
            .iter()
            .map(|row| row.score)
            .fold(f32::INFINITY, f32::min);
        self.closed
            .iter()
            .any(|row| best > if row.is_finished { lowest } else { WORST })
    }
}

impl Search for Beams {
    fn take(&mut self, logits: &[&[f32]]) -> Next {
        let candidates = self.candidates(logits);
        let length = self.open[0].row.len() + 1;
        let mut open: Vec<(f32, Candidate)> = candidates
            .iter()
            .map(|one| {
                (
                    if one.ends {
                        one.score + WORST
                    } else {
                        one.score
                    },
                    *one,
                )
            })
            .collect();
        open.sort_by(|a, b| falling(a.0, b.0));
        open.truncate(self.rules.beams);
        self.close(&candidates, length);
        self.open = open
            .iter()
            .map(|(score, candidate)| self.grown(*candidate, *score, false))
            .collect();
        let first = std::mem::replace(&mut self.is_first, false);
        self.can_improve &= self.may_improve(length);
        let goes_on = self.can_improve
            && !self.stops_when_full()
            && !candidates.iter().all(|candidate| candidate.ends);
        if !goes_on {
            return Next::Done(std::mem::take(&mut self.closed[0].row));
        }
        let parent = |candidate: Candidate| if first { 0 } else { candidate.parent };
        let rows = open.iter().map(|(_, one)| (parent(*one), one.token));
        Next::Rows(rows.collect())
    }
}

/// The higher first; equals stay in their order.
fn falling(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}

/// Scores → the logarithms of their probabilities.
fn to_log_probabilities(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = scores
        .iter()
        .map(|score| f64::from(score - top).exp())
        .sum();
    #[expect(clippy::cast_possible_truncation, reason = "scores are 32-bit floats")]
    let shift = total.ln() as f32;
    for score in scores {
        *score = *score - top - shift;
    }
}
