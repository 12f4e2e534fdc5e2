//! What ticks become, by rule and by chance.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hourly(catchup: Catchup, overlap: Overlap) -> Schedule {
    Schedule {
        ticks: Ticks::cron("0 * * * *", "UTC").unwrap(),
        start: None,
        end: None,
        catchup,
        overlap,
        depends_on_past: false,
    }
}

/// A schedule with its mark and its runs, driven as the scheduler drives it.
struct World {
    schedule: Schedule,
    handled_until: Timestamp,
    live: Vec<LiveRun>,
    past_succeeded: bool,
    /// What happened, for people.
    log: Vec<String>,
    made: Vec<Timestamp>,
    skipped: Vec<(Timestamp, Timestamp, u32)>,
}

impl World {
    fn new(schedule: Schedule, begin: &str) -> Self {
        Self {
            schedule,
            handled_until: at(begin),
            live: Vec::new(),
            past_succeeded: true,
            log: Vec::new(),
            made: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn pass(&mut self, now: Timestamp) {
        loop {
            let standing = Standing {
                handled_until: self.handled_until,
                now,
                live: &self.live,
                past_succeeded: self.past_succeeded,
            };
            let Some(step) = self.schedule.step(&standing) else {
                break;
            };
            match step {
                Step::Skip {
                    first,
                    last,
                    count,
                    reason,
                } => {
                    self.log.push(match count {
                        1 => format!("{first} skipped: {reason}"),
                        _ => format!("{first} … {last} ({count}) skipped: {reason}"),
                    });
                    self.skipped.push((first, last, count));
                    self.handled_until = last;
                }
                Step::Run {
                    tick,
                    hold,
                    cancels_others,
                } => {
                    if cancels_others {
                        self.log.push("others are cancelled".to_owned());
                        self.live.clear();
                    }
                    let scheduled_for = tick.scheduled_for;
                    let how = hold.map_or("runs".to_owned(), |hold| format!("held: {hold}"));
                    self.log.push(format!("{scheduled_for} {how}"));
                    self.made.push(scheduled_for);
                    self.live.push(LiveRun {
                        scheduled_for,
                        held: hold.is_some(),
                    });
                    self.handled_until = scheduled_for;
                }
                Step::Rewind { to } => {
                    self.log.push(format!("back to {to}"));
                    self.handled_until = to;
                }
            }
        }
        let oldest = self.live.iter().position(|run| run.held);
        if let Some(oldest) = oldest
            && self.schedule.may_start(&self.live, self.past_succeeded)
        {
            self.live[oldest].held = false;
        }
    }

    /// The oldest run that goes on ends.
    fn end_one(&mut self) {
        if let Some(going_on) = self.live.iter().position(|run| !run.held) {
            self.live.remove(going_on);
        }
    }
}

/// Three ticks missed, one in time.
fn after_an_outage(catchup: Catchup) -> String {
    let mut world = World::new(hourly(catchup, Overlap::Skip), "2026-01-01T00:00:00Z");
    world.pass(at("2026-01-01T04:00:01Z"));
    world.log.join("\n")
}

#[test]
fn catches_up() {
    insta::assert_snapshot!(after_an_outage(Catchup::All), @"
    2026-01-01T01:00:00Z runs
    2026-01-01T02:00:00Z held: it waits for the run of an earlier tick to end
    2026-01-01T03:00:00Z held: it waits for the run of an earlier tick to end
    2026-01-01T04:00:00Z skipped: the run of 2026-01-01T01:00:00Z went on
    ");
    insta::assert_snapshot!(after_an_outage(Catchup::Last), @"
    2026-01-01T01:00:00Z … 2026-01-01T03:00:00Z (3) skipped: it was missed, and catchup is `last`
    2026-01-01T04:00:00Z runs
    ");
    insta::assert_snapshot!(after_an_outage(Catchup::None), @"
    2026-01-01T01:00:00Z … 2026-01-01T03:00:00Z (3) skipped: it was missed, and catchup is `none`
    2026-01-01T04:00:00Z runs
    ");
    insta::assert_snapshot!(after_an_outage(Catchup::Window(Duration::from_mins(90))), @"
    2026-01-01T01:00:00Z … 2026-01-01T02:00:00Z (2) skipped: it was missed, and catchup is `window`
    2026-01-01T03:00:00Z runs
    2026-01-01T04:00:00Z skipped: the run of 2026-01-01T03:00:00Z went on
    ");
}

/// A tick while one run goes on and another one waits.
fn while_one_goes_on(overlap: Overlap) -> String {
    let mut world = World::new(hourly(Catchup::All, overlap), "2026-01-01T00:00:00Z");
    for hour in 1..=3 {
        world.pass(at(&format!("2026-01-01T0{hour}:00:01Z")));
    }
    world.log.join("\n")
}

#[test]
fn overlaps() {
    insta::assert_snapshot!(while_one_goes_on(Overlap::Skip), @"
    2026-01-01T01:00:00Z runs
    2026-01-01T02:00:00Z skipped: the run of 2026-01-01T01:00:00Z went on
    2026-01-01T03:00:00Z skipped: the run of 2026-01-01T01:00:00Z went on
    ");
    insta::assert_snapshot!(while_one_goes_on(Overlap::QueueOne), @"
    2026-01-01T01:00:00Z runs
    2026-01-01T02:00:00Z held: it waits for the run of an earlier tick to end
    2026-01-01T03:00:00Z skipped: the run of 2026-01-01T02:00:00Z waited for its turn already
    ");
    insta::assert_snapshot!(while_one_goes_on(Overlap::QueueAll), @"
    2026-01-01T01:00:00Z runs
    2026-01-01T02:00:00Z held: it waits for the run of an earlier tick to end
    2026-01-01T03:00:00Z held: it waits for the run of an earlier tick to end
    ");
    insta::assert_snapshot!(while_one_goes_on(Overlap::CancelOther), @"
    2026-01-01T01:00:00Z runs
    others are cancelled
    2026-01-01T02:00:00Z held: it waits for the run of an earlier tick to end
    others are cancelled
    2026-01-01T03:00:00Z held: it waits for the run of an earlier tick to end
    ");
    insta::assert_snapshot!(while_one_goes_on(Overlap::Allow), @"
    2026-01-01T01:00:00Z runs
    2026-01-01T02:00:00Z runs
    2026-01-01T03:00:00Z runs
    ");
}

#[test]
fn waits_for_the_past() {
    let mut schedule = hourly(Catchup::All, Overlap::QueueAll);
    schedule.depends_on_past = true;
    let mut world = World::new(schedule, "2026-01-01T00:00:00Z");
    world.past_succeeded = false;
    world.pass(at("2026-01-01T02:00:01Z"));
    assert_eq!(world.live.iter().filter(|run| run.held).count(), 2);
    world.past_succeeded = true;
    world.pass(at("2026-01-01T02:00:02Z"));
    assert_eq!(world.live.iter().filter(|run| run.held).count(), 1);
}

#[test]
fn keeps_to_start_and_end() {
    let mut schedule = hourly(Catchup::All, Overlap::Allow);
    schedule.start = Some(at("2026-01-01T02:00:00Z"));
    schedule.end = Some(at("2026-01-01T03:00:00Z"));
    let mut world = World::new(schedule, "2026-01-01T00:00:00Z");
    world.pass(at("2026-01-02T00:00:00Z"));
    assert_eq!(
        world.made,
        [at("2026-01-01T02:00:00Z"), at("2026-01-01T03:00:00Z")]
    );
}

#[test]
fn a_mark_of_a_wrong_clock_goes_back() {
    let mut world = World::new(
        hourly(Catchup::Last, Overlap::Allow),
        "2030-01-01T00:00:00Z",
    );
    world.pass(at("2026-01-01T00:30:00Z"));
    world.pass(at("2026-01-01T01:00:00Z"));
    assert_eq!(world.made, [at("2026-01-01T01:00:00Z")]);
}

proptest! {
    /// Whatever the clock does and whenever runs end: every due tick becomes a run or is skipped,
    /// exactly once, in order; and with `all` none that was missed is lost.
    #[test]
    fn every_tick_is_decided_once(
        catchup in prop::sample::select(vec![
            Catchup::All, Catchup::Last, Catchup::None, Catchup::Window(Duration::from_hours(5)),
        ]),
        overlap in prop::sample::select(Overlap::ALL.to_vec()),
        // Minutes by which the clock moves, and whether a run ends.
        moves in prop::collection::vec((-90_i64..400, any::<bool>()), 1..60),
    ) {
        let begin = at("2026-01-01T00:30:00Z");
        let mut world = World::new(hourly(catchup, overlap), "2026-01-01T00:30:00Z");
        let (mut now, mut latest) = (begin, begin);
        for (minutes, ends) in moves {
            now = Timestamp::from_millis(now.as_millis() + minutes * 60_000);
            latest = latest.max(now);
            if ends {
                world.end_one();
            }
            world.pass(now);
        }
        let mut decided: Vec<Timestamp> = world.made.clone();
        for &(first, last, count) in &world.skipped {
            let within: Vec<Timestamp> = world.schedule.ticks
                .iter_after(first - Duration::from_millis(1))
                .take_while(|tick| *tick <= last)
                .collect();
            prop_assert_eq!(within.len(), count as usize);
            decided.extend(within);
        }
        decided.sort();
        let due: Vec<Timestamp> = world.schedule.ticks
            .iter_after(begin)
            .take_while(|tick| *tick <= world.handled_until)
            .collect();
        prop_assert_eq!(decided, due);
        prop_assert!(world.made.is_sorted_by(|a, b| a < b));
        // What is left to decide is made up for once there is room.
        let left = world.schedule.next_after(world.handled_until);
        let full = catchup == Catchup::All && world.live.len() >= MOST_MADE_UP;
        prop_assert!(left.is_none_or(|tick| tick > now) || full);
        if overlap != Overlap::Allow {
            prop_assert!(world.live.iter().filter(|run| !run.held).count() <= 1);
        }
    }

    /// Where no tick is to be left out, one that somebody was there to decide becomes a run,
    /// however many wait: it never counts as missed later.
    #[test]
    fn no_tick_is_lost_for_want_of_room(
        catchup in prop::sample::select(vec![
            Catchup::All, Catchup::Last, Catchup::None, Catchup::Window(Duration::from_hours(5)),
        ]),
        overlap in prop::sample::select(vec![Overlap::QueueAll, Overlap::Allow]),
        depends_on_past in any::<bool>(),
        outage in 0_u32..400,
        ends in prop::collection::vec(prop::bool::weighted(0.05), 110..250),
    ) {
        let mut schedule = hourly(catchup, overlap);
        schedule.ticks = Ticks::cron("* * * * *", "UTC").unwrap();
        schedule.depends_on_past = depends_on_past;
        let mut world = World::new(schedule, "2026-01-01T00:00:30Z");
        world.past_succeeded = !depends_on_past;
        let minute = Duration::from_mins(1);
        let there = at("2026-01-01T00:00:30Z") + minute * outage;
        world.pass(there);
        let mut now = there;
        for ends in ends {
            now = now + minute;
            if ends {
                world.end_one();
            }
            world.pass(now);
            let going_on = world.live.iter().filter(|run| !run.held).count();
            prop_assert!(going_on <= MOST_AT_ONCE);
        }
        prop_assert!(world.skipped.iter().all(|&(_, last, _)| last <= there));
        let full = catchup == Catchup::All && world.live.len() >= MOST_MADE_UP;
        let left = world.schedule.next_after(world.handled_until);
        prop_assert!(left.is_none_or(|tick| tick > now) || full);
    }
}
