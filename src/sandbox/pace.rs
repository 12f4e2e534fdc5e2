//! The clock of a simulated world: it stands until it is set, or moves by itself.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Clock, SystemClock, Timestamp};

/// A clock that stands until it is set, or moves by itself at some speed.
#[derive(Debug)]
pub struct WorldClock {
    machine: Arc<dyn Clock>,
    /// Its seconds in a second of the machine.
    speed: f64,
    set: Mutex<Set>,
}

/// What it was set to, and what the machine's clock showed then.
#[derive(Clone, Copy, Debug)]
struct Set {
    world: Timestamp,
    machine: Timestamp,
}

impl WorldClock {
    /// A clock that stands at `now`.
    pub(super) fn standing(now: Timestamp) -> Self {
        Self::moving(now, 0.0, Arc::new(SystemClock))
    }

    /// A clock that shows `now` and goes `speed` times as fast as `machine`.
    pub(super) fn moving(now: Timestamp, speed: f64, machine: Arc<dyn Clock>) -> Self {
        let set = Set {
            world: now,
            machine: machine.now(),
        };
        Self {
            machine,
            speed,
            set: Mutex::new(set),
        }
    }

    /// Sets the time, backwards too; it stands there, or goes on from there.
    pub fn set(&self, now: Timestamp) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = Set {
            world: now,
            machine: self.machine.now(),
        };
    }
}

impl Clock for WorldClock {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a saturating cast is what is wanted"
    )]
    fn now(&self) -> Timestamp {
        let set = *self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.machine.now().as_millis() - set.machine.as_millis();
        let moved = (passed as f64 * self.speed) as i64;
        Timestamp::from_millis(set.world.as_millis().saturating_add(moved))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn it_goes_on_from_where_it_was_set() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let machine = Arc::new(ManualClock::new(at("2027-05-01")));
        let machine_clock = Arc::clone(&machine) as Arc<dyn Clock>;
        let clock = WorldClock::moving(at("2026-01-01"), 60.0, machine_clock);
        machine.advance(Duration::from_mins(1));
        assert_eq!(clock.now(), at("2026-01-01T01:00:00Z"));
        clock.set(at("2026-01-05"));
        machine.advance(Duration::from_millis(500));
        assert_eq!(clock.now(), at("2026-01-05T00:00:30Z"));
        let standing = WorldClock::standing(at("2026-01-01"));
        standing.set(at("2026-01-02"));
        assert_eq!(standing.now(), at("2026-01-02"));
    }
}
