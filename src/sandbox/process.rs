//! The planted process: what makes a post popular, in which shares, and how its score grows.
//!
//! The latent log score of a post is `MEAN + DEVIATION × Σ √share × z`, where each `z` is
//! independent of the others and standardised over the choices that it is drawn from. The
//! shares of the variance are therefore what [`SHARES`] says by construction. At the horizon
//! the score is `exp(latent) − 1`, rounded.

use std::time::Duration;

use serde::Serialize;

use super::dice::Dice;

/// The age at which a score has reached its final value.
pub const HORIZON: Duration = Duration::from_hours(36);

/// The mean of the latent log score.
pub(super) const MEAN: f64 = 4.2;

/// The standard deviation of the latent log score.
pub(super) const DEVIATION: f64 = 1.4;

/// What each component carries of the variance of the latent log score; they sum to one.
pub(super) const SHARES: Components = Components {
    title: 0.28,
    image: 0.30,
    community: 0.12,
    hour: 0.06,
    author: 0.04,
    noise: 0.20,
};

/// What each part of a title carries of the title's share.
pub(super) const TITLE_SHARES: TitleParts = TitleParts {
    story: 0.68,
    opening: 0.28,
    wording: 0.04,
};

/// What each part of an image's look carries of the image's share.
pub(super) const LOOK_SHARES: LookParts = LookParts {
    palette: 0.32,
    texture: 0.26,
    composition: 0.24,
    light: 0.18,
};

/// One number for each component of the latent log score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Components {
    /// What the title means.
    pub title: f64,
    /// How the image looks; zero where nobody can see one.
    pub image: f64,
    /// Where it was posted.
    pub community: f64,
    /// At what hour of the day it was posted.
    pub hour: f64,
    /// Who posted it.
    pub author: f64,
    /// What nothing tells.
    pub noise: f64,
}

impl Components {
    /// The parts of the latent log score from standardised values: `DEVIATION × √share × z`.
    pub(super) fn weighed(self) -> Self {
        let weigh = |value: f64, share: f64| DEVIATION * share.sqrt() * value;
        Self {
            title: weigh(self.title, SHARES.title),
            image: weigh(self.image, SHARES.image),
            community: weigh(self.community, SHARES.community),
            hour: weigh(self.hour, SHARES.hour),
            author: weigh(self.author, SHARES.author),
            noise: weigh(self.noise, SHARES.noise),
        }
    }

    /// The latent log score that a post would have without noise.
    pub fn expected(&self) -> f64 {
        MEAN + self.title + self.image + self.community + self.hour + self.author
    }

    /// The latent log score.
    pub fn latent(&self) -> f64 {
        self.expected() + self.noise
    }
}

/// One number for each part of a title.
#[derive(Clone, Copy, Debug)]
pub(super) struct TitleParts {
    pub(super) story: f64,
    pub(super) opening: f64,
    pub(super) wording: f64,
}

impl TitleParts {
    /// The standardised quality of a title from the standardised qualities of its parts.
    pub(super) fn combined(&self) -> f64 {
        self.story * TITLE_SHARES.story.sqrt()
            + self.opening * TITLE_SHARES.opening.sqrt()
            + self.wording * TITLE_SHARES.wording.sqrt()
    }
}

/// One number for each part of an image's look.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookParts {
    pub(super) palette: f64,
    pub(super) texture: f64,
    pub(super) composition: f64,
    pub(super) light: f64,
}

impl LookParts {
    /// The standardised quality of a look from the standardised qualities of its parts.
    pub(super) fn combined(&self) -> f64 {
        self.palette * LOOK_SHARES.palette.sqrt()
            + self.texture * LOOK_SHARES.texture.sqrt()
            + self.composition * LOOK_SHARES.composition.sqrt()
            + self.light * LOOK_SHARES.light.sqrt()
    }
}

/// `values`, shifted and scaled to mean zero and variance one under `weights`.
pub(super) fn standardised(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mean_of = |of: &dyn Fn(f64) -> f64| {
        let sum: f64 = values.iter().zip(weights).map(|(v, w)| of(*v) * w).sum();
        sum / total
    };
    let mean = mean_of(&|value| value);
    let deviation = mean_of(&|value| (value - mean).powi(2)).sqrt();
    values
        .iter()
        .map(|value| (value - mean) / deviation.max(f64::MIN_POSITIVE))
        .collect()
}

/// The same for values that are drawn with equal chance.
pub(super) fn standardised_evenly(values: &[f64]) -> Vec<f64> {
    standardised(values, &vec![1.0; values.len()])
}

/// How the numbers of one post grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    score: f64,
    comments: f64,
    ratio: f64,
    /// The time in which the greater part of the votes comes, in hours.
    pace: f64,
}

/// The numbers of a post at some age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Numbers {
    /// Votes for it less votes against it, never below zero.
    pub(super) score: u64,
    /// How many comments it has.
    pub(super) comments: u64,
    /// The part of the votes that is for it.
    pub(super) upvote_ratio: f64,
}

impl Growth {
    /// The growth towards a latent log score.
    pub(super) fn new(latent: f64, dice: &mut Dice) -> Self {
        let comments = (0.55 * latent - 0.6 + 0.5 * dice.normal()).exp();
        let ratio = 0.80 + 0.035 * (latent - MEAN) + 0.04 * dice.normal();
        Self {
            score: latent.exp_m1().max(0.0).round(),
            comments: comments.round(),
            ratio: ratio.clamp(0.52, 0.99),
            pace: dice.between(3.0, 9.0),
        }
    }

    /// The numbers at `age`; from the horizon on they stand still.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded parts of small counts"
    )]
    pub(super) fn at(&self, age: Duration) -> Numbers {
        let hours = |age: Duration| age.as_secs_f64() / 3600.0;
        let grown = |age: Duration| 1.0 - (-hours(age) / self.pace).exp();
        let part = grown(age.min(HORIZON)) / grown(HORIZON);
        // The first votes are the author's friends'.
        let ratio = self.ratio + (1.0 - self.ratio) * (1.0 - part);
        Numbers {
            score: (self.score * part).round() as u64,
            comments: (self.comments * part).round() as u64,
            upvote_ratio: (ratio * 100.0).round() / 100.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::dice::Purpose, *};

    #[test]
    fn shares_sum_to_one_and_lie_where_they_are_promised() {
        let sum = SHARES.title + SHARES.image + SHARES.community + SHARES.hour + SHARES.author;
        assert!((sum + SHARES.noise - 1.0).abs() < 1e-12);
        let parts = TITLE_SHARES.story + TITLE_SHARES.opening + TITLE_SHARES.wording;
        assert!((parts - 1.0).abs() < 1e-12);
        let parts = LOOK_SHARES.palette + LOOK_SHARES.texture + LOOK_SHARES.composition;
        assert!((parts + LOOK_SHARES.light - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_score_only_grows_and_stands_still_at_the_horizon(
            latent in -1.0_f64..9.0, place in 0_u32..1000, hours in 0_u64..60,
        ) {
            let growth = Growth::new(latent, &mut Dice::new(1, Purpose::Noise, (0, place)));
            let age = Duration::from_hours(hours);
            let (now, later) = (growth.at(age), growth.at(age + Duration::from_hours(1)));
            prop_assert!(now.score <= later.score && now.comments <= later.comments);
            prop_assert!((0.5..=1.0).contains(&now.upvote_ratio));
            if age >= HORIZON {
                prop_assert_eq!(now, later);
                prop_assert!((now.score as f64 - latent.exp_m1().max(0.0)).abs() <= 0.5);
            }
        }
    }
}
