//! The budget against a server that counts strictly, over made-up time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use proptest::prelude::*;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

use super::{
    account::{Bounds, Budget, Came, MARGIN, Verdict},
    class::CallClass,
    told::{Count, Told},
};
use crate::clock::Timestamp;

/// A mark of ten minutes.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

const BOUNDS: Bounds = Bounds {
    ceiling: None,
    life: Duration::from_secs(90),
};

/// A server that counts strictly, and workers that ask as soon as they may.
struct World {
    dice: ChaCha8Rng,
    budget: Budget,
    limit: u64,
    counts: BTreeMap<i64, u64>,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    order: u64,
    /// This machine's clock, ahead of the server's.
    skew: i64,
    /// Workers before the last restart are gone.
    life: u64,
    odd: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask {
        life: u64,
    },
    Arrive {
        life: u64,
        number: u64,
    },
    Hear {
        life: u64,
        number: u64,
        arrived: i64,
        used: u64,
        kind: u8,
    },
    Restart,
}

impl World {
    fn new(seed: u64, limit: u64, odd: f64) -> Self {
        let mut world = Self {
            dice: ChaCha8Rng::seed_from_u64(seed),
            budget: Budget::default(),
            limit,
            counts: BTreeMap::new(),
            events: BinaryHeap::new(),
            order: 0,
            skew: 0,
            life: 0,
            odd,
        };
        world.skew = world.dice.random_range(-300_000..=300_000);
        let start = START.as_millis() + world.dice.random_range(0..600_000);
        for _ in 0..8 {
            world.plan(start, Event::Ask { life: 0 });
        }
        for _ in 0..5 {
            let when = start + world.dice.random_range(0..3_000_000);
            world.plan(when, Event::Restart);
        }
        world
    }

    fn plan(&mut self, when: i64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((when, self.order, event)));
    }

    fn here(&self, server: i64) -> Timestamp {
        Timestamp::from_millis(server + self.skew)
    }

    /// Lives through `windows` of ten minutes.
    fn live(&mut self, windows: i64) {
        let end = START.as_millis() + windows * 600_000;
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= end {
                break;
            }
            match event {
                Event::Ask { life } if life == self.life => self.ask(now),
                Event::Ask { .. } => {}
                Event::Arrive { life, number } => self.arrive(now, life, number),
                Event::Hear {
                    life,
                    number,
                    arrived,
                    used,
                    kind,
                } => {
                    if life == self.life {
                        self.hear(now, number, arrived, used, kind);
                    }
                }
                Event::Restart => {
                    // Killed: what is on its way arrives, and nobody hears the answer. The clock
                    // is another when it starts again.
                    self.life += 1;
                    self.skew = self.dice.random_range(-300_000..=300_000);
                    let life = self.life;
                    let text = serde_json::to_string(&self.budget).unwrap();
                    self.budget = serde_json::from_str(&text).unwrap();
                    for _ in 0..8 {
                        self.plan(now + 500, Event::Ask { life });
                    }
                }
            }
        }
    }

    fn ask(&mut self, now: i64) {
        let life = self.life;
        let class = CallClass::ALL[self.dice.random_range(0..4)];
        match self.budget.reserve(self.here(now), class, BOUNDS) {
            Verdict::Go(number) => {
                let way = self.dice.random_range(1..8000);
                self.plan(now + way, Event::Arrive { life, number });
            }
            Verdict::Wait(wait, _) => {
                assert!(
                    !wait.is_zero() && wait <= Duration::from_mins(21),
                    "{wait:?}"
                );
                // As the limiter waits.
                let wait = i64::try_from(wait.as_millis()).unwrap();
                self.plan(now + wait.max(50), Event::Ask { life });
            }
        }
    }

    fn arrive(&mut self, now: i64, life: u64, number: u64) {
        let count = self.counts.entry(now.div_euclid(600_000)).or_insert(0);
        *count += 1;
        let used = *count;
        assert!(
            used <= self.limit,
            "{used} calls of {} in a window",
            self.limit
        );
        let kind = if self.dice.random_bool(self.odd) {
            self.dice.random_range(1..=3)
        } else {
            0
        };
        let way = if kind == 1 {
            50_000
        } else {
            self.dice.random_range(1..30_000)
        };
        let arrived = now;
        self.plan(
            now + way,
            Event::Hear {
                life,
                number,
                arrived,
                used,
                kind,
            },
        );
    }

    fn hear(&mut self, now: i64, number: u64, arrived: i64, used: u64, kind: u8) {
        let second = arrived.div_euclid(1000);
        let date = Some(Timestamp::from_millis(second * 1000));
        let count = Count {
            remaining: self.limit - used,
            used,
            reset: Duration::from_secs(u64::try_from(600 - second.rem_euclid(600)).unwrap()),
        };
        let came = match kind {
            0 => Came::Answer(Told {
                date,
                count: Some(count),
                retry_after: None,
            }),
            1 => Came::Silence,
            2 => Came::Answer(Told {
                date,
                ..Told::default()
            }),
            _ => Came::Answer(Told::default()),
        };
        self.budget.settle(self.here(now), number, came);
        let life = self.life;
        self.plan(now + 1, Event::Ask { life });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Eight workers, five deaths, a clock that is somewhere else by up to ten minutes after each,
    /// answers that tell nothing: no window is ever exceeded, and the work goes on.
    #[test]
    fn no_window_is_ever_exceeded(
        seed in any::<u64>(),
        limit in 60_u64..400,
        odd in prop_oneof![Just(0.0), 0.0..0.5],
    ) {
        let mut world = World::new(seed, limit, odd);
        world.live(7);
        let asked: u64 = world.counts.values().sum();
        prop_assert!(asked >= limit, "{asked} calls in seven windows of {limit}");
    }

    /// Where answers come as they should and nobody dies, a window is used but for the margin.
    #[test]
    fn a_quiet_life_uses_its_windows(seed in any::<u64>(), limit in 60_u64..150) {
        let mut world = World::new(seed, limit, 0.0);
        world.events.retain(|Reverse((_, _, event))| *event != Event::Restart);
        world.live(5);
        let whole: Vec<u64> = world.counts.values().copied().collect();
        for count in &whole[1..whole.len() - 1] {
            prop_assert!(*count + MARGIN + 16 >= limit, "{count} of {limit}: {whole:?}");
        }
    }
}
