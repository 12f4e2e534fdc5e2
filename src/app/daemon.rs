//! `trendmill up`: engine, server and what works beside them, in one process.

use std::{net::SocketAddr, path::Path, sync::Arc};

use futures::future::BoxFuture;
use sd_notify::NotifyState;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{
    App, Error, RunRequest, Wanted,
    daemon_file::{DaemonFile, Posted},
    services::Services,
    systemd,
};
use crate::{
    clock::Clock,
    config::Settings,
    engine::{self, Handle, HomeLock},
    server::{self, Fault, Host, Phase, RunWanted},
    store::Store,
    telemetry::chain,
};

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
    phase: watch::Receiver<Phase>,
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
        let app = Arc::new(App::open(home, settings).await?);
        let now = app.clock().now();
        let lock = HomeLock::acquire(&home.join("data"), now)?;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::unfit(
                format!("cannot listen at {address}: {error}"),
                "give another address with `--listen ADDR`".to_owned(),
            )
        })?;
        let address = listener.local_addr().map_err(unfit)?;
        let url = format!("http://{address}");
        lock.set_address(&url).map_err(unfit)?;
        let engine = app.start_engine_with(lock).await?;
        let file = DaemonFile {
            pid: std::process::id(),
            url,
            token: new_token()?,
            started_at: now,
        };
        let posted = file.post(home).map_err(unfit)?;
        let (phase, seen) = watch::channel(Phase::Starting);
        let face = Face {
            app,
            engine,
            phase: seen,
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

    /// Goes on with what was left, and works until it is told to end: the first signal lets
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
        let (app, engine) = (Arc::clone(&face.app), face.engine.clone());
        let (quit, mut quitting) = watch::channel(false);
        let ending = async move {
            // The other end is dropped only with this process.
            let _ = quitting.wait_for(|&quit| quit).await;
        };
        let serving = tokio::spawn(server::serve(face, listener, ending));
        resume(&app, &engine).await?;
        phase.send_replace(Phase::Ready);
        let services = start_services();
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
        services.end().await;
        drop(posted);
        quit.send_replace(true);
        serving
            .await
            .map_err(|error| Error::Failed(error.to_string()))?
            .map_err(unfit)?;
        match engine.fault() {
            Some(fault) => Err(Error::Failed(format!("the engine gave up: {fault}"))),
            None => Ok(()),
        }
    }
}

/// What works beside engine and server; each is one line.
fn start_services() -> Services {
    let services = Services::default();
    services.start("watchdog", systemd::watchdog);
    services
}

/// Goes on with every run that an earlier process left.
async fn resume(app: &App, engine: &Handle) -> Result<(), Error> {
    let unfinished = app.store().unfinished_runs(None).await?;
    // One that is held starts when it is promoted.
    for run in unfinished.into_iter().filter(|run| run.hold.is_none()) {
        engine.resume(&run.id).await?;
    }
    Ok(())
}

impl Host for Face {
    fn store(&self) -> &Store {
        self.app.store()
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

    fn request(&self, wanted: RunWanted) -> BoxFuture<'_, Result<engine::RunRequest, Fault>> {
        Box::pin(async move {
            let (request, wanted) = split(wanted);
            let prepared = self.app.prepare(&request)?;
            wanted.check(&prepared)?;
            self.app.check_outside(&prepared).await?;
            Ok(self.app.request_of(prepared, &wanted).await?)
        })
    }
}

/// The API's words in those of the command line.
fn split(wanted: RunWanted) -> (RunRequest, Wanted) {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let request = RunRequest {
        pipeline: wanted.pipeline,
        date: wanted.date,
        source: wanted.source,
        profile: wanted.profile,
        params: wanted
            .params
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect(),
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

/// 256 random bits, as text.
fn new_token() -> Result<String, Error> {
    use rand::TryRng as _;
    let mut bytes = [0_u8; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::unfit(format!("no random numbers: {error}"), None))?;
    Ok(bytes.iter().fold(String::from("tm_"), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn unfit(error: impl std::fmt::Display) -> Error {
    Error::unfit(error.to_string(), None)
}
