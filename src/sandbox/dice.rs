//! Chance that can be asked at any place: a stream of numbers for each seed, purpose and place.

use std::f64::consts::TAU;

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// What a stream of chance is for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The qualities of an author.
    Author = 1,
    /// The second of a post's creation.
    Time = 2,
    /// Who posts what kind of thing where.
    Post = 3,
    /// The words of a title.
    Title = 4,
    /// The look of an image.
    Look = 5,
    /// The scene that an image shows.
    Scene = 6,
    /// What no feature tells of a score, and how the score grows.
    Noise = 7,
    /// Which earlier image a post repeats.
    Repost = 8,
    /// What becomes of a post.
    Fate = 9,
    /// What becomes of an account.
    Account = 10,
    /// What goes wrong with an answer.
    Trouble = 11,
    /// What is wrong with one thing in a page.
    Odd = 12,
    /// Whether an answer is slow.
    Slow = 13,
    /// What is wrong with an image's file.
    File = 14,
}

/// A stream of chance.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream of `seed` for `purpose` at a place (the index of a day and in the day, say).
    pub(super) fn new(seed: u64, purpose: Purpose, place: (u32, u32)) -> Self {
        let place = u64::from(place.0) << 32 | u64::from(place.1);
        Self(ChaCha8Rng::seed_from_u64(mixed(
            mixed(seed ^ (purpose as u64) << 56) ^ place,
        )))
    }

    /// A number in `[0, 1)`.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `[low, high)`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `count`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a small count, rounded down"
    )]
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// One of `items`, which are not none.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// The place of one of `weights`, drawn by weight.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let total: f64 = weights.clone().sum();
        let mut left = self.unit() * total;
        let mut last = 0;
        for (place, weight) in weights.enumerate() {
            last = place;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// A number of the standard normal distribution.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }
}

/// A number in which every bit of `value` has a say (the finaliser of `SplitMix64`).
pub(super) fn mixed(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
