//! The engine as others see it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    Catalogue, Cgroups, EngineEvent, Error, ExecutorChoice, HomeLock, RunRequest, RunSummary,
    Submitted,
    clear::{ClearSelection, Cleared},
    dispatcher::Dispatcher,
    hear::Message,
    recovery::recover,
    tuning::{self, DiskRoom, Slots, Tuner},
};
use crate::{clock::Clock, config::DISK_RESERVE, store::Store, telemetry::chain};

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The home; its data lie in `data/`.
    pub home: PathBuf,
    /// The most tasks at once over all runs; 0 for no limit.
    pub parallelism: usize,
    /// Slots by pool; a pool that is not here has one.
    pub pools: BTreeMap<String, usize>,
    /// How long a stopped attempt may take to leave before it is dropped or killed. Default: 5 s.
    pub grace: Duration,
    /// How often the store is told that attempts run, and asked for cancellations. Default: 1 s.
    pub heartbeat: Duration,
    /// Tells the free bytes of a folder's disk; `None` where it cannot. Default: asks the system.
    pub free_bytes: fn(&Path) -> Option<u64>,
    /// Nothing new starts with less free disk than this, in bytes. Default: 64 MB.
    pub disk_reserve: u64,
    /// How many bytes of memory the processes of an attempt may hold together, where its task does
    /// not say. Default: as many as they want.
    pub memory: Option<u64>,
    /// Where attempts that have a process of their own get a control group, too. Default: none,
    /// and their memory is watched from here.
    pub cgroups: Option<Arc<Cgroups>>,
}

impl EngineSettings {
    /// The defaults for a home.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            parallelism: 0,
            pools: BTreeMap::new(),
            grace: Duration::from_secs(5),
            heartbeat: Duration::from_secs(1),
            free_bytes: tuning::free_bytes,
            disk_reserve: DISK_RESERVE.0,
            memory: None,
            cgroups: None,
        }
    }

    /// The folder of databases, logs and artifacts.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }
}

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct EngineParts {
    /// How it runs.
    pub settings: EngineSettings,
    /// The store of the home.
    pub store: Store,
    /// The operators that tasks can name.
    pub catalogue: Catalogue,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Which attempts have a process of their own.
    pub executors: ExecutorChoice,
}

/// The engine as others see it; cheap to clone. When the last one is dropped, the engine stops
/// as soon as nothing runs.
#[derive(Clone, Debug)]
pub struct Handle {
    inbox: mpsc::UnboundedSender<Message>,
    events: broadcast::WeakSender<EngineEvent>,
    store: Store,
    ended: watch::Receiver<bool>,
    tuner: Tuner,
    /// Why the engine gave up, once it did.
    fault: Arc<Mutex<Option<String>>>,
}

impl Handle {
    /// Starts an engine on a home that this process has locked.
    ///
    /// Attempts whose process died become crashed and are planned again; their runs can then be
    /// resumed.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn start(parts: EngineParts, lock: HomeLock) -> Result<Self, Error> {
        if recover(&parts.store, parts.clock.now()).await? > 0 {
            let store = parts.store.clone();
            // Beside the work: a large store takes seconds, and is nearly always sound.
            tokio::spawn(async move {
                match store.quick_check_state().await {
                    Ok(faults) if faults.is_empty() => {}
                    Ok(faults) => tracing::error!("state.db is damaged: {}", faults.join("; ")),
                    Err(error) => tracing::error!(%error, "cannot check state.db"),
                }
            });
        }
        let (inbox, messages) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(4096);
        let (finished, ended) = watch::channel(false);
        let fault = Arc::new(Mutex::new(None));
        let (tuner, tuning) = tuning::channel(&parts.settings);
        let handle = Self {
            inbox: inbox.clone(),
            events: events.downgrade(),
            store: parts.store.clone(),
            ended,
            tuner,
            fault: Arc::clone(&fault),
        };
        let dispatcher = Dispatcher::new(parts, lock, events, inbox.downgrade(), tuning);
        tokio::spawn(async move {
            if let Err(error) = dispatcher.run(messages).await {
                tracing::error!(%error, "the engine gives up");
                *fault
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(chain(&error));
            }
            finished.send_replace(true);
        });
        Ok(handle)
    }

    /// Takes on a run: an unfinished one that is the same is resumed, otherwise a new one made.
    /// When this returns, it is durable.
    ///
    /// # Errors
    ///
    /// Where the request names what does not exist, or the engine has stopped.
    pub async fn submit(&self, request: RunRequest) -> Result<Submitted, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit {
            request: Box::new(request),
            reply,
        })?;
        self.answer(answer).await
    }

    /// Resumes a run that has not ended.
    ///
    /// # Errors
    ///
    /// Where there is no such run, it has ended, or the engine has stopped.
    pub async fn resume(&self, run_id: &str) -> Result<Submitted, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Resume {
            run_id: run_id.to_owned(),
            reply,
        })?;
        self.answer(answer).await
    }

    /// Starts a run that was submitted with a [hold](RunRequest::hold).
    ///
    /// # Errors
    ///
    /// Where there is no such run, it is not held, or the engine has stopped.
    pub async fn promote(&self, run_id: &str) -> Result<Submitted, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Promote {
            run_id: run_id.to_owned(),
            reply,
        })?;
        self.answer(answer).await
    }

    /// Ends one task of a run; tasks downstream see a failure, and the run goes on. When this
    /// returns, the wish is durable; a running attempt ends soon after.
    ///
    /// # Errors
    ///
    /// Where there is no such run or task, the run has ended, or the engine has stopped.
    pub async fn cancel_task(&self, run_id: &str, task_id: &str) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::CancelTask {
            run_id: run_id.to_owned(),
            task_id: task_id.to_owned(),
            reply,
        })?;
        self.answer(answer).await
    }

    /// Lets tasks of a run begin anew, within the same run: their failures are forgotten, their
    /// attempts go on counting. A run that has ended goes on.
    ///
    /// # Errors
    ///
    /// Where there is no such run or task, one of the tasks is running, there is nothing to
    /// clear, or the engine has stopped.
    pub async fn clear(&self, run_id: &str, selection: ClearSelection) -> Result<Cleared, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Clear {
            run_id: run_id.to_owned(),
            selection,
            reply,
        })?;
        self.answer(answer).await
    }

    /// Asks a run to end; [`wait`](Self::wait) tells when it has. When this returns, the wish is
    /// durable: it is heard by whoever goes on after a crash.
    ///
    /// # Errors
    ///
    /// Where the store fails or the engine has stopped.
    pub async fn cancel(&self, run_id: &str) -> Result<(), Error> {
        self.store.request_cancel(run_id).await?;
        self.send(Message::Cancel {
            run_id: run_id.to_owned(),
        })
    }

    /// Waits for the end of a run.
    ///
    /// # Errors
    ///
    /// Where there is no such run, or the engine stops before the run ends.
    pub async fn wait(&self, run_id: &str) -> Result<RunSummary, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Wait {
            run_id: run_id.to_owned(),
            reply,
        })?;
        self.answer(answer).await?;
        RunSummary::load(&self.store, run_id).await
    }

    /// Everything that happens from now on; a slow listener misses the oldest. Ends with the engine.
    pub fn subscribe(&self) -> broadcast::Receiver<EngineEvent> {
        self.events
            .upgrade()
            .map_or_else(|| broadcast::channel(1).1, |events| events.subscribe())
    }

    /// Tells the engine that the clock was moved. Needed for clocks that stand still.
    pub fn tick(&self) {
        // An engine that has stopped has no use for the time.
        let _ = self.inbox.send(Message::Tick);
    }

    /// Changes how much runs at once; what runs already goes on.
    pub fn set_slots(&self, slots: Slots) {
        self.tuner.set_slots(slots);
    }

    /// How much runs at once.
    pub fn slots(&self) -> Slots {
        self.tuner.slots()
    }

    /// The room on the disk of the databases.
    pub fn disk(&self) -> DiskRoom {
        self.tuner.disk()
    }

    /// Whether work waits for room on the disk. It goes on by itself once there is some.
    pub fn disk_full(&self) -> watch::Receiver<bool> {
        self.tuner.disk_full()
    }

    /// Lets running attempts end and starts nothing new; then the engine stops.
    pub fn drain(&self) {
        let _ = self.inbox.send(Message::Drain);
    }

    /// Stops running attempts too; the next start goes on with them.
    pub fn stop(&self) {
        self.tuner.halt();
        let _ = self.inbox.send(Message::Stop);
    }

    /// Waits until the engine has stopped.
    pub async fn stopped_for_good(&self) {
        let mut ended = self.ended.clone();
        // The other end is dropped only after it has sent.
        let _ = ended.wait_for(|&ended| ended).await;
    }

    /// Why the engine gave up, where it did.
    pub fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn send(&self, message: Message) -> Result<(), Error> {
        self.inbox.send(message).map_err(|_| self.stopped())
    }

    /// Waits for an answer, which an engine that stops never gives.
    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
        if let Ok(answer) = answer.await {
            return answer;
        }
        self.stopped_for_good().await;
        Err(self.stopped())
    }

    fn stopped(&self) -> Error {
        Error::Stopped(self.fault().unwrap_or_else(|| "it was told to".to_owned()))
    }
}
