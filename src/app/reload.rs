//! Settings that change while the daemon runs: on SIGHUP, and when `trendmill.toml` does.
//!
//! Settings that are right take the place of the old ones: how much runs at once, what is told
//! to whom, what is kept, what is logged, whose token is good. Others (the address, the device) are
//! in force after the next start. Settings that are wrong change nothing and are said once.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

use super::{App, Error, settings::slots};
use crate::{
    config::{self, Settings},
    engine::Handle,
    telemetry,
};

/// An editor writes a file in several steps; this is how long it is waited for the last.
const SETTLE: Duration = Duration::from_millis(300);

/// Reads the settings again when they may have changed.
#[derive(Debug)]
pub(super) struct Reloader {
    home: PathBuf,
    settings: watch::Sender<Arc<Settings>>,
    engine: Handle,
    hangup: Signal,
    changed: mpsc::Receiver<()>,
    /// Tells `changed`; there is none where the home cannot be watched.
    _watcher: Option<RecommendedWatcher>,
    last: Option<String>,
}

impl Reloader {
    /// Listens from now on. A home that cannot be watched is said; SIGHUP is left.
    ///
    /// # Errors
    ///
    /// Where the signal cannot be had.
    pub(super) fn new(
        home: &Path,
        settings: watch::Sender<Arc<Settings>>,
        engine: Handle,
    ) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        let (tell, changed) = mpsc::channel(1);
        let watcher = watch_file(home, tell)
            .inspect_err(|error| {
                tracing::warn!("changes of {} are not noticed: {error}", config::FILE);
            })
            .ok();
        Ok(Self {
            last: read(home),
            home: home.to_owned(),
            settings,
            engine,
            hangup,
            changed,
            _watcher: watcher,
        })
    }

    /// Works until it is told to end.
    ///
    /// # Errors
    ///
    /// None: settings that are wrong are said, and the old ones stay.
    pub(super) async fn run(mut self, ending: CancellationToken) -> Result<(), Infallible> {
        let mut said = None;
        loop {
            let asked = tokio::select! {
                () = ending.cancelled() => return Ok(()),
                _ = self.hangup.recv() => true,
                Some(()) = self.changed.recv() => false,
            };
            if !asked {
                tokio::time::sleep(SETTLE).await;
                let _more = self.changed.try_recv();
            }
            let text = read(&self.home);
            if text == self.last && !asked {
                continue;
            }
            self.last = text;
            let fault = self.reload().err().map(|error| error.to_string());
            if let Some(fault) = &fault
                && (asked || said.as_ref() != Some(fault))
            {
                tracing::error!("the old settings stay, the new ones are wrong: {fault}");
            }
            said = fault;
        }
    }

    /// Puts the settings of the home into force.
    ///
    /// # Errors
    ///
    /// Where they are wrong; then the old ones stay.
    fn reload(&self) -> Result<(), Error> {
        let new = App::settings_of(&self.home)?;
        let old = Arc::clone(&self.settings.borrow());
        let changed = new.changed_since(&old);
        if new.log.level != old.log.level {
            telemetry::set_filter(&new.log.level)
                .map_err(|error| Error::wrong(error.to_string(), None))?;
        }
        if new.engine != old.engine {
            self.engine.set_slots(slots(&new));
        }
        self.settings.send_replace(Arc::new(new));
        tracing::info!("read the settings again; changed: {}", shown(&changed));
        Ok(())
    }
}

fn shown(changed: &BTreeSet<String>) -> String {
    if changed.is_empty() {
        "nothing".to_owned()
    } else {
        let keys: Vec<&str> = changed.iter().map(String::as_str).collect();
        keys.join(", ")
    }
}

fn read(home: &Path) -> Option<String> {
    fs_err::read_to_string(home.join(config::FILE)).ok()
}

/// Watches the home for changes of its settings' file; the folder, because editors replace files.
fn watch_file(home: &Path, tell: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let about = |event: notify::Event| {
            !event.kind.is_access()
                && event
                    .paths
                    .iter()
                    .any(|path| path.file_name().is_some_and(|name| name == config::FILE))
        };
        if event.is_ok_and(about) {
            // One that waits is enough.
            let _full = tell.try_send(());
        }
    })?;
    watcher.watch(home, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
