//! `trendmill up`: engine, server and what works beside them, in one process.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use sd_notify::NotifyState;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{
    App, Error, RunRequest, Wanted,
    daemon_file::{DaemonFile, Posted},
    executors, housekeeping,
    services::Services,
    systemd, timetable, tokens,
};
use crate::{
    clock::{Clock, Timestamp},
    config::Settings,
    engine::{self, Handle, HomeLock, scheduler::SchedulerHandle},
    pipelines,
    registry::Registry,
    server::{
        self, BackfillMove, BackfillWanted, Fault, GuardSettings, Host, Metrics, Phase, RunWanted,
        hash_token,
    },
    store::Store,
    telemetry::chain,
};

/// How long answers that are under way are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// A daemon that listens; [`Daemon::run`] makes it work.
#[derive(Debug)]
pub struct Daemon {
    face: Arc<Face>,
    listener: TcpListener,
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    posted: Posted,
}

/// The daemon as its API sees it.
#[derive(Debug)]
struct Face {
    app: Arc<App>,
    engine: Handle,
    scheduler: SchedulerHandle,
    phase: watch::Receiver<Phase>,
    started_at: Timestamp,
    guard: GuardSettings,
    metrics: Arc<Metrics>,
}

impl Daemon {
    /// Takes the home, listens at `address`, starts the engine, and goes on with what was left.
    ///
    /// # Errors
    ///
    /// Where another process runs on the home, or the address cannot be had.
    pub async fn start(
        home: &Path,
        settings: Settings,
        address: SocketAddr,
    ) -> Result<Self, Error> {
        let app = Arc::new(App::open(home, settings).await?);
        let (token, guard) = guarded(&app, address).await?;
        let now = app.clock().now();
        let lock = HomeLock::acquire(&home.join("data"), now)?;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::unfit(
                format!("cannot listen at {address}: {error}"),
                "give another address with `--listen ADDR`".to_owned(),
            )
        })?;
        let address = listener.local_addr().map_err(unfit)?;
        let url = url_of(address);
        lock.set_address(&url).map_err(unfit)?;
        let engine = app.start_engine_with(lock).await?;
        let file = DaemonFile {
            pid: std::process::id(),
            url,
            token: token.clone(),
            started_at: now,
            memory_limits: Some(executors::memory_limits(app.cgroups())),
        };
        let posted = file.post(home).map_err(unfit)?;
        let (phase, seen) = watch::channel(Phase::Starting);
        // Before the scheduler: a run that it ends is to be at work, so that it can tidy up.
        resume(&app, &engine).await?;
        let scheduler = app.start_scheduler(&engine);
        let face = Face {
            app,
            engine,
            scheduler,
            phase: seen,
            started_at: now,
            guard,
            metrics: Arc::default(),
        };
        Ok(Self {
            face: Arc::new(face),
            listener,
            address,
            phase,
            posted,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Works until it is told to end: the first signal lets
    /// running attempts end, the second stops them. The next start goes on where this one ended.
    ///
    /// # Errors
    ///
    /// Where the engine or the server gives up.
    pub async fn run(self) -> Result<(), Error> {
        let Self {
            face,
            listener,
            phase,
            posted,
            ..
        } = self;
        let mut signals = Signals::new().map_err(unfit)?;
        let engine = face.engine.clone();
        let (quit, mut quitting) = watch::channel(false);
        let ending = async move {
            // The other end is dropped only with this process.
            let _ = quitting.wait_for(|&quit| quit).await;
        };
        let services = start_services(&face);
        let host: Arc<dyn Host> = Arc::clone(&face) as Arc<dyn Host>;
        let serving = tokio::spawn(server::serve(host, listener, ending));
        phase.send_replace(Phase::Ready);
        systemd::tell(NotifyState::Ready);
        tracing::info!("ready");

        tokio::select! {
            () = signals.next() => {
                tracing::info!("ending: what runs may end; a second signal stops it");
                phase.send_replace(Phase::Draining);
                systemd::tell(NotifyState::Stopping);
                engine.drain();
                tokio::select! {
                    () = engine.stopped_for_good() => {}
                    () = signals.next() => {
                        tracing::info!("stopping what runs; the next start goes on with it");
                        engine.stop();
                        engine.stopped_for_good().await;
                    }
                }
            }
            () = engine.stopped_for_good() => {}
        }
        phase.send_replace(Phase::Ended);
        services.end().await;
        drop(posted);
        quit.send_replace(true);
        // Whoever holds a connection open must not hold the process.
        let served = tokio::time::timeout(LAST_ANSWERS, serving).await;
        if let Ok(Ok(Err(error))) = served {
            tracing::warn!(%error, "the server did not end well");
        }
        match engine.fault() {
            Some(fault) => Err(Error::Failed(format!("the engine gave up: {fault}"))),
            None => Ok(()),
        }
    }
}

/// What works beside engine and server; each is one line.
fn start_services(face: &Face) -> Services {
    let (store, events) = (face.app.store().clone(), face.engine.subscribe());
    let (metrics, scheduler) = (Arc::clone(&face.metrics), face.scheduler.clone());
    let services = Services::default();
    services.start("watchdog", systemd::watchdog);
    services.start("metrics", |ending| metrics.watch(events, store, ending));
    housekeeping::start(&face.app, &face.engine, &services);
    services.start("scheduler", |ending| async move {
        ending.cancelled().await;
        scheduler.stop().await;
        Ok::<(), Error>(())
    });
    services
}

/// The token for commands of the same user, and what is asked of all callers.
async fn guarded(app: &App, address: SocketAddr) -> Result<(String, GuardSettings), Error> {
    let settings = &app.settings().server;
    let set = settings.token.as_deref();
    if !address.ip().is_loopback() && set.is_none() && !app.store().has_tokens().await? {
        return Err(Error::wrong(
            format!("{address} can be reached from other machines, and there is no token"),
            "make one with `trendmill tokens create NAME`, or listen at 127.0.0.1".to_owned(),
        ));
    }
    let token = tokens::random()?;
    let known = [Some(token.as_str()), set];
    let guard = GuardSettings {
        address,
        hosts: settings.hosts.clone(),
        require_token: settings.require_token,
        tokens: known.into_iter().flatten().map(hash_token).collect(),
        set: set.is_some(),
    };
    Ok((token, guard))
}

/// How this machine reaches the daemon.
fn url_of(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

/// Goes on with every run that an earlier process left.
async fn resume(app: &App, engine: &Handle) -> Result<(), Error> {
    let unfinished = app.store().unfinished_runs(None).await?;
    // One that is held starts when it is promoted.
    for run in unfinished.into_iter().filter(|run| run.hold.is_none()) {
        match engine.resume(&run.id).await {
            Ok(_) => {}
            Err(error @ engine::Error::Stopped(_)) => return Err(error.into()),
            // One run that cannot be read must not keep all others from going on.
            Err(error) => tracing::error!(run.id = run.id, "{}", chain(&error)),
        }
    }
    Ok(())
}

impl Host for Face {
    fn store(&self) -> &Store {
        self.app.store()
    }

    fn registry(&self) -> &Registry {
        self.app.registry()
    }

    fn pipelines(&self) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async {
            let paused = self.app.paused().await?;
            let now = self.app.clock().now();
            Ok(Value::Array(pipelines::listed(
                self.app.home(),
                now,
                &paused,
            )?))
        })
    }

    fn pipeline(&self, name: &str) -> Result<Value, Fault> {
        named(name)?;
        Ok(pipelines::described(&pipelines::find(
            self.app.home(),
            name,
        )?))
    }

    fn data_dir(&self) -> &Path {
        self.app.data_dir()
    }

    fn engine(&self) -> &Handle {
        &self.engine
    }

    fn clock(&self) -> &dyn Clock {
        self.app.clock().as_ref()
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn scheduler_lag(&self) -> Duration {
        self.scheduler.lag()
    }

    fn guard(&self) -> &GuardSettings {
        &self.guard
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async { Ok(json!(self.app.schedules().await?)) })
    }

    fn next(&self, pipeline: &str, count: usize) -> Result<Value, Fault> {
        named(pipeline)?;
        timetable::next(&self.app, pipeline, count)
    }

    fn set_paused<'a>(
        &'a self,
        pipeline: &'a str,
        paused: bool,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            named(pipeline)?;
            let changed = if paused {
                self.app.pause(pipeline).await?
            } else {
                self.app.unpause(pipeline).await?
            };
            self.scheduler.nudge().await;
            Ok(changed)
        })
    }

    fn backfills(&self) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async { Ok(json!(self.app.backfills().await?)) })
    }

    fn backfill<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move {
            let (info, intervals) = self.app.backfill(id).await.map_err(timetable::unknown)?;
            Ok(info.with_intervals(&intervals))
        })
    }

    fn plan_backfill(&self, wanted: BackfillWanted) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async move {
            named(&wanted.pipeline)?;
            let request = timetable::wanted(wanted);
            Ok(json!(self.app.plan_backfill(&request).await?))
        })
    }

    fn create_backfill(
        &self,
        wanted: BackfillWanted,
    ) -> BoxFuture<'_, Result<Option<Value>, Fault>> {
        Box::pin(async move {
            named(&wanted.pipeline)?;
            let request = timetable::wanted(wanted);
            let Some(id) = self.app.create_backfill(&request).await? else {
                return Ok(None);
            };
            self.scheduler.nudge().await;
            Ok(Some(json!(self.app.backfill(&id).await?.0)))
        })
    }

    fn move_backfill<'a>(
        &'a self,
        id: &'a str,
        to: BackfillMove,
    ) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move {
            let (found, _) = self.app.backfill(id).await.map_err(timetable::unknown)?;
            let moved = match to {
                BackfillMove::Pause => self.app.pause_backfill(&found.id).await,
                BackfillMove::Resume => self.app.resume_backfill(&found.id).await,
                BackfillMove::Cancel => {
                    self.app
                        .cancel_backfill(&found.id, Some(&self.engine))
                        .await
                }
            };
            let info = moved.map_err(timetable::ended)?;
            self.scheduler.nudge().await;
            Ok(json!(info))
        })
    }

    fn request(&self, wanted: RunWanted) -> BoxFuture<'_, Result<engine::RunRequest, Fault>> {
        Box::pin(async move {
            named(&wanted.pipeline)?;
            let (request, wanted) = split(wanted);
            let prepared = self.app.prepare(&request)?;
            wanted.check(&prepared)?;
            self.app.check_outside(&prepared).await?;
            Ok(self.app.request_of(prepared, &wanted).await?)
        })
    }
}

/// Callers name the pipelines of this home; a file elsewhere is for the command line alone.
fn named(pipeline: &str) -> Result<(), Fault> {
    let file = Path::new(pipeline);
    if pipeline.contains('/') || file.extension().is_some_and(|end| end == "toml") {
        let message = format!("`{pipeline}` is a file; the daemon runs the pipelines of its home");
        return Err(Fault::invalid(message)
            .hint("put the file into `pipelines/` and give the pipeline's name".to_owned()));
    }
    Ok(())
}

/// The API's words in those of the command line.
fn split(wanted: RunWanted) -> (RunRequest, Wanted) {
    let request = RunRequest {
        pipeline: wanted.pipeline,
        date: wanted.date,
        source: wanted.source,
        profile: wanted.profile,
        params: timetable::as_given(wanted.params),
    };
    let wanted = Wanted {
        from: wanted.from,
        only: wanted.only,
        force: wanted.force,
    };
    (request, wanted)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Registry(error) => error.into(),
            Error::Engine(error) => error.into(),
            Error::Pipeline(error) => error.into(),
            Error::Source(crate::sources::Error::Wrong(message)) => Self::invalid(message),
            Error::Source(error) => Self::unfit(chain(&error)),
            Error::Encoder(error) => Self::unfit(chain(&error)),
            Error::Wrong { message, hint } => Self::invalid(message).hint(hint),
            Error::Unfit { message, hint } => Self::unfit(message).hint(hint),
            Error::Failed(message) => Self::internal(message),
        }
    }
}

/// The signals that end a daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn unfit(error: impl std::fmt::Display) -> Error {
    Error::unfit(error.to_string(), None)
}
