//! The best next token, one after the other.

use super::{Next, Rules, Search};

/// One row that grows by the token of the highest score; the first of equals.
pub(super) struct Greedy {
    row: Vec<u32>,
    prompt: usize,
    rules: Rules,
}

impl Greedy {
    pub(super) fn new(prompt: &[u32], rules: &Rules) -> Self {
        Self {
            row: prompt.to_vec(),
            prompt: prompt.len(),
            rules: rules.clone(),
        }
    }
}

impl Search for Greedy {
    fn take(&mut self, logits: &[&[f32]]) -> Next {
        let mut scores = logits[0].to_vec();
        self.rules.apply(&self.row, self.prompt, &mut scores);
        let mut best = 0;
        for (token, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = token;
            }
        }
        let token = u32::try_from(best).expect("a token's id is a 32-bit number");
        self.row.push(token);
        if self.rules.is_end(&self.row) {
            Next::Done(std::mem::take(&mut self.row))
        } else {
            Next::Rows(vec![(0, token)])
        }
    }
}
