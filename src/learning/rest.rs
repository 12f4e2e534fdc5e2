//! What a line leaves over of some rows, for networks and trees to learn.

use super::{
    blend::{best_blend, best_blend_of_odds},
    fit::difference,
    heads::Wanted,
    odds::Odds,
};

/// What a line leaves over of some rows.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    /// The target less the line's answer, on the scale that is learned.
    pub(super) left: Vec<f64>,
    /// What is asked of each row where the target is a flag.
    asked: Option<Asked>,
}

/// Whether it is so, and what the line says of that.
#[derive(Clone, Debug)]
struct Asked {
    flags: Vec<f64>,
    /// The log-odds that the line gives.
    odds: Vec<f64>,
    /// What a unit of the scale that is learned adds to them.
    slope: f64,
}

impl Rest {
    /// What `answers` leave of `wanted`, both on the scale that is learned; with flags, their odds
    /// are learned, not they themselves.
    pub(super) fn new(wanted: &[f64], answers: &[f64], flags: Option<(&Odds, Vec<f64>)>) -> Self {
        Self {
            left: difference(wanted, answers),
            asked: flags.map(|(odds, flags)| Asked {
                flags,
                odds: answers.iter().map(|answer| odds.of(*answer)).collect(),
                slope: odds.slope,
            }),
        }
    }

    /// What networks learn of it, if it is that of `rows`.
    pub(super) fn wanted<'a>(&'a self, rows: &'a [usize]) -> Wanted<'a> {
        match &self.asked {
            Some(of) => Wanted {
                rows,
                targets: &of.flags,
                odds: Some(&of.odds),
            },
            None => Wanted {
                rows,
                targets: &self.left,
                odds: None,
            },
        }
    }

    /// How much an answer of a network is on the scale that is learned: what it adds to log-odds is
    /// of another.
    pub(super) fn unit(&self) -> f64 {
        self.asked.as_ref().map_or(1.0, |of| 1.0 / of.slope)
    }

    /// That of the rows at `places`.
    pub(super) fn at(&self, places: &[usize]) -> Self {
        let pick = |values: &[f64]| places.iter().map(|&at| values[at]).collect();
        Self {
            left: pick(&self.left),
            asked: self.asked.as_ref().map(|of| Asked {
                flags: pick(&of.flags),
                odds: pick(&of.odds),
                slope: of.slope,
            }),
        }
    }

    /// That of these rows and then others.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.left.extend(&others.left);
        if let (Some(of), Some(others)) = (&mut self.asked, &others.asked) {
            of.flags.extend(&others.flags);
            of.odds.extend(&others.odds);
        }
        self
    }

    /// The shares of two learners' answers, on the scale that is learned, that leave the least error.
    pub(super) fn best_blend(&self, answers: [&[f64]; 2]) -> [f64; 2] {
        let Some(of) = &self.asked else {
            return best_blend(answers, &self.left);
        };
        let added = answers.map(|values| values.iter().map(|value| value * of.slope).collect());
        let [a, b]: [Vec<f64>; 2] = added;
        best_blend_of_odds([&a, &b], &of.odds, &of.flags)
    }
}
