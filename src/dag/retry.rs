//! How often and how soon a failed attempt is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often and how soon a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How many times a failed attempt is tried again. Default: 0.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each further one. Default: 2 s.
    pub delay: Duration,
    /// The longest pause. Default: 10 min.
    pub max_delay: Duration,
    /// How many crashed attempts in a row that got nowhere are tried again; they never count as
    /// `retries`. Default: 3.
    pub crash_retries: u32,
    /// How many attempts the whole run may lose with their processes; the next one lost fails
    /// its task. Default: 20.
    #[serde(default = "most_run_crashes")]
    pub max_run_crashes: u32,
}

const fn most_run_crashes() -> u32 {
    20
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 0,
            delay: Duration::from_secs(2),
            max_delay: Duration::from_mins(10),
            crash_retries: 3,
            max_run_crashes: most_run_crashes(),
        }
    }
}

impl RetryPolicy {
    /// The pause after the failed attempt that `failures` counts, from 1.
    ///
    /// It doubles with each failure up to `max_delay`; up to a quarter of it is taken off by
    /// `noise`, so that tasks that failed together do not come back together. The same noise
    /// gives the same pause.
    pub fn pause(&self, failures: u32, noise: u64) -> Duration {
        let doubled = 2_u32
            .checked_pow(failures.saturating_sub(1))
            .and_then(|factor| self.delay.checked_mul(factor))
            .unwrap_or(self.max_delay)
            .min(self.max_delay);
        let fraction = (noise >> 11) as f64 / (1_u64 << 53) as f64;
        doubled.mul_f64(1.0 - fraction / 4.0)
    }
}

/// A number that depends on nothing but `parts`: FNV-1a, then mixed so that all bits move.
pub(super) fn noise(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        // A byte that UTF-8 never holds keeps `ab, c` and `a, bc` apart.
        for &byte in part.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_with_some_noise() {
        let policy = RetryPolicy {
            delay: Duration::from_secs(4),
            max_delay: Duration::from_secs(20),
            ..RetryPolicy::default()
        };
        for (failures, whole) in [(1, 4.0), (2, 8.0), (3, 16.0), (4, 20.0), (99, 20.0)] {
            let pause = policy
                .pause(failures, noise(&[b"run", &failures.to_le_bytes()]))
                .as_secs_f64();
            assert!(
                pause <= whole && pause > whole * 0.75,
                "{failures}: {pause}"
            );
        }
        assert_ne!(noise(&[b"ab", b"c"]), noise(&[b"a", b"bc"]));
    }
}
