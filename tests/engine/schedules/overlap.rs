//! Runs of a schedule that wait for each other: overlap, the past, a pause.

use std::{sync::atomic::Ordering, time::Duration};

use trendmill::{
    clock::Clock,
    dag::schedule::{Catchup, Overlap},
    engine::{EngineEvent, Interval},
};

use super::{Fixed, Machine, runs, schedule};
use crate::kit::{Home, at, request, task};

#[tokio::test]
async fn a_run_waits_for_the_one_before_it() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:00:30Z"));
    let queue = schedule("0 * * * *", |rules| rules.overlap = Overlap::QueueOne);
    let schedules = Fixed::with(queue, "endless");
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    for _ in 0..3 {
        home.clock.advance(Duration::from_hours(1));
        machine.scheduler.nudge().await;
    }
    let unfinished = store.unfinished_ticks().await.unwrap();
    assert_eq!(unfinished.len(), 2);
    assert!(unfinished[0].hold.is_none() && unfinished[1].hold.is_some());
    let skipped = store.skipped_ticks("reddit/default", 10).await.unwrap();
    assert_eq!(skipped[0].first, at("2026-03-01T03:00:00Z"));
    assert!(
        skipped[0].reason.contains("waited"),
        "{}",
        skipped[0].reason
    );
    // It is not started by a restart either.
    machine.stop().await;
    machine = Machine::start(&home, &schedules).await;
    let unfinished = store.unfinished_ticks().await.unwrap();
    assert!(unfinished[0].hold.is_none() && unfinished[1].hold.is_some());
    for run in unfinished {
        machine.engine.cancel(&run.run_id).await.unwrap();
    }
    machine.settle(&store).await;
    assert_eq!(
        runs(&store).await,
        [
            "2026-03-01T01:00:00Z cancelled",
            "2026-03-01T02:00:00Z cancelled"
        ]
    );
    machine.stop().await;
}

#[tokio::test]
async fn all_that_waited_start_where_they_need_not_any_more() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:00:30Z"));
    let queue = schedule("0 * * * *", |rules| rules.overlap = Overlap::QueueAll);
    let schedules = Fixed::with(queue, "endless");
    let store = home.store().await;
    let machine = Machine::start(&home, &schedules).await;
    for _ in 0..4 {
        home.clock.advance(Duration::from_hours(1));
        machine.scheduler.nudge().await;
    }
    let held = async || {
        let unfinished = store.unfinished_ticks().await.unwrap();
        unfinished.iter().filter(|run| run.hold.is_some()).count()
    };
    assert_eq!(held().await, 3);
    schedules.schedules.lock().unwrap()[0].rules.overlap = Overlap::Allow;
    schedules.version.fetch_add(1, Ordering::Relaxed);
    machine.scheduler.nudge().await;
    assert_eq!(held().await, 0);
    machine.stop().await;
}

#[tokio::test]
async fn the_new_run_replaces_the_old_one() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:00:30Z"));
    let other = schedule("0 * * * *", |rules| rules.overlap = Overlap::CancelOther);
    let schedules = Fixed::with(other, "endless");
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    home.clock.advance(Duration::from_hours(1));
    machine.scheduler.nudge().await;
    home.clock.advance(Duration::from_hours(1));
    machine.scheduler.nudge().await;
    loop {
        if let EngineEvent::RunStarted { run_id, .. } = machine.events.recv().await.unwrap() {
            let run = store.run(&run_id).await.unwrap().unwrap();
            if run.scheduled_for == at("2026-03-01T02:00:00Z") {
                break;
            }
        }
    }
    assert_eq!(
        runs(&store).await,
        [
            "2026-03-01T01:00:00Z cancelled",
            "2026-03-01T02:00:00Z running"
        ]
    );
    machine.stop().await;
}

/// An old run is ended by the one that takes its place, and only where that can be made.
#[tokio::test]
async fn a_tick_that_cannot_become_a_run_replaces_nothing() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:00:30Z"));
    let other = schedule("0 * * * *", |rules| rules.overlap = Overlap::CancelOther);
    let schedules = Fixed::with(other, "endless");
    let store = home.store().await;
    let machine = Machine::start(&home, &schedules).await;
    home.clock.advance(Duration::from_hours(1));
    machine.scheduler.nudge().await;
    let first = store.runs(None, 1).await.unwrap().remove(0);
    *schedules.fault.lock().unwrap() = Some("no such encoder".to_owned());
    home.clock.set(at("2026-03-01T02:00:00Z"));
    machine.scheduler.nudge().await;
    let asked = || async {
        let row = store.run(&first.id).await.unwrap().unwrap();
        row.cancel_requested
    };
    assert!(!asked().await);
    *schedules.fault.lock().unwrap() = None;
    home.clock.advance(Duration::from_secs(30));
    machine.scheduler.nudge().await;
    // The wish is written in the turn that makes the run, so that no crash comes between.
    assert_eq!(store.runs(None, 9).await.unwrap().len(), 2);
    assert!(asked().await);
    machine.stop().await;
}

#[tokio::test]
async fn depends_on_past_waits_for_a_success() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:10:00Z"));
    let past = schedule("0 * * * *", |rules| {
        rules.overlap = Overlap::QueueAll;
        rules.depends_on_past = true;
    });
    let schedules = Fixed::with(past, "fails");
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    home.clock.advance(Duration::from_hours(1));
    machine.settle(&store).await;
    home.clock.advance(Duration::from_hours(1));
    machine.scheduler.nudge().await;
    let held = store.unfinished_ticks().await.unwrap();
    let hold = held[0].hold.as_deref().unwrap();
    assert!(hold.contains("depends_on_past"), "{hold}");
    // Somebody mends the past by hand.
    let mut again = request(vec![task("a", "noop", &[])]);
    again.interval = Interval {
        start: at("2026-03-01T00:00:00Z"),
        end: at("2026-03-01T01:00:00Z"),
    };
    let run_id = machine.engine.submit(again).await.unwrap().run_id;
    machine.engine.wait(&run_id).await.unwrap();
    machine.settle(&store).await;
    assert!(runs(&store).await[2].contains("02:00:00Z failed"));
    machine.stop().await;
}

#[tokio::test]
async fn a_paused_pipeline_makes_up_for_it_later() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:10:00Z"));
    let schedules = Fixed::new(schedule("0 * * * *", |rules| rules.catchup = Catchup::Last));
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    assert!(
        store
            .pause_pipeline("reddit", home.clock.now())
            .await
            .unwrap()
    );
    home.clock.advance(Duration::from_hours(3));
    machine.settle(&store).await;
    assert!(runs(&store).await.is_empty());
    store.unpause_pipeline("reddit").await.unwrap();
    machine.settle(&store).await;
    assert_eq!(runs(&store).await, ["2026-03-01T03:00:00Z succeeded"]);
    let skipped = store.skipped_ticks("reddit/default", 10).await.unwrap();
    assert_eq!((skipped.len(), skipped[0].count), (1, 2));
    let deadline = store
        .run_deadline(&store.runs(None, 1).await.unwrap()[0].id)
        .await
        .unwrap();
    assert_eq!(deadline, Some(at("2026-03-01T09:00:00Z")));
    machine.stop().await;
}
