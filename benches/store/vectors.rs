//! Vectors that nobody computed, with what the simulated world knows of a post hidden in them.

use trendmill::corpus::{Vector, VectorType};

/// How much of a vector is noise; the rest points where the post's worth does.
const NOISE: f32 = 1.0;

/// A generator that is fast rather than good.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed ^ 0x9e37_79b9_7f4a_7c15);
        dice.next();
        dice
    }

    /// The next number of `SplitMix64`.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to less than `below`.
    pub(crate) fn below(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    /// Two numbers from -1 to 1.
    fn pair(&mut self) -> [f32; 2] {
        let drawn = self.next();
        [drawn >> 40, (drawn >> 16) & 0xff_ffff].map(|bits| bits as f32 / 8_388_608.0 - 1.0)
    }
}

/// The vector of content `number` under encoder `encoder`, `width` numbers long.
#[expect(
    clippy::cast_possible_truncation,
    reason = "fewer digits than these are stored"
)]
pub(crate) fn vector(encoder: u64, number: u64, width: usize, worth: f64) -> Vec<u8> {
    let mut direction = Dice::new(encoder);
    let mut dice = Dice::new(number << 8 | encoder);
    let reach = worth as f32 / (width as f32).sqrt();
    let mut values = Vec::with_capacity(width + 1);
    while values.len() < width {
        let (noise, towards) = (dice.pair(), direction.pair());
        for lane in 0..2 {
            values.push(NOISE * noise[lane] + reach * towards[lane]);
        }
    }
    values.truncate(width);
    Vector::new(&values, VectorType::F16).as_bytes().to_vec()
}
