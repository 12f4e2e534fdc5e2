//! A home, a clock that stands still, and operators made of closures.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::broadcast;
use trendmill::{
    clock::{Clock, ManualClock, Timestamp},
    dag::{Graph, Node},
    engine::{
        Catalogue, EngineEvent, EngineParts, EngineSettings, ExecutorChoice, Handle, HomeLock,
        Interval, Operator, RunRequest, Selection, SettingsError, TaskContext, TaskError,
        TaskOutcome, Trigger,
    },
    operators::{Noop, Shell, Wait},
    store::Store,
};

/// A home of its own for one test.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) executors: ExecutorChoice,
    pub(crate) change: fn(&mut EngineSettings),
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(at("2026-01-17T08:00:00Z"))),
            executors: ExecutorChoice::default(),
            change: |_| {},
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) async fn store(&self) -> Store {
        let data = self.data_dir();
        fs_err::create_dir_all(&data).unwrap();
        Store::open(&data).await.unwrap()
    }

    /// Starts an engine that has `noop`, `shell` and these operators.
    pub(crate) async fn start(&self, operators: Vec<Fake>) -> Handle {
        let catalogue = operators.into_iter().fold(
            Catalogue::default().with(Noop).with(Shell).with(Wait),
            Catalogue::with,
        );
        let mut settings = EngineSettings::new(self.folder.path());
        settings.grace = Duration::from_millis(50);
        settings.heartbeat = Duration::from_millis(20);
        (self.change)(&mut settings);
        let lock = HomeLock::acquire(&settings.data_dir(), self.clock.now()).unwrap();
        let parts = EngineParts {
            settings,
            store: self.store().await,
            catalogue,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            executors: self.executors.clone(),
        };
        Handle::start(parts, lock).await.unwrap()
    }

    /// Starts an engine, and on it a run whose only task, `a`, goes on until it is stopped.
    pub(crate) async fn endless(&self) -> (Handle, Store, String) {
        let handle = self.start(vec![Fake::endless("endless")]).await;
        let wanted = request(vec![task("a", "endless", &[])]);
        let run_id = handle.submit(wanted).await.unwrap().run_id;
        (handle, self.store().await, run_id)
    }

    /// Moves the clock to where the next retry is due.
    pub(crate) async fn skip_delay(
        &self,
        handle: &Handle,
        events: &mut broadcast::Receiver<EngineEvent>,
    ) -> Duration {
        loop {
            if let EngineEvent::AttemptFailed { until, .. } = events.recv().await.unwrap() {
                let wait = until.since(self.clock.now());
                self.clock.set(until);
                handle.tick();
                return wait;
            }
        }
    }
}

/// Waits until an attempt of this task has started.
pub(crate) async fn started(events: &mut broadcast::Receiver<EngineEvent>, wanted: &str) {
    loop {
        if let EngineEvent::AttemptStarted { task_id, .. } = events.recv().await.unwrap()
            && task_id == wanted
        {
            return;
        }
    }
}

/// Waits until a task has ended.
pub(crate) async fn ended(events: &mut broadcast::Receiver<EngineEvent>) {
    loop {
        if let EngineEvent::TaskEnded { .. } = events.recv().await.unwrap() {
            return;
        }
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A task without settings.
pub(crate) fn task(id: &str, op: &str, after: &[&str]) -> Node {
    Node {
        id: id.to_owned(),
        op: op.to_owned(),
        after: after.iter().map(|&name| name.to_owned()).collect(),
        ..Node::default()
    }
}

pub(crate) fn request(tasks: Vec<Node>) -> RunRequest {
    RunRequest {
        pipeline: "reddit".to_owned(),
        definition: "name = \"reddit\"".to_owned(),
        graph: Graph::new(tasks).unwrap(),
        interval: Interval {
            start: at("2026-01-16"),
            end: at("2026-01-17"),
        },
        scheduled_for: at("2026-01-17"),
        as_of: at("2026-01-17"),
        source: Some("sandbox".to_owned()),
        profile: None,
        params: Map::new(),
        force: false,
        schedule: None,
        trigger: Trigger::Manual,
        selection: Selection::All,
        hold: None,
    }
}

/// A request for a run that stays queued.
pub(crate) fn held(tasks: Vec<Node>) -> RunRequest {
    RunRequest {
        hold: Some("queued behind another run".to_owned()),
        ..request(tasks)
    }
}

type Answer = Result<TaskOutcome, TaskError>;

/// An operator made of a closure.
pub(crate) struct Fake {
    name: &'static str,
    run: Box<dyn Fn(TaskContext) -> BoxFuture<'static, Answer> + Send + Sync>,
}

impl Fake {
    pub(crate) fn new<F>(
        name: &'static str,
        run: impl Fn(TaskContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self {
            name,
            run: Box::new(move |context| Box::pin(run(context))),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) fn endless(name: &'static str) -> Self {
        Self::new(name, |context| async move {
            context.cancelled.cancelled().await;
            Err(TaskError::Cancelled)
        })
    }
}

impl Operator for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self, _settings: &Map<String, Value>) -> Result<(), SettingsError> {
        Ok(())
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Answer> {
        (self.run)(context)
    }
}

/// A success with this output.
#[expect(clippy::unnecessary_wraps, reason = "it stands where an answer stands")]
pub(crate) fn done(output: Value) -> Answer {
    Ok(TaskOutcome {
        output,
        ..TaskOutcome::default()
    })
}

/// Each attempt of a run as `task.number state`.
pub(crate) async fn attempts(store: &Store, run_id: &str) -> Vec<String> {
    let rows = store.attempts(run_id, None).await.unwrap();
    rows.iter()
        .map(|row| format!("{}.{} {}", row.task_id, row.number, row.state))
        .collect()
}

/// Each task of a run as `task state`.
pub(crate) async fn states(store: &Store, run_id: &str) -> Vec<String> {
    let rows = store.tasks(run_id).await.unwrap();
    rows.iter()
        .map(|row| format!("{} {}", row.task_id, row.run.state))
        .collect()
}
