//! Tests of the budget, case by case.

use std::time::Duration;

use super::{
    account::{Bounds, Budget, Came, Cause, MARGIN, Verdict},
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

fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// An answer at `seconds` of the server's time.
fn told(seconds: u64, remaining: u64, used: u64) -> Came {
    Came::Answer(Told {
        date: Some(at(seconds)),
        count: Some(Count {
            remaining,
            used,
            reset: Duration::from_secs(600 - seconds % 600),
        }),
        retry_after: None,
    })
}

/// A budget that has heard of its window at `seconds`.
fn known(seconds: u64, remaining: u64, used: u64) -> Budget {
    let mut budget = Budget::default();
    let number = go(budget.reserve(at(seconds), CallClass::Discovery, BOUNDS));
    budget.settle(at(seconds), number, told(seconds, remaining, used));
    budget
}

fn go(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Go(number) => number,
        Verdict::Wait(..) => panic!("{verdict:?}"),
    }
}

/// How many calls of `class` may leave at `seconds`.
fn may_leave(budget: &Budget, seconds: u64, class: CallClass) -> usize {
    let mut budget = budget.clone();
    (0..10_000)
        .take_while(|_| matches!(budget.reserve(at(seconds), class, BOUNDS), Verdict::Go(_)))
        .count()
}

#[test]
fn before_the_first_answer_one_call_leaves_alone() {
    let mut budget = Budget::default();
    let number = go(budget.reserve(at(0), CallClass::ReRead, BOUNDS));
    let second = budget.reserve(at(1), CallClass::ReRead, BOUNDS);
    assert!(matches!(second, Verdict::Wait(_, Cause::Probing)));
    budget.settle(at(2), number, told(2, 995, 5));
    assert!(may_leave(&budget, 2, CallClass::ReRead) > 100);
}

#[test]
fn the_budget_is_what_the_server_tells() {
    // At the end of a window all is free for everybody but the margin.
    for limit in [600, 1000] {
        let budget = known(599, limit - 1, 1);
        let free = may_leave(&budget, 599, CallClass::Authors) as u64;
        assert_eq!(free, limit - 1 - MARGIN);
    }
    let mut held = BOUNDS;
    held.ceiling = Some(100);
    let mut budget = known(599, 999, 1);
    let granted = (0..1000)
        .take_while(|_| {
            matches!(
                budget.reserve(at(599), CallClass::Authors, held),
                Verdict::Go(_)
            )
        })
        .count() as u64;
    assert_eq!(
        granted,
        100 - 1 - MARGIN,
        "a ceiling of one's own is kept too"
    );
}

#[test]
fn calls_are_spread_over_the_window_after_a_burst() {
    let budget = known(0, 999, 1);
    assert_eq!(may_leave(&budget, 0, CallClass::Authors), 249);
    assert_eq!(may_leave(&budget, 200, CallClass::Authors), 499);
}

#[test]
fn a_class_finds_what_is_kept_for_it() {
    // Discovery has asked for all that it may by the middle of the window.
    let mut budget = known(300, 999, 1);
    while let Verdict::Go(number) = budget.reserve(at(300), CallClass::Discovery, BOUNDS) {
        budget.settle(at(300), number, told(300, 998 - number, number + 2));
    }
    assert_eq!(may_leave(&budget, 300, CallClass::Authors), 0);
    assert_eq!(may_leave(&budget, 300, CallClass::DeletionSync), 100);
    assert_eq!(may_leave(&budget, 300, CallClass::ReRead), 250);
    // Where little is left, it is for them.
    let budget = known(300, 300, 700);
    assert_eq!(may_leave(&budget, 300, CallClass::Authors), 0);
    assert!(may_leave(&budget, 300, CallClass::ReRead) >= 125);
}

#[test]
fn who_asks_beside_us_is_counted() {
    let mut budget = known(599, 900, 100);
    let number = go(budget.reserve(at(599), CallClass::ReRead, BOUNDS));
    budget.settle(at(599), number, told(599, 20, 980));
    let free = may_leave(&budget, 599, CallClass::ReRead) as u64;
    assert_eq!(free, 20 - MARGIN);
}

#[test]
fn what_the_server_may_have_counted_is_held_until_it_says_so() {
    let mut budget = known(590, 500, 500);
    let free = may_leave(&budget, 590, CallClass::ReRead);
    let lost = go(budget.reserve(at(590), CallClass::ReRead, BOUNDS));
    budget.settle(at(590), lost, Came::Silence);
    assert_eq!(may_leave(&budget, 590, CallClass::ReRead), free - 1);
    let unsent = go(budget.reserve(at(590), CallClass::ReRead, BOUNDS));
    budget.settle(at(590), unsent, Came::Unsent);
    assert_eq!(may_leave(&budget, 590, CallClass::ReRead), free - 1);
    // It was lost on its way: an answer to a call that left well after knows that.
    let next = go(budget.reserve(at(601), CallClass::ReRead, BOUNDS));
    budget.settle(at(601), next, told(601, 999, 1));
    assert!(budget.strays.is_empty());
}

#[test]
fn a_new_window_begins_with_one_probe() {
    let mut budget = known(300, 500, 500);
    let probe = go(budget.reserve(at(606), CallClass::ReRead, BOUNDS));
    let second = budget.reserve(at(606), CallClass::ReRead, BOUNDS);
    assert!(matches!(second, Verdict::Wait(_, Cause::Probing)));
    // The clock was wrong: the server is still in the old window.
    budget.settle(at(606), probe, told(420, 499, 501));
    assert_eq!(budget.offset, -185_500);
    assert_eq!(budget.window.as_ref().unwrap().left, 499);
    let probe = go(budget.reserve(at(800), CallClass::ReRead, BOUNDS));
    budget.settle(at(800), probe, told(614, 999, 1));
    assert_eq!(budget.window.as_ref().unwrap().left, 999);
}

#[test]
fn a_spent_window_is_waited_for() {
    let mut budget = known(300, 4, 996);
    let Verdict::Wait(wait, Cause::Spent) = budget.reserve(at(300), CallClass::ReRead, BOUNDS)
    else {
        panic!("it is spent");
    };
    assert!((295..=306).contains(&wait.as_secs()), "{wait:?}");
}

#[test]
fn a_refusal_stops_all_and_slows_down() {
    let mut budget = known(100, 900, 100);
    let number = go(budget.reserve(at(100), CallClass::ReRead, BOUNDS));
    let refused = Told {
        date: Some(at(100)),
        retry_after: Some(Duration::from_secs(40)),
        ..Told::default()
    };
    budget.settle(at(100), number, Came::Answer(refused));
    budget.refuse(at(100), refused);
    let verdict = budget.reserve(at(101), CallClass::DeletionSync, BOUNDS);
    assert!(matches!(verdict, Verdict::Wait(wait, Cause::Stopped) if wait.as_secs() >= 38));
    // Afterwards at half the pace: 125 + 375 · 300/600, of which 100 and the stray are used.
    assert_eq!(may_leave(&budget, 300, CallClass::Authors), 211);
    // One that says nothing of its length doubles.
    budget.refuse(at(300), Told::default());
    budget.refuse(at(300), Told::default());
    let left = budget.stopped(at(300)).unwrap();
    assert_eq!(left.as_secs(), 20);
    // And where nothing is left it lasts until the window ends.
    let mut budget = known(100, 0, 1000);
    budget.refuse(at(100), Told::default());
    assert!(budget.stopped(at(100)).unwrap().as_secs() >= 500);
}
