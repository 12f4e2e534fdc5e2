//! Days of collecting from a simulated Reddit in simulated time: how many calls it takes, and how
//! many scores are read at their ages.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{net::TcpListener, sync::broadcast};
use trendmill::{
    app::App,
    clock::{Clock, ManualClock, Timestamp},
    config::Settings,
    dag::RunState,
    engine::{EngineEvent, Handle, scheduler::SchedulerHandle},
    sandbox::{self, SandboxSettings, SandboxState},
    sources::Standing,
    store::Horizon,
};

/// Half a minute behind the windows of the server, whose end is only known to some seconds.
const START: &str = "2026-01-01T00:00:30Z";
const COLLECT: &str = include_str!("../pipelines/reddit_collect.toml");
const DELETIONS: &str = include_str!("../pipelines/reddit_deletions.toml");

/// A simulated Reddit, a home that collects from it, and their common clock.
struct Machine {
    clock: Arc<ManualClock>,
    reddit: Arc<SandboxState>,
    app: Arc<App>,
    engine: Handle,
    scheduler: SchedulerHandle,
    events: broadcast::Receiver<EngineEvent>,
    /// By window of the server, and by what they were for: how many calls there were.
    windows: BTreeMap<Timestamp, BTreeMap<&'static str, u64>>,
}

impl Machine {
    /// `change` is done to the pipeline.
    async fn start(
        home: &Path,
        world: SandboxSettings,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let strict = "strict".parse().unwrap();
        let server_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let reddit = SandboxState::new(world, start).with_troubles(strict);
        let reddit = Arc::new(reddit.with_server_clock(server_clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(sandbox::serve(
            Arc::clone(&reddit),
            listener,
            std::future::pending(),
        ));
        // Images are another matter.
        let (pipeline, _) = COLLECT.split_once("# The images of the posts").unwrap();
        let communities = format!("subreddits = {:?}", sandbox::communities());
        let named = "subreddits = [\"art\", \"aww\", \"pics\", \"earthporn\"]";
        assert!(pipeline.contains(named));
        fs_err::create_dir_all(home.join("pipelines")).unwrap();
        let pipeline = change(pipeline.replace(named, &communities));
        fs_err::write(home.join("pipelines/reddit_collect.toml"), pipeline).unwrap();
        let settings = format!(
            r#"
            [engine]
            executor = "inline"

            [reddit]
            client_id = "test"
            client_secret = "test"
            username = "tester"
            reddit_url = "http://{address}"
            oauth_url = "http://{address}"
            "#
        );
        let settings = Settings::from_layers(&settings, []).unwrap();
        let app = App::open(home, settings).await.unwrap();
        let app = Arc::new(app.with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        let engine = app.start_engine().await.unwrap();
        let events = engine.subscribe();
        let scheduler = app.scheduler(&engine, true, false).start();
        scheduler.nudge().await;
        Self {
            clock,
            reddit,
            app,
            engine,
            scheduler,
            events,
            windows: BTreeMap::new(),
        }
    }

    /// Moves time on to the next tick, and works until its run has ended.
    async fn tick(&mut self, tick: Duration) {
        self.pass(tick);
        self.scheduler.nudge().await;
        while !self
            .app
            .store()
            .unfinished_ticks()
            .await
            .unwrap()
            .is_empty()
        {
            match self.events.recv().await {
                Ok(EngineEvent::RunEnded { .. }) => self.scheduler.nudge().await,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let sheet = self.app.reddit_budget().unwrap();
        let Some(window) = sheet.window.filter(|window| !window.is_over) else {
            return;
        };
        let classes = sheet.classes.iter();
        let calls: BTreeMap<_, _> = classes.map(|row| (row.class.name(), row.calls)).collect();
        assert!(calls.values().sum::<u64>() <= window.limit);
        self.windows.insert(window.start, calls);
    }

    /// Time passes, and nobody works.
    fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.reddit.clock().set(self.clock.now());
    }

    async fn stop(self) {
        for run in self.app.store().runs(None, 10_000).await.unwrap() {
            assert_eq!(run.state, RunState::Succeeded, "{run:?}");
        }
        self.scheduler.stop().await;
        self.engine.stop();
        self.engine.stopped_for_good().await;
    }
}

const AGES: [u64; 4] = [1, 6, 24, 36];

/// By age: how many of the posts have a reading at it, or at most so much later.
async fn read_in_time(machine: &Machine, tolerance: Duration) -> Vec<u64> {
    let mut counts = Vec::new();
    for age in AGES {
        let horizon = Horizon {
            age: Duration::from_hours(age),
            tolerance,
        };
        let now = machine.clock.now();
        let store = machine.app.store();
        counts.push(store.label_count("reddit", now, horizon).await.unwrap());
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_posts_take_less_than_a_thousand_calls() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let world = SandboxSettings {
        posts_per_day: 10_000,
        days: Some(1),
        ..SandboxSettings::default()
    };
    let tick = Duration::from_mins(3);
    let mut machine = Machine::start(folder.path(), world, |pipeline| pipeline).await;
    while machine.clock.now()
        < START.parse::<Timestamp>().unwrap() + Duration::from_mins(60 * 60 + 12)
    {
        machine.tick(tick).await;
    }
    let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
    for (class, count) in machine.windows.values().flatten() {
        *calls.entry(class).or_default() += count;
    }
    assert!(calls.values().sum::<u64>() <= 1_000, "{calls:?}");
    let ten_minutes = Duration::from_mins(10);
    assert_eq!(read_in_time(&machine, ten_minutes).await, [10_000; 4]);
    assert!(machine.app.store().gaps("reddit").await.unwrap().is_empty());
    machine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_with_outages_has_its_labels() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let world = SandboxSettings {
        posts_per_day: 400,
        days: Some(5),
        ..SandboxSettings::default()
    };
    let tick = Duration::from_mins(10);
    let mut machine = Machine::start(folder.path(), world, |pipeline| {
        let slower = pipeline
            .replace("every = \"3m\"", "every = \"10m\"")
            .replace("patience = \"6m\"", "patience = \"0s\"")
            .replace("tolerance = \"10m\"", "tolerance = \"15m\"");
        assert_eq!(slower.matches("10m").count(), 1);
        slower
    })
    .await;
    for number in 1..7 * 24 * 6 {
        // Nobody works for half an hour, four times a week.
        if number % 250 < 3 && number > 3 {
            machine.pass(tick);
        } else {
            machine.tick(tick).await;
        }
    }
    let in_time = read_in_time(&machine, Duration::from_mins(15)).await;
    assert!(
        in_time.iter().all(|read| *read >= 2000 * 98 / 100),
        "{in_time:?}"
    );
    let counts = machine.app.store().due_counts("reddit").await.unwrap();
    assert!(counts.late > 0, "what is read after an outage is flagged");
    machine.stop().await;
}

/// The ids of the stored posts.
async fn stored(machine: &Machine) -> Vec<String> {
    let now = machine.clock.now();
    let records = machine.app.store().records("reddit", now).await.unwrap();
    records.into_iter().map(|record| record.id).collect()
}

/// How these posts stand at the server now; those that it does not find are left out.
async fn standings(machine: &Machine, ids: &[String]) -> BTreeMap<String, Standing> {
    let source = machine.app.environment().source("reddit").await.unwrap();
    let mut standings = BTreeMap::new();
    for some in ids.chunks(100) {
        let now = machine.clock.now();
        let answer = source.source.standings(some, now).await.unwrap();
        standings.extend(answer.unwrap());
    }
    standings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_at_the_server_goes_within_the_cycle() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let world = SandboxSettings {
        posts_per_day: 300,
        days: Some(1),
        removed_percent: 40,
        ..SandboxSettings::default()
    };
    let deletions = DELETIONS.replace("cycle = \"36h\"", "cycle = \"6h\"");
    assert_ne!(deletions, DELETIONS);
    let pipelines = folder.path().join("pipelines");
    fs_err::create_dir(&pipelines).unwrap();
    fs_err::write(pipelines.join("reddit_deletions.toml"), deletions).unwrap();
    let mut machine = Machine::start(folder.path(), world, |pipeline| {
        pipeline
            .replace("every = \"3m\"", "every = \"1h\"")
            .replace("patience = \"6m\"", "patience = \"0s\"")
    })
    .await;
    let hour = Duration::from_hours(1);
    // The last post is a day old at most when the last of the posts have met their fate, 72 hours
    // after they were made; then the cycle passes, and an absence is confirmed.
    let (mut most, mut seen_absent_and_kept) = (0, 0);
    for number in 0..24 + 72 + 6 + 4 {
        machine.tick(hour).await;
        if number % 8 == 7 {
            let ids = stored(&machine).await;
            most = most.max(ids.len());
            let there = standings(&machine, &ids).await;
            seen_absent_and_kept += ids.iter().filter(|id| !there.contains_key(*id)).count();
        }
    }
    let ids = stored(&machine).await;
    let there = standings(&machine, &ids).await;
    let gone: Vec<_> = ids
        .iter()
        .filter(|id| !matches!(there.get(*id), Some(Standing::There | Standing::AuthorGone)))
        .collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert!(
        ids.len() > 150 && most > ids.len(),
        "{most} and {}",
        ids.len()
    );
    assert!(seen_absent_and_kept > 0, "one absence is not believed");
    let mut reasons = BTreeMap::<String, u64>::new();
    for run in machine
        .app
        .store()
        .runs(Some("reddit_deletions"), 1000)
        .await
        .unwrap()
    {
        for task in machine.app.store().tasks(&run.id).await.unwrap() {
            let outcome: serde_json::Value =
                serde_json::from_str(task.outcome.as_deref().unwrap()).unwrap();
            for (reason, count) in outcome["dropped"].as_object().unwrap() {
                *reasons.entry(reason.clone()).or_default() += count.as_u64().unwrap();
            }
        }
    }
    for reason in ["deleted", "removed", "absent"] {
        assert!(reasons.contains_key(reason), "{reasons:?}");
    }
    assert_eq!(machine.app.store().faults().await.unwrap(), []);
    assert!(machine.app.store().noted_purges().await.unwrap().is_empty());
    machine.stop().await;
}
