//! Days of collecting from a simulated Reddit in simulated time: how many calls it takes, and how
//! many scores are read at their ages.

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
};

/// Half a minute behind the windows of the server, whose end is only known to some seconds.
const START: &str = "2026-01-01T00:00:30Z";
const TICK: Duration = Duration::from_mins(5);
const COLLECT: &str = include_str!("../pipelines/reddit_collect.toml");

/// A simulated Reddit, a home that collects from it, and their common clock.
struct Machine {
    clock: Arc<ManualClock>,
    reddit: Arc<SandboxState>,
    app: Arc<App>,
    engine: Handle,
    scheduler: SchedulerHandle,
    events: broadcast::Receiver<EngineEvent>,
    /// Calls, by what they were for.
    calls: BTreeMap<&'static str, u64>,
    most_in_a_window: u64,
}

impl Machine {
    async fn start(home: &Path, world: SandboxSettings) -> Self {
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let reddit = Arc::new(SandboxState::new(world, start));
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
        fs_err::create_dir(home.join("pipelines")).unwrap();
        let pipeline = pipeline.replace(named, &communities);
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
            calls: BTreeMap::new(),
            most_in_a_window: 0,
        }
    }

    /// Moves time on to the next tick, and works until its run has ended.
    async fn tick(&mut self) {
        self.pass(TICK);
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
        // A tick is as long as a window.
        let sheet = self.app.reddit_budget().unwrap();
        let is_now = sheet.window.is_some_and(|window| !window.is_over);
        let mut in_window = 0;
        for row in sheet.classes.iter().filter(|_| is_now) {
            in_window += row.calls;
            *self.calls.entry(row.class.name()).or_default() += row.calls;
        }
        self.most_in_a_window = self.most_in_a_window.max(in_window);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_posts_takes_a_thousand_calls() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let world = SandboxSettings {
        posts_per_day: 8_640,
        days: Some(1),
        ..SandboxSettings::default()
    };
    let mut machine = Machine::start(folder.path(), world).await;
    for _ in 0..61 * 12 {
        machine.tick().await;
    }
    let calls: u64 = machine.calls.values().sum();
    println!(
        "{calls} calls: {:?}; at most {} in a window",
        machine.calls, machine.most_in_a_window
    );
    let store = machine.app.store();
    let counts = store.due_counts("reddit").await.unwrap();
    println!("{counts:?}");
    machine.stop().await;
}
