//! Days of collecting from a simulated Reddit in simulated time: how many calls it takes, and how
//! many scores are read at their ages.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::broadcast};
use trendmill::{
    app::App,
    clock::{Clock, ManualClock, Timestamp},
    config::Settings,
    dag::RunState,
    engine::{self, EngineEvent, Handle, scheduler::SchedulerHandle},
    sandbox::{self, SandboxSettings, SandboxState},
    sources::Standing,
    store::Horizon,
};

/// Half a minute behind the windows of the server, whose end is only known to some seconds.
const START: &str = "2026-01-01T00:00:30Z";
const COLLECT: &str = include_str!("../pipelines/reddit_collect.toml");
const DELETIONS: &str = include_str!("../pipelines/reddit_deletions.toml");

/// The calls of a window of the server.
const LIMIT: u64 = 1_000;

/// A simulated Reddit, and the clock that it shares with who asks it.
struct Reddit {
    clock: Arc<ManualClock>,
    state: Arc<SandboxState>,
    address: SocketAddr,
}

impl Reddit {
    /// Serves it until the runtime ends.
    async fn serve(world: SandboxSettings) -> Self {
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let strict = "strict".parse().unwrap();
        let server_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let state = SandboxState::new(world, start).with_troubles(strict);
        let state = Arc::new(state.with_server_clock(server_clock));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(sandbox::serve(
            Arc::clone(&state),
            listener,
            std::future::pending(),
        ));
        Self {
            clock,
            state,
            address,
        }
    }

    /// Time passes.
    fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.state.clock().set(self.clock.now());
    }

    /// How many calls it has counted, none of which was over its limit.
    fn calls(&self) -> u64 {
        let windows = self.state.calls();
        for window in &windows {
            assert!(window.calls <= LIMIT && window.refused == 0, "{window:?}");
        }
        windows.iter().map(|window| window.calls).sum()
    }

    /// An application that collects, as another process of the home would open it.
    async fn app(&self, home: &Path) -> Arc<App> {
        let settings = format!(
            r#"
            [engine]
            executor = "inline"

            [reddit]
            client_id = "test"
            client_secret = "test"
            username = "tester"
            reddit_url = "http://{0}"
            oauth_url = "http://{0}"
            "#,
            self.address
        );
        let settings = Settings::from_layers(&settings, []).unwrap();
        let app = App::open(home, settings).await.unwrap();
        Arc::new(app.with_clock(Arc::clone(&self.clock) as Arc<dyn Clock>))
    }
}

/// Writes the pipelines of a home that collects; `change` is done to that which reads.
fn write_pipelines(home: &Path, change: impl FnOnce(String) -> String) {
    // Images are another matter.
    let (pipeline, _) = COLLECT.split_once("# The images of the posts").unwrap();
    let communities = format!("subreddits = {:?}", sandbox::communities());
    let named = "subreddits = [\"art\", \"aww\", \"pics\", \"earthporn\"]";
    assert!(pipeline.contains(named));
    fs_err::create_dir(home.join("pipelines")).unwrap();
    let pipeline = change(pipeline.replace(named, &communities));
    fs_err::write(home.join("pipelines/reddit_collect.toml"), pipeline).unwrap();
    fs_err::write(home.join("pipelines/reddit_deletions.toml"), DELETIONS).unwrap();
}

/// A process that collects by the pipelines of its home.
struct Machine {
    reddit: Arc<Reddit>,
    app: Arc<App>,
    engine: Handle,
    scheduler: SchedulerHandle,
    events: broadcast::Receiver<EngineEvent>,
}

impl Machine {
    async fn start(home: &Path, reddit: &Arc<Reddit>) -> Self {
        let app = reddit.app(home).await;
        let engine = loop {
            match app.start_engine().await {
                // The threads of one that has died end on their own time.
                Err(engine::Error::Locked { .. }) => tokio::task::yield_now().await,
                started => break started.unwrap(),
            }
        };
        let events = engine.subscribe();
        for run in app.store().unfinished_runs(None).await.unwrap() {
            engine.resume(&run.id).await.unwrap();
        }
        let scheduler = app.scheduler(&engine, true, false).start();
        scheduler.nudge().await;
        Self {
            reddit: Arc::clone(reddit),
            app,
            engine,
            scheduler,
            events,
        }
    }

    /// Works until the runs of this moment have ended.
    async fn work(&mut self) {
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
        // What is written here is not less than what the server has counted.
        let sheet = self.app.reddit_budget().unwrap();
        let Some(window) = sheet.window.filter(|window| !window.is_over) else {
            return;
        };
        let counted = self.reddit.state.calls();
        let counted = counted.iter().find(|counted| counted.start == window.start);
        let counted = counted.map_or(0, |counted| counted.calls);
        let booked = window.used + window.unaccounted + sheet.in_flight;
        assert!(booked >= counted, "{counted} calls, {booked} booked");
    }

    /// Moves time on to the next tick, and works until its runs have ended.
    async fn tick(&mut self, tick: Duration) {
        self.reddit.pass(tick);
        self.work().await;
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
        let now = machine.reddit.clock.now();
        let store = machine.app.store();
        counts.push(store.label_count("reddit", now, horizon).await.unwrap());
    }
    counts
}

/// Seven that ask for what is known of the communities, each as a process of its own would.
async fn ask_beside(home: &Path, reddit: &Arc<Reddit>) {
    let communities = sandbox::communities();
    let asked = (0..7).map(async |_| {
        let app = reddit.app(home).await;
        let opened = app.environment().source("reddit").await.unwrap();
        let now = reddit.clock.now();
        let people = opened.source.people(&[], &communities, now).await;
        assert_eq!(people.unwrap().communities.len(), communities.len());
    });
    futures::future::join_all(asked).await;
}

/// Of the ticks of three minutes: those at which seven others ask too, and those in whose midst all
/// of them die.
const CROWDED: [u32; 4] = [90, 400, 700, 1_000];
const DEADLY: [u32; 5] = [41, 300, 479, 726, 1_100];

#[test]
fn ten_thousand_posts_take_less_than_a_thousand_calls() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let home = folder.path().to_owned();
    let world = SandboxSettings {
        posts_per_day: 10_000,
        days: Some(1),
        ..SandboxSettings::default()
    };
    let outside = Runtime::new().unwrap();
    let reddit = Arc::new(outside.block_on(Reddit::serve(world)));
    write_pipelines(&home, |pipeline| pipeline);
    let mut runtime = Runtime::new().unwrap();
    let mut machine = runtime.block_on(Machine::start(&home, &reddit));
    for tick in 0..=(60 * 60 + 12) / 3 {
        reddit.pass(Duration::from_mins(3));
        if !DEADLY.contains(&tick) {
            runtime.block_on(machine.work());
            if CROWDED.contains(&tick) {
                runtime.block_on(ask_beside(&home, &reddit));
            }
            continue;
        }
        let before = reddit.calls();
        let working = {
            let (home, reddit) = (home.clone(), Arc::clone(&reddit));
            runtime.spawn(async move {
                tokio::join!(machine.work(), ask_beside(&home, &reddit));
            })
        };
        // Some have been answered, some are asking.
        while reddit.calls() < before + 4 && !working.is_finished() {
            std::thread::yield_now();
        }
        runtime.shutdown_timeout(Duration::from_secs(10));
        runtime = Runtime::new().unwrap();
        machine = runtime.block_on(Machine::start(&home, &reddit));
        runtime.block_on(machine.work());
    }
    let calls = reddit.calls();
    assert!(calls <= 1_000, "{calls}");
    runtime.block_on(async {
        let ten_minutes = Duration::from_mins(10);
        assert_eq!(read_in_time(&machine, ten_minutes).await, [10_000; 4]);
        let counts = machine.app.store().due_counts("reddit").await.unwrap();
        assert_eq!((counts.late, counts.absent), (0, 0));
        assert!(machine.app.store().gaps("reddit").await.unwrap().is_empty());
        machine.stop().await;
    });
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
    let reddit = Arc::new(Reddit::serve(world).await);
    write_pipelines(folder.path(), |pipeline| {
        let slower = pipeline
            .replace("every = \"3m\"", "every = \"10m\"")
            .replace("patience = \"6m\"", "patience = \"0s\"")
            .replace("tolerance = \"10m\"", "tolerance = \"15m\"");
        assert_eq!(slower.matches("10m").count(), 1);
        slower
    });
    let mut machine = Machine::start(folder.path(), &reddit).await;
    for number in 1..7 * 24 * 6 {
        // Nobody works for half an hour, four times a week.
        if number % 250 < 3 && number > 3 {
            reddit.pass(tick);
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
    let now = machine.reddit.clock.now();
    let records = machine.app.store().records("reddit", now).await.unwrap();
    records.into_iter().map(|record| record.id).collect()
}

/// How these posts stand at the server now; those that it does not find are left out.
async fn standings(machine: &Machine, ids: &[String]) -> BTreeMap<String, Standing> {
    let source = machine.app.environment().source("reddit").await.unwrap();
    let mut standings = BTreeMap::new();
    for some in ids.chunks(100) {
        let now = machine.reddit.clock.now();
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
    let reddit = Arc::new(Reddit::serve(world).await);
    write_pipelines(folder.path(), |pipeline| {
        pipeline
            .replace("every = \"3m\"", "every = \"1h\"")
            .replace("patience = \"6m\"", "patience = \"0s\"")
    });
    let file = folder.path().join("pipelines/reddit_deletions.toml");
    fs_err::write(file, deletions).unwrap();
    let mut machine = Machine::start(folder.path(), &reddit).await;
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
