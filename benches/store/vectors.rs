//! Vectors that nobody computed, with what the simulated world knows of a post hidden in them.

use trendmill::corpus::{Vector, VectorType};

use crate::dice::Dice;

/// How much of a vector is noise; the rest points where the post's worth does.
const NOISE: f32 = 1.0;

/// The vector of content `number` under encoder `encoder`, `width` numbers long.
#[expect(
    clippy::cast_possible_truncation,
    reason = "fewer digits than these are stored"
)]
pub(crate) fn vector(encoder: u64, number: u64, width: usize, worth: f64) -> Vec<u8> {
    let mut direction = Dice(encoder);
    let mut dice = Dice(number << 8 | encoder);
    let reach = worth as f32 / (width as f32).sqrt();
    let mut values = Vec::with_capacity(width + 1);
    while values.len() < width {
        let (noise, towards) = (pair(&mut dice), pair(&mut direction));
        for lane in 0..2 {
            values.push(NOISE * noise[lane] + reach * towards[lane]);
        }
    }
    values.truncate(width);
    Vector::new(&values, VectorType::F16).as_bytes().to_vec()
}

/// Two numbers from -1 to 1.
fn pair(dice: &mut Dice) -> [f32; 2] {
    let drawn = dice.next();
    [drawn >> 40, (drawn >> 16) & 0xff_ffff].map(|bits| bits as f32 / 8_388_608.0 - 1.0)
}
