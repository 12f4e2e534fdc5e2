//! A year of the daily pipeline on the simulated Reddit, with outages: nothing is lost, nothing is
//! done twice, and what retention speaks of stops growing.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::sync::broadcast::{self, error::RecvError};
use trendmill::{
    app::App,
    clock::{Clock, ManualClock, Timestamp},
    config::Settings,
    dag::{RunState, ticks::Ticks},
    engine::{EngineEvent, Handle, scheduler::SchedulerHandle},
    store::{RunRow, Store},
};

const DAYS: u32 = 366;
const START: &str = "2025-06-30T22:00:00Z";

/// The daily pipeline without encoders; it learns from a window that is full after two months.
const DAILY: &str = r#"
name = "daily"

[schedule]
cron = "30 2 * * *"
timezone = "Europe/Berlin"
catchup = "all"
overlap = "queue-all"

[[task]]
id = "scrape"
op = "scrape"
source = "sandbox:start=2025-07-01,posts=2"

[[task]]
id = "refresh"
op = "refresh"
after = ["scrape"]
horizon = "36h"
tolerance = "1h"

[[task]]
id = "filter"
op = "filter"
after = ["refresh"]
keep = "media_count > 0"
window = 120

[[task]]
id = "fetch_images"
op = "fetch_images"
after = ["filter"]

[[task]]
id = "merge"
op = "merge"
after = ["fetch_images"]
blocks = {}
numbers = ["hour", "weekday", "title_length"]
categories = ["community"]
target = "log1p(score)"

[[task]]
id = "train"
op = "train"
after = ["merge"]
head = "ridge"
resamples = 10

[[task]]
id = "evaluate"
op = "evaluate"
after = ["train"]
ablation = false

[[task]]
id = "persist"
op = "persist"
after = ["evaluate"]
"#;

/// A pipeline that makes no models, so that nothing needs its old runs.
const LOOK: &str = r#"
name = "look"

[schedule]
every = "6h"
catchup = "all"
overlap = "queue-all"

[[task]]
id = "look"
op = "noop"
"#;

const SETTINGS: &str = r#"
[engine]
executor = "inline"

[retention]
logs = "20d"
artifacts = "10d"
matrices = 3
runs = "30d"
"#;

/// The process of a daemon: the app of the home with its engine and scheduler.
struct Machine {
    app: Arc<App>,
    engine: Handle,
    scheduler: SchedulerHandle,
    events: broadcast::Receiver<EngineEvent>,
}

impl Machine {
    async fn start(home: &Path, clock: &Arc<ManualClock>) -> Self {
        let settings = Settings::from_layers(SETTINGS, []).unwrap();
        let app = App::open(home, settings).await.unwrap();
        let app = Arc::new(app.with_clock(Arc::clone(clock) as Arc<dyn Clock>));
        let engine = app.start_engine().await.unwrap();
        for run in app.store().unfinished_runs(None).await.unwrap() {
            if run.hold.is_none() {
                engine.resume(&run.id).await.unwrap();
            }
        }
        let events = engine.subscribe();
        let scheduler = app.scheduler(&engine, true, false).start();
        // A schedule begins when it is first seen.
        scheduler.nudge().await;
        Self {
            app,
            engine,
            scheduler,
            events,
        }
    }

    /// Stops at once, whatever is under way.
    async fn stop(self) {
        self.scheduler.stop().await;
        self.engine.stop();
        self.engine.stopped_for_good().await;
    }

    /// Works until no tick is left to do.
    async fn settle(&mut self) {
        loop {
            self.scheduler.nudge().await;
            let store = self.app.store();
            if store.unfinished_ticks().await.unwrap().is_empty() {
                return;
            }
            loop {
                match self.events.recv().await {
                    Ok(EngineEvent::RunEnded { .. }) | Err(RecvError::Lagged(_)) => break,
                    Ok(_) => {}
                    Err(RecvError::Closed) => panic!("the engine has ended with work to do"),
                }
            }
        }
    }
}

/// What a home takes, in bytes.
#[derive(Clone, Copy)]
struct Bytes {
    /// Logs, and the files of runs: retention drops the old ones.
    passing: u64,
    /// Records, images, and model versions with the runs that made them: kept for good.
    lasting: u64,
}

impl Bytes {
    fn of(home: &Path) -> Self {
        let below = |name: &str| size_of(&home.join(name));
        // What SQLite has not yet moved into the databases comes and goes with each restart.
        let file = |name: &str| fs_err::metadata(home.join(name)).map_or(0, |about| about.len());
        Self {
            passing: below("data/logs") + below("data/runs"),
            lasting: below("data/media")
                + below("model_registry")
                + file("data/state.db")
                + file("data/content.db"),
        }
    }
}

fn size_of(path: &Path) -> u64 {
    let entries = fs_err::read_dir(path).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_of(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

async fn runs_of(store: &Store, pipeline: &str) -> Vec<RunRow> {
    store.runs(Some(pipeline), 10_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_loses_nothing_and_fills_no_disk() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let home = folder.path();
    fs_err::create_dir(home.join("pipelines")).unwrap();
    for (name, text) in [("daily", DAILY), ("look", LOOK)] {
        fs_err::write(home.join(format!("pipelines/{name}.toml")), text).unwrap();
    }
    let start: Timestamp = START.parse().unwrap();
    let clock = Arc::new(ManualClock::new(start));
    let mut machine = Machine::start(home, &clock).await;
    // The run of each tick; retention drops those of `look` before the year is over.
    let mut made: BTreeMap<(String, Timestamp), String> = BTreeMap::new();
    let mut sizes = Vec::new();
    let mut day = 0;
    while day < DAYS {
        // Every ninth stop is an outage of two to five days; every thirteenth a death at work.
        let days = if day % 9 == 4 { 1 + day % 5 } else { 1 };
        let days = days.min(DAYS - day);
        if days > 1 {
            machine.stop().await;
            clock.advance(Duration::from_hours(24) * days);
            machine = Machine::start(home, &clock).await;
        } else {
            clock.advance(Duration::from_hours(24));
            if day % 13 == 0 {
                machine.scheduler.nudge().await;
                machine.stop().await;
                machine = Machine::start(home, &clock).await;
            }
        }
        machine.settle().await;
        day += days;
        for pipeline in ["daily", "look"] {
            for run in runs_of(machine.app.store(), pipeline).await {
                assert_eq!(run.state, RunState::Succeeded, "{run:?}");
                let known = made.entry((run.pipeline, run.scheduled_for));
                assert_eq!(
                    known.or_insert_with(|| run.id.clone()),
                    &run.id,
                    "done twice"
                );
            }
        }
        machine.app.retain().await.unwrap();
        sizes.push((day, Bytes::of(home)));
    }

    // Every tick has its run.
    let daily = Ticks::cron("30 2 * * *", "Europe/Berlin").unwrap();
    let look = Ticks::every(Duration::from_hours(6), Duration::ZERO);
    for (pipeline, ticks, count) in [("daily", daily, DAYS), ("look", look, 4 * DAYS)] {
        let of = made.keys().filter(|(name, _)| name == pipeline);
        let found: Vec<Timestamp> = of.map(|(_, tick)| *tick).collect();
        let wanted: Vec<Timestamp> = ticks.iter_after(start).take(count as usize).collect();
        assert_eq!(found, wanted, "{pipeline}");
    }
    let store = machine.app.store();
    let kept = runs_of(store, "look").await.len();
    assert!((4 * 30..=4 * 32).contains(&kept), "{kept} runs are kept");
    let versions = store.model_versions(Some("daily")).await.unwrap();
    assert!(versions.len() > 350, "{} versions", versions.len());
    assert_eq!(store.faults().await.unwrap(), []);

    // Logs and files of runs have stopped growing long ago; all else grows by what a day brings.
    let between = |from: u32, to: u32| {
        let days = sizes
            .iter()
            .filter(move |(day, _)| (from..=to).contains(day));
        days.map(|(_, bytes)| *bytes)
    };
    let most = |from, to| between(from, to).map(|bytes| bytes.passing).max().unwrap();
    let (early, late) = (most(90, 180), most(DAYS - 90, DAYS));
    assert!(late <= early + early * 15 / 100, "{early} → {late} bytes");
    let grown = |from, to| {
        let lasting: Vec<u64> = between(from, to).map(|bytes| bytes.lasting).collect();
        lasting[lasting.len() - 1] - lasting[0]
    };
    let (early, late) = (grown(90, 180), grown(DAYS - 90, DAYS));
    assert!(late <= early + early * 25 / 100, "{early} → {late} bytes");
    machine.stop().await;
}
