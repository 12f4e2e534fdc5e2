//! Randomness that no other thread can disturb.
//!
//! Burn draws from one generator per device, which parallel work would share; everything random
//! in this layer comes from a `ChaCha8` generator of its own, named by what it is for.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator for `purpose` under `seed`: the same pair always gives the same numbers.
pub(crate) fn generator(seed: u64, purpose: &str) -> ChaCha8Rng {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(digest.finalize().into())
}

/// A number in `[0, 1)` that depends on `text` alone; for splits by hash.
pub(crate) fn fraction(text: &str) -> f64 {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let (head, _) = digest
        .split_first_chunk::<8>()
        .expect("a SHA-256 has 32 bytes");
    // The upper 53 bits are exactly representable.
    (u64::from_be_bytes(*head) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Puts `items` into random order.
pub(crate) fn shuffle<T>(items: &mut [T], generator: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, generator.random_range(0..=last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_are_independent_and_repeatable() {
        let draw = |seed, purpose| generator(seed, purpose).random::<u64>();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn fractions_are_spread_evenly() {
        let below = (0..4000)
            .filter(|i| fraction(&format!("author {i}")) < 0.25)
            .count();
        assert!((900..1100).contains(&below), "{below}");
    }
}
