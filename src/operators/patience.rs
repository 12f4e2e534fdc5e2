//! When an image that could not be had is asked for again.

use std::{collections::HashMap, time::Duration};

use crate::{clock::Timestamp, store::PlaceState};

/// The pause after the first try in vain; each one after that is twice as long.
const FIRST: Duration = Duration::from_mins(5);
/// After so many tries in a row an image is given up: they take a week.
const MOST: u32 = 12;

/// Whether an image is asked for at `now`.
pub(super) fn is_due(tries: u32, tried_at: Timestamp, now: Timestamp) -> bool {
    match tries {
        0 => true,
        MOST.. => false,
        _ => now.since(tried_at) >= FIRST * 2_u32.pow(tries - 1),
    }
}

/// What is said of images that are not asked for now.
pub(super) fn in_words(known: &HashMap<String, PlaceState>) -> Option<String> {
    let tries = known.values().filter_map(|state| match state {
        PlaceState::Unavailable { tries, .. } if *tries > 0 => Some(*tries),
        _ => None,
    });
    let (given_up, waiting): (Vec<u32>, Vec<u32>) = tries.partition(|tries| *tries >= MOST);
    let waiting = (!waiting.is_empty()).then(|| {
        format!(
            "images that could not be had and are asked for again after growing pauses: {}",
            waiting.len()
        )
    });
    let given_up = (!given_up.is_empty()).then(|| {
        format!(
            "images asked for {MOST} times in vain and given up (`--force` asks again): {}",
            given_up.len()
        )
    });
    let parts: Vec<String> = waiting.into_iter().chain(given_up).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let start = Timestamp::from_millis(0);
        let mut now = start;
        let mut tries = 0;
        let mut at = start;
        while now.since(start) < Duration::from_hours(24 * 30) {
            if is_due(tries, at, now) {
                tries += 1;
                at = now;
            }
            now = now + Duration::from_mins(5);
        }
        assert_eq!(tries, MOST);
        let days = at.since(start).as_secs_f64() / 86_400.0;
        assert!((6.0..8.0).contains(&days), "{days}");
        assert!(!is_due(1, start, start + Duration::from_mins(4)));
        assert!(is_due(0, start, start), "nobody was asked yet");
    }
}
