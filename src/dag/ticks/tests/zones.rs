//! The contract in every zone of the database, 1970 to 2037, around every change of its clocks and
//! on random days.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};
use rand::{RngExt as _, SeedableRng as _};
use rayon::prelude::*;

use super::*;

const DAY: i64 = 86_400;
/// 2038-01-01T00:00:00Z.
const END: i64 = 2_145_916_800;

/// Jobs at a fixed time: before, in and after the hours at which clocks change, and at the ends of
/// the day.
const FIXED: [&str; 5] = [
    "0 0 * * *",
    "30 1 * * *",
    "30 2 * * *",
    "0 4 * * *",
    "45 23 * * *",
];

/// Every zone whose clocks differ from those of the zones before it.
fn zones() -> Vec<(Tz, Vec<i64>)> {
    let mut seen = BTreeSet::new();
    chrono_tz::TZ_VARIANTS
        .iter()
        .filter_map(|&zone| {
            let changes = changes(zone);
            let mut clocks = vec![(0, local::offset(zone, 0))];
            clocks.extend(changes.iter().map(|&at| (at, local::offset(zone, at))));
            seen.insert(clocks).then_some((zone, changes))
        })
        .collect()
}

/// The changes of a zone's clocks, found six hours by six hours.
fn changes(zone: Tz) -> Vec<i64> {
    const STEP: i64 = 6 * 3600;
    let mut changes = Vec::new();
    let mut before = local::offset(zone, 0);
    for end in (STEP..END).step_by(6 * 3600) {
        let here = local::offset(zone, end);
        if here != before {
            let seconds: Vec<i64> = (end - STEP..=end).collect();
            let first = seconds.partition_point(|&second| local::offset(zone, second) == before);
            changes.push(seconds[first]);
            before = here;
        }
    }
    changes
}

/// The ticks in `[from, to)`, by the pattern; checked to increase and to be found backwards too.
fn ticks_between(zone: Tz, pattern: &str, from: i64, to: i64) -> Vec<i64> {
    let ticks = Ticks::cron(pattern, zone.name()).unwrap();
    let forwards: Vec<i64> = ticks
        .iter_after(from_seconds(from) - MILLISECOND)
        .map(|tick| tick.as_millis() / 1000)
        .take_while(|&tick| tick < to)
        .collect();
    assert!(forwards.is_sorted_by(|a, b| a < b), "{zone} {pattern}");
    let backwards =
        std::iter::successors(ticks.before(from_seconds(to)), |tick| ticks.before(*tick));
    let mut backwards: Vec<i64> = backwards
        .map(|tick| tick.as_millis() / 1000)
        .take_while(|&tick| tick >= from)
        .collect();
    backwards.reverse();
    assert_eq!(forwards, backwards, "{zone} {pattern} from {}", naive(from));
    forwards
}

fn naive(second: i64) -> chrono::NaiveDateTime {
    DateTime::from_timestamp(second, 0).unwrap().naive_utc()
}

fn clock(zone: Tz, second: i64) -> chrono::NaiveDateTime {
    naive(local::shown(zone, second))
}

/// A fixed-time job runs once per local day: at its time, or right after the clocks jumped over it.
fn check_fixed(zone: Tz, pattern: &str, from: i64, to: i64, changes: &[i64]) {
    let mut fields = pattern
        .split(' ')
        .map(|field| field.parse::<u32>().unwrap_or(0));
    let (minute, hour) = (fields.next().unwrap(), fields.next().unwrap());
    let mut runs: BTreeMap<NaiveDate, u32> = BTreeMap::new();
    for tick in ticks_between(zone, pattern, from, to) {
        let shown = clock(zone, tick);
        let mut day = shown.date();
        if (shown.hour(), shown.minute(), shown.second()) != (hour, minute, 0) {
            assert!(
                changes.contains(&tick),
                "{zone} {pattern}: {shown} is no time of it"
            );
            // It stands for a time that the clocks jumped over, perhaps that of the day before.
            let jumped = naive(local::shown(zone, tick - 1) + 1);
            day = [jumped.date(), day]
                .into_iter()
                .find(|day| {
                    let time = day.and_hms_opt(hour, minute, 0).unwrap();
                    jumped <= time && time < shown
                })
                .unwrap_or_else(|| panic!("{zone} {pattern}: {shown} stands for nothing"));
        }
        *runs.entry(day).or_default() += 1;
    }
    // Every day that the clocks showed, but for the first and the last, of which only a part lies
    // in the window.
    let days: BTreeSet<NaiveDate> = (from..to)
        .step_by(900)
        .map(|second| clock(zone, second).date())
        .collect();
    let (first, last) = (clock(zone, from).date(), clock(zone, to - 1).date());
    for day in days.iter().filter(|&&day| day != first && day != last) {
        let count = runs.get(day).copied().unwrap_or(0);
        assert_eq!(count, 1, "{zone} {pattern}: {count} runs for {day}");
    }
}

/// A wildcard job runs whenever the clocks match, whichever hour they show again.
fn check_wildcard(zone: Tz, pattern: &str, period: i64, from: i64, to: i64) {
    // All clocks since 1970 differ from UTC by a multiple of 30 s, most by one of a quarter hour.
    let odd = |second: &i64| local::offset(zone, *second) % 900 != 0;
    let step = if (from..to).step_by(3600).any(|second| odd(&second)) {
        30
    } else {
        900
    };
    let wanted: Vec<i64> = (from..to)
        .step_by(step)
        .filter(|&second| local::shown(zone, second).rem_euclid(period) == 0)
        .collect();
    assert_eq!(
        ticks_between(zone, pattern, from, to),
        wanted,
        "{zone} {pattern}"
    );
}

fn check(zone: Tz, from: i64, to: i64, changes: &[i64]) {
    for pattern in FIXED {
        check_fixed(zone, pattern, from, to, changes);
    }
    check_wildcard(zone, "0 * * * *", 3600, from, to);
}

#[test]
fn every_zone_keeps_the_contract() {
    let zones = zones();
    assert!(zones.len() > 300, "{} zones", zones.len());
    zones.par_iter().for_each(|(zone, changes)| {
        for &change in changes {
            let midnight = change - change.rem_euclid(DAY);
            check(*zone, midnight - 3 * DAY, midnight + 4 * DAY, changes);
            check_wildcard(*zone, "*/30 * * * *", 1800, midnight, midnight + DAY);
        }
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let midnight = random.random_range(1..END / DAY - 3) * DAY;
            check(*zone, midnight, midnight + 3 * DAY, changes);
        }
    });
}

/// The local times of the ticks of some days.
fn shown(zone: &str, pattern: &str, from: &str, to: &str) -> Vec<String> {
    let zone: Tz = zone.parse().unwrap();
    let second = |day: &str| {
        start_of_day(day.parse().unwrap(), zone.name())
            .unwrap()
            .as_millis()
            / 1000
    };
    ticks_between(zone, pattern, second(from), second(to))
        .into_iter()
        .map(|tick| clock(zone, tick).format("%d %H:%M:%S").to_string())
        .collect()
}

/// Samoa went over the date line: after the 29th came the 31st.
#[test]
fn a_day_that_never_was_has_no_run() {
    assert_eq!(
        shown("Pacific/Apia", "0 4 * * *", "2011-12-28", "2012-01-02"),
        ["28 04:00:00", "29 04:00:00", "31 04:00:00", "01 04:00:00"]
    );
    assert_eq!(
        shown("Pacific/Apia", "0 */12 * * *", "2011-12-29", "2012-01-01"),
        ["29 00:00:00", "29 12:00:00", "31 00:00:00", "31 12:00:00"]
    );
}

/// Liberia's clocks were 44 min 30 s behind UTC, until 1972-01-07 began at 00:44:30.
#[test]
fn an_offset_with_seconds_is_kept() {
    assert_eq!(
        shown("Africa/Monrovia", "30 0 * * *", "1972-01-06", "1972-01-09"),
        ["06 00:30:00", "07 00:44:30", "08 00:30:00"]
    );
    let ticks = Ticks::cron("0 4 * * *", "Africa/Monrovia").unwrap();
    let tick = ticks.after(at("1972-01-05T12:00:00Z")).unwrap();
    assert_eq!(tick.to_string(), "1972-01-06T04:44:30Z");
    assert_eq!(tick.date_time().day(), 6);
}
