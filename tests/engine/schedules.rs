//! Schedules become runs: once per tick, whatever the clock does and whoever dies.

mod overlap;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::sync::broadcast;
use trendmill::{
    clock::Clock,
    dag::{
        RunState,
        schedule::{Catchup, Overlap, Schedule},
        ticks::Ticks,
    },
    engine::{
        EngineEvent, Handle, Interval, RunRequest, TaskError,
        scheduler::{
            LoadedSchedules, PlannedSchedule, Scheduler, SchedulerHandle, Schedules, WantedRun,
        },
    },
    store::{BackfillInterval, BackfillRow, Store},
};

use crate::kit::{Fake, Home, at, request, task};

/// Pipelines that are always the same: one task, `noop` unless told otherwise.
#[derive(Debug)]
struct Fixed {
    schedules: Mutex<Vec<PlannedSchedule>>,
    op: &'static str,
    fault: Mutex<Option<String>>,
    version: AtomicU64,
}

impl Fixed {
    fn new(schedule: PlannedSchedule) -> Arc<Self> {
        Self::with(schedule, "noop")
    }

    fn with(schedule: PlannedSchedule, op: &'static str) -> Arc<Self> {
        Arc::new(Self {
            schedules: Mutex::new(vec![schedule]),
            op,
            fault: Mutex::default(),
            version: AtomicU64::new(1),
        })
    }
}

impl Schedules for Fixed {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    fn load(&self) -> LoadedSchedules {
        LoadedSchedules {
            schedules: self.schedules.lock().unwrap().clone(),
            broken: Vec::new(),
        }
    }

    fn request<'a>(&'a self, wanted: WantedRun<'a>) -> BoxFuture<'a, Result<RunRequest, String>> {
        Box::pin(async move {
            if let Some(fault) = self.fault.lock().unwrap().clone() {
                return Err(fault);
            }
            let mut request = request(vec![task("a", self.op, &[])]);
            request.interval = Interval {
                start: wanted.tick.interval_start,
                end: wanted.tick.interval_end,
            };
            Ok(request)
        })
    }
}

/// A schedule of the pipeline `reddit`, on the clocks of Berlin.
fn schedule(cron: &str, change: impl FnOnce(&mut Schedule)) -> PlannedSchedule {
    let mut rules = Schedule {
        ticks: Ticks::cron(cron, "Europe/Berlin").unwrap(),
        start: None,
        end: None,
        catchup: Catchup::All,
        overlap: Overlap::Skip,
        depends_on_past: false,
    };
    change(&mut rules);
    PlannedSchedule {
        id: "reddit/default".to_owned(),
        pipeline: "reddit".to_owned(),
        name: "default".to_owned(),
        rules,
        timing: cron.to_owned(),
        spec: "{}".to_owned(),
        deadline: Some(Duration::from_hours(6)),
    }
}

/// A scheduler with its engine, woken by nudges only.
struct Machine {
    engine: Handle,
    scheduler: SchedulerHandle,
    events: broadcast::Receiver<EngineEvent>,
}

impl Machine {
    async fn start(home: &Home, schedules: &Arc<Fixed>) -> Self {
        let engine = home
            .start(vec![
                Fake::endless("endless"),
                Fake::new("fails", |_| async {
                    Err(TaskError::fail(anyhow::anyhow!("no")))
                }),
            ])
            .await;
        let store = home.store().await;
        for run in store.unfinished_runs(None).await.unwrap() {
            if run.hold.is_none() {
                engine.resume(&run.id).await.unwrap();
            }
        }
        let events = engine.subscribe();
        let scheduler = Scheduler {
            store,
            engine: engine.clone(),
            clock: Arc::clone(&home.clock) as Arc<dyn Clock>,
            schedules: Arc::clone(schedules) as Arc<dyn Schedules>,
            ticks: true,
            wakes: false,
        }
        .start();
        scheduler.nudge().await;
        Self {
            engine,
            scheduler,
            events,
        }
    }

    async fn stop(self) {
        self.scheduler.stop().await;
        self.engine.stop();
        self.engine.stopped_for_good().await;
    }

    /// Works until no run of a schedule or backfill is left to do.
    async fn settle(&mut self, store: &Store) {
        loop {
            self.scheduler.nudge().await;
            let idle = store.unfinished_ticks().await.unwrap().is_empty()
                && store
                    .backfills(true)
                    .await
                    .unwrap()
                    .iter()
                    .all(|row| row.state != "running");
            if idle {
                return;
            }
            while !matches!(
                self.events.recv().await,
                Ok(EngineEvent::RunEnded { .. }) | Err(broadcast::error::RecvError::Lagged(_))
            ) {}
        }
    }
}

/// The runs of the schedule, oldest tick first, as `tick state`.
async fn runs(store: &Store) -> Vec<String> {
    let mut rows = store.runs(None, 10_000).await.unwrap();
    rows.sort_by_key(|row| row.scheduled_for);
    rows.iter()
        .map(|row| format!("{} {}", row.scheduled_for, row.state.name()))
        .collect()
}

/// 366 days with outages of hours and days, daylight saving and clocks that are set: every local
/// day has its run, none has two.
#[tokio::test]
async fn a_year_has_a_run_for_every_day() {
    let home = Home::new();
    home.clock.set(at("2025-06-30T22:00:00Z"));
    let schedules = Fixed::new(schedule("30 2 * * *", |_| {}));
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    let mut day = 0;
    while day < 366 {
        // Every ninth stop lasts from one to five days; work is cut off in the middle of a pass.
        let days = if day % 9 == 4 { 1 + day % 5 } else { 1 };
        let days = days.min(366 - day);
        if days > 1 || day % 13 == 0 {
            machine.stop().await;
            home.clock.advance(Duration::from_hours(24) * days);
            machine = Machine::start(&home, &schedules).await;
        } else {
            // An hour forth and back on the way.
            home.clock.advance(Duration::from_hours(10));
            machine.scheduler.nudge().await;
            home.clock.set(home.clock.now() - Duration::from_hours(1));
            machine.scheduler.nudge().await;
            home.clock.advance(Duration::from_hours(15));
        }
        machine.settle(&store).await;
        day += days;
    }
    machine.stop().await;
    let runs = runs(&store).await;
    assert_eq!(runs.len(), 366);
    assert!(
        runs.iter().all(|run| run.ends_with(" succeeded")),
        "{runs:?}"
    );
    let ticks = Ticks::cron("30 2 * * *", "Europe/Berlin").unwrap();
    let wanted: Vec<String> = ticks
        .iter_after(at("2025-06-30T22:00:00Z"))
        .take(366)
        .map(|tick| format!("{tick} succeeded"))
        .collect();
    assert_eq!(runs, wanted);
    let row = &store.runs(None, 1).await.unwrap()[0];
    assert_eq!(row.trigger, "scheduled");
    assert_eq!(Some(row.interval_start), ticks.before(row.scheduled_for));
}

/// The engine dies at any point between a tick and its run, again and again.
#[tokio::test]
async fn a_stop_in_the_middle_doubles_nothing() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:10:00Z"));
    let schedules = Fixed::new(schedule("0 * * * *", |rules| {
        rules.overlap = Overlap::Allow;
    }));
    let store = home.store().await;
    for turn in 0..24 {
        let machine = Machine::start(&home, &schedules).await;
        home.clock.advance(Duration::from_hours(1));
        let scheduler = machine.scheduler.clone();
        let pass = tokio::spawn(async move { scheduler.nudge().await });
        for _ in 0..turn {
            tokio::task::yield_now().await;
        }
        machine.engine.stop();
        machine.engine.stopped_for_good().await;
        machine.scheduler.stop().await;
        pass.await.unwrap();
    }
    let mut machine = Machine::start(&home, &schedules).await;
    machine.settle(&store).await;
    machine.stop().await;
    let wanted: Vec<String> = (1..=24)
        .map(|hour| at("2026-03-01T00:00:00Z") + Duration::from_hours(hour))
        .map(|tick| format!("{tick} succeeded"))
        .collect();
    assert_eq!(runs(&store).await, wanted);
}

#[tokio::test]
async fn a_tick_that_cannot_become_a_run_is_tried_again() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:10:00Z"));
    let schedules = Fixed::new(schedule("0 * * * *", |_| {}));
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    *schedules.fault.lock().unwrap() = Some("no such encoder".to_owned());
    home.clock.advance(Duration::from_hours(1));
    machine.settle(&store).await;
    let row = &store.schedules().await.unwrap()[0];
    assert_eq!(row.fault.as_deref(), Some("no such encoder"));
    *schedules.fault.lock().unwrap() = None;
    home.clock.advance(Duration::from_mins(1));
    machine.settle(&store).await;
    assert_eq!(runs(&store).await, ["2026-03-01T01:00:00Z succeeded"]);
    assert_eq!(store.schedules().await.unwrap()[0].fault, None);
    machine.stop().await;
}

/// A schedule begins when it is first seen, or where it says; one that changed begins anew.
#[tokio::test]
async fn a_schedule_begins_when_it_is_seen() {
    let home = Home::new();
    home.clock.set(at("2026-03-01T00:10:00Z"));
    let start = |rules: &mut Schedule| rules.start = Some(at("2026-02-28T22:00:00Z"));
    let schedules = Fixed::new(schedule("0 * * * *", start));
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    machine.settle(&store).await;
    assert_eq!(runs(&store).await.len(), 3);
    home.clock.advance(Duration::from_mins(10));
    *schedules.schedules.lock().unwrap() = vec![schedule("*/5 * * * *", |_| {})];
    machine.scheduler.reload().await;
    machine.settle(&store).await;
    assert_eq!(runs(&store).await.len(), 3);
    *schedules.schedules.lock().unwrap() = Vec::new();
    schedules.version.store(2, Ordering::Relaxed);
    machine.scheduler.nudge().await;
    assert!(store.schedules().await.unwrap()[0].removed_at.is_some());
    machine.stop().await;
}

#[tokio::test]
async fn a_backfill_is_worked_off_in_order() {
    let home = Home::new();
    let schedules = Fixed::new(schedule("0 0 1 1 *", |_| {}));
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    backfill(&store, 5).await;
    machine.scheduler.nudge().await;
    // Those that have ended make room for the next ones, however soon that is.
    let made = store.runs(None, 10).await.unwrap();
    let waiting = made.iter().filter(|run| !run.state.is_final());
    assert!(waiting.count() <= 4);
    machine.settle(&store).await;
    let rows = store.backfill_intervals("b").await.unwrap();
    assert!(
        rows.iter()
            .all(|row| row.run_state == Some(RunState::Succeeded))
    );
    assert_eq!(store.backfills(false).await.unwrap()[0].state, "succeeded");
    let made = store.runs(None, 10).await.unwrap();
    assert_eq!(made.len(), 5);
    assert!(made.iter().all(|run| run.trigger == "backfill"));
    machine.stop().await;
}

/// A backfill `b` of so many days, two at once.
async fn backfill(store: &Store, days: u32) {
    let day = |number: u32| at("2026-01-01") + Duration::from_hours(24) * number;
    let interval = |position| BackfillInterval {
        position,
        scheduled_for: day(position + 1),
        interval_start: day(position),
        interval_end: day(position + 1),
        run_id: None,
        run_state: None,
        fault: None,
    };
    let row = BackfillRow {
        id: "b".to_owned(),
        pipeline: "reddit".to_owned(),
        request: "{}".to_owned(),
        concurrency: 2,
        state: "running".to_owned(),
        created_at: at("2026-03-01"),
        ended_at: None,
    };
    let intervals: Vec<BackfillInterval> = (0..days).map(interval).collect();
    store.insert_backfill(&row, &intervals).await.unwrap();
}

#[tokio::test]
async fn an_interval_that_cannot_become_a_run_is_tried_again() {
    let home = Home::new();
    let schedules = Fixed::new(schedule("0 0 1 1 *", |_| {}));
    let store = home.store().await;
    let mut machine = Machine::start(&home, &schedules).await;
    *schedules.fault.lock().unwrap() = Some("no such file".to_owned());
    backfill(&store, 3).await;
    machine.scheduler.nudge().await;
    machine.scheduler.nudge().await;
    assert_eq!(store.backfills(false).await.unwrap()[0].state, "running");
    *schedules.fault.lock().unwrap() = None;
    home.clock.advance(Duration::from_secs(30));
    machine.settle(&store).await;
    assert_eq!(store.backfills(false).await.unwrap()[0].state, "succeeded");
    machine.stop().await;
}

#[tokio::test]
async fn intervals_that_can_never_become_runs_end_a_backfill() {
    let home = Home::new();
    let schedules = Fixed::new(schedule("0 0 1 1 *", |_| {}));
    let store = home.store().await;
    let machine = Machine::start(&home, &schedules).await;
    *schedules.fault.lock().unwrap() = Some("no such file".to_owned());
    backfill(&store, 3).await;
    for _ in 0..11 {
        machine.scheduler.nudge().await;
        home.clock.advance(Duration::from_secs(30));
    }
    assert_eq!(store.backfills(false).await.unwrap()[0].state, "failed");
    let rows = store.backfill_intervals("b").await.unwrap();
    let told = |row: &BackfillInterval| row.fault.as_deref() == Some("no such file");
    assert!(rows.iter().all(told));
    machine.stop().await;
}

/// Schedules under whose hands backfills are cancelled.
#[derive(Debug)]
struct Cancelling(Store);

impl Schedules for Cancelling {
    fn version(&self) -> u64 {
        1
    }

    fn load(&self) -> LoadedSchedules {
        LoadedSchedules::default()
    }

    fn request<'a>(&'a self, _wanted: WantedRun<'a>) -> BoxFuture<'a, Result<RunRequest, String>> {
        Box::pin(async {
            let now = Some(at("2026-03-01"));
            let cancelled = self.0.set_backfill_state("b", "cancelled", now).await;
            assert!(cancelled.unwrap());
            Ok(request(vec![task("a", "endless", &[])]))
        })
    }
}

#[tokio::test]
async fn a_run_made_while_its_backfill_is_cancelled_is_cancelled_too() {
    let home = Home::new();
    let store = home.store().await;
    let engine = home.start(vec![Fake::endless("endless")]).await;
    backfill(&store, 3).await;
    let scheduler = Scheduler {
        store: store.clone(),
        engine: engine.clone(),
        clock: Arc::clone(&home.clock) as Arc<dyn Clock>,
        schedules: Arc::new(Cancelling(store.clone())),
        ticks: true,
        wakes: false,
    }
    .start();
    scheduler.nudge().await;
    let made = store.runs(None, 10).await.unwrap();
    assert_eq!(made.len(), 1);
    let summary = engine.wait(&made[0].id).await.unwrap();
    assert_eq!(summary.state, RunState::Cancelled);
    scheduler.stop().await;
}

/// The machine's clock wakes it by itself.
#[tokio::test]
async fn it_wakes_when_a_tick_is_due() {
    let home = Home::new();
    let mut every = schedule("0 0 1 1 *", |rules| rules.overlap = Overlap::Allow);
    every.rules.ticks = Ticks::every(Duration::from_secs(1), Duration::ZERO);
    let schedules = Fixed::new(every);
    let engine = home.start(Vec::new()).await;
    let mut events = engine.subscribe();
    let scheduler = Scheduler {
        store: home.store().await,
        engine: engine.clone(),
        clock: Arc::new(trendmill::clock::SystemClock),
        schedules,
        ticks: true,
        wakes: true,
    }
    .start();
    let mut ended = 0;
    while ended < 2 {
        if let EngineEvent::RunEnded { .. } = events.recv().await.unwrap() {
            ended += 1;
        }
    }
    scheduler.stop().await;
    engine.stop();
    engine.stopped_for_good().await;
}
