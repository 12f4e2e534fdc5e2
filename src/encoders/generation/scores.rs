//! What is done to the scores of a step before a token is chosen.

use super::Rules;

impl Rules {
    /// Changes the scores of the token behind `row`, whose first `prompt` tokens were given.
    ///
    /// Source: the processors of transformers' `generation/logits_process.py`, in the order of
    /// `_get_logits_processor`.
    pub(super) fn apply(&self, row: &[u32], prompt: usize, scores: &mut [f32]) {
        if (self.repetition_penalty - 1.0).abs() > f32::EPSILON {
            penalize(row, self.repetition_penalty, scores);
        }
        if self.no_repeat > 0 {
            for token in repeating(row, self.no_repeat) {
                bar(scores, token);
            }
        }
        if row.len() < self.shortest {
            for token in &self.ends {
                bar(scores, *token);
            }
        }
        if let (Some(token), 1) = (self.forced_first, row.len()) {
            force(scores, &[token]);
        }
        if row.len() + 1 == self.longest && !self.forced_last.is_empty() {
            force(scores, &self.forced_last);
        }
        for token in &self.suppressed {
            bar(scores, *token);
        }
        let begin = prompt + usize::from(prompt == 1 && self.forced_first.is_some());
        if row.len() == begin {
            for token in &self.suppressed_first {
                bar(scores, *token);
            }
        }
    }

    /// Whether a row ends with its last token.
    pub(super) fn is_end(&self, row: &[u32]) -> bool {
        row.last()
            .is_some_and(|token| self.ends_with(row.len(), *token))
    }

    /// Whether a row of `length` tokens ends with `token`, its last.
    pub(super) fn ends_with(&self, length: usize, token: u32) -> bool {
        length >= self.longest || self.ends.contains(&token)
    }
}

/// Makes each token that the row has less probable.
fn penalize(row: &[u32], penalty: f32, scores: &mut [f32]) {
    let mut seen: Vec<u32> = row.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for token in seen {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = if *score < 0.0 {
                *score * penalty
            } else {
                *score / penalty
            };
        }
    }
}

/// The tokens that would make a group of `size` appear a second time.
fn repeating(row: &[u32], size: usize) -> impl Iterator<Item = u32> {
    let tail = &row[row.len().saturating_sub(size - 1)..];
    row.windows(size)
        .filter(move |group| group[..size - 1] == *tail)
        .map(move |group| group[size - 1])
}

/// Bars a token; those of a larger vocabulary are not there.
fn bar(scores: &mut [f32], token: u32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = f32::NEG_INFINITY;
    }
}

/// Leaves no other choice.
fn force(scores: &mut [f32], tokens: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for token in tokens {
        if let Some(score) = scores.get_mut(*token as usize) {
            *score = 0.0;
        }
    }
}
