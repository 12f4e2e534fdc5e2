//! How often and how soon a failed attempt is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The classes of ends that the engine knows, beside `exit:CODE` of programs.
pub const CLASSES: [&str; 11] = [
    "failed",
    "retry",
    "timed_out",
    "panicked",
    "process_lost",
    "owner_lost",
    "stalled",
    "out_of_memory",
    "unreachable",
    "rate_limited",
    "disk_full",
];

/// How often and how soon a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// How many times a failed attempt is tried again. Default: 0.
    pub retries: u32,
    /// The pause before the first retry. Default: 2 s.
    pub delay: Duration,
    /// The longest pause. Default: 10 min.
    pub max_delay: Duration,
    /// By what each further pause is longer than the one before. Default: 2.
    pub backoff: f64,
    /// Up to which share of a pause is taken off, so that tasks that failed together do not come
    /// back together. Default: 0.25.
    pub jitter: f64,
    /// How many crashed attempts in a row that got nowhere are tried again; they never count as
    /// `retries`. The death of the process that watches over attempts counts for the run alone.
    /// Default: 3.
    pub crash_retries: u32,
    /// How many times the whole run may lose attempts with their processes, or with the process
    /// that watches over them; the next one lost fails its task. Default: 20.
    pub max_run_crashes: u32,
    /// What holds instead for ends of certain classes; the first that names a class holds.
    pub rules: Vec<RetryRule>,
}

/// What holds for attempts that ended in certain ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRule {
    /// The classes: `timed_out`, `exit:75`, ….
    pub on: Vec<String>,
    /// How many failures of the task are tried again, whatever classes they had; for crashes, how
    /// many in a row that got nowhere. `None` for what the policy says.
    pub retries: Option<u32>,
    /// The pause before each retry; `None` for what the policy says.
    pub delay: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 0,
            delay: Duration::from_secs(2),
            max_delay: Duration::from_mins(10),
            backoff: 2.0,
            jitter: 0.25,
            crash_retries: 3,
            max_run_crashes: 20,
            rules: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// The rule for ends of this class, where there is one.
    pub fn rule(&self, class: &str) -> Option<&RetryRule> {
        self.rules
            .iter()
            .find(|rule| rule.on.iter().any(|name| name == class))
    }

    /// The pause after the failed attempt that `failures` counts, from 1.
    ///
    /// Each is `backoff` times the one before, up to `max_delay`; up to `jitter` of it is taken
    /// off by `noise`. The same noise gives the same pause. A rule's own delay does not grow.
    pub fn pause(&self, class: &str, failures: u32, noise: u64) -> Duration {
        let whole = match self.rule(class).and_then(|rule| rule.delay) {
            Some(delay) => delay,
            None => self.grown(failures),
        };
        let fraction = (noise >> 11) as f64 / (1_u64 << 53) as f64;
        whole.mul_f64(1.0 - fraction * self.jitter.clamp(0.0, 1.0))
    }

    fn grown(&self, failures: u32) -> Duration {
        let times = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.delay.as_secs_f64() * self.backoff.max(1.0).powi(times);
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(self.max_delay)
            .min(self.max_delay)
    }
}

/// Whether a rule can name this class.
pub fn is_class(name: &str) -> bool {
    let is_exit = |code: &str| code.parse::<u8>().is_ok_and(|code| code > 0);
    CLASSES.contains(&name) || name.strip_prefix("exit:").is_some_and(is_exit)
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
                .pause("retry", failures, noise(&[b"run", &failures.to_le_bytes()]))
                .as_secs_f64();
            assert!(
                pause <= whole && pause > whole * 0.75,
                "{failures}: {pause}"
            );
        }
        assert_ne!(noise(&[b"ab", b"c"]), noise(&[b"a", b"bc"]));
    }

    #[test]
    fn a_rule_has_its_own_pause_and_the_policy_its_own_growth() {
        let rule = RetryRule {
            on: vec!["exit:75".to_owned(), "timed_out".to_owned()],
            retries: Some(5),
            delay: Some(Duration::from_mins(10)),
        };
        let policy = RetryPolicy {
            delay: Duration::from_secs(4),
            backoff: 3.0,
            jitter: 0.0,
            rules: vec![rule],
            ..RetryPolicy::default()
        };
        let pause = |class: &str, failures| policy.pause(class, failures, 7).as_secs();
        assert_eq!([1, 2, 3].map(|n| pause("retry", n)), [4, 12, 36]);
        assert_eq!([1, 2, 3].map(|n| pause("exit:75", n)), [600, 600, 600]);
        assert_eq!(pause("retry", u32::MAX), 600);
    }

    #[test]
    fn classes_are_known_names_and_exit_codes() {
        for name in ["timed_out", "owner_lost", "exit:1", "exit:255"] {
            assert!(is_class(name), "{name}");
        }
        for name in ["", "exit", "exit:", "exit:0", "exit:256", "timeout"] {
            assert!(!is_class(name), "{name}");
        }
    }
}
