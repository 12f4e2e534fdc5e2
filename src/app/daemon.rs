//! `trendmill up`: engine, server and what works beside them, in one process.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{
    App, Error,
    daemon_file::{DaemonFile, Posted},
    face::Face,
    housekeeping,
    predicting::{self, Predicting},
    services::Services,
    systemd, tokens,
};
use crate::{
    config::Settings,
    engine::{self, Handle, HomeLock, scheduler::SchedulerHandle},
    registry::LoggedFiles,
    server::{self, Host, Phase, hash_token},
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
    changes: watch::Sender<Arc<Settings>>,
    predicting: Predicting,
}

impl Daemon {
    /// Takes the home, listens at `address`, and starts the engine.
    ///
    /// # Errors
    ///
    /// Where another process runs on the home, or the address cannot be had.
    pub async fn start(
        home: &Path,
        settings: Settings,
        address: SocketAddr,
    ) -> Result<Self, Error> {
        // Heard when it works; until then at least it must not end the process.
        let _heard = signal(SignalKind::hangup()).map_err(unfit)?;
        let app = Arc::new(App::open(home, settings).await?);
        refuse_open_address(&app, address).await?;
        let token = tokens::random()?;
        let now = app.clock().now();
        let lock = HomeLock::acquire(&home.join("data"), now)?;
        LoggedFiles::of(&home.join("data")).sweep().map_err(unfit)?;
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
        };
        let posted = file.post(home).map_err(unfit)?;
        let (phase, seen) = watch::channel(Phase::Starting);
        let (changes, settings) = watch::channel(Arc::clone(&app.settings));
        let (predictions, jobs) = predicting::desk();
        let predicting = Predicting {
            app: Arc::clone(&app),
            settings: settings.clone(),
            jobs,
        };
        let face = Face {
            app,
            engine,
            scheduler: OnceLock::new(),
            phase: seen,
            started_at: now,
            settings,
            address,
            own_token: hash_token(&token),
            metrics: Arc::default(),
            predictions,
        };
        Ok(Self {
            face: Arc::new(face),
            listener,
            address,
            phase,
            posted,
            changes,
            predicting,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, goes on with what was left, and works until it is told to end: the first signal lets
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
            changes,
            predicting,
            ..
        } = self;
        let mut signals = Signals::new().map_err(unfit)?;
        let engine = face.engine.clone();
        let (quit, mut quitting) = watch::channel(false);
        let ending = async move {
            // The other end is dropped only with this process.
            let _ = quitting.wait_for(|&quit| quit).await;
        };
        let host: Arc<dyn Host> = Arc::clone(&face) as Arc<dyn Host>;
        // First: what was left may be much, and whoever asks is to hear that it lives.
        let serving = tokio::spawn(server::serve(host, listener, ending));
        let scheduler = take_up(&face).await?;
        let services = start_services(&face, scheduler, changes);
        services.start("predictor", |ending| predicting.run(ending));
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
fn start_services(
    face: &Face,
    scheduler: SchedulerHandle,
    changes: watch::Sender<Arc<Settings>>,
) -> Services {
    let (store, events) = (face.app.store().clone(), face.engine.subscribe());
    let metrics = Arc::clone(&face.metrics);
    let services = Services::default();
    services.start("watchdog", systemd::watchdog);
    services.start("metrics", |ending| metrics.watch(events, store, ending));
    housekeeping::start(&face.app, &face.engine, changes, &services);
    services.start("scheduler", |ending| async move {
        ending.cancelled().await;
        scheduler.stop().await;
        Ok::<(), Error>(())
    });
    services
}

/// An address that others can reach needs a token.
async fn refuse_open_address(app: &App, address: SocketAddr) -> Result<(), Error> {
    let set = app.settings().server.token.is_some();
    if address.ip().is_loopback() || set || app.store().has_tokens().await? {
        return Ok(());
    }
    Err(Error::wrong(
        format!("{address} can be reached from other machines, and there is no token"),
        "make one with `trendmill tokens create NAME`, or listen at 127.0.0.1".to_owned(),
    ))
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

/// Goes on with what an earlier process left, then with what is due.
async fn take_up(face: &Face) -> Result<SchedulerHandle, Error> {
    // Before the scheduler: a run that it ends is to be at work, so that it can tidy up.
    resume(&face.app, &face.engine).await?;
    let start = || face.app.start_scheduler(&face.engine);
    Ok(face.scheduler.get_or_init(start).clone())
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

#[cfg(test)]
mod tests;
