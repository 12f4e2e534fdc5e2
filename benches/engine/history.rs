//! A store with a long past.

mod past;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{chain, daemon::Daemon, measure, start};

/// Milliseconds until work could begin.
pub(crate) struct Ready {
    /// From opening the databases to an engine that takes on runs.
    pub(crate) engine: f64,
    /// Of a whole process that lists one run.
    pub(crate) command: f64,
    /// From the start of the daemon's process to its first answer that it is ready.
    pub(crate) daemon: f64,
    /// Resident megabytes of the idle daemon.
    pub(crate) resident: f64,
    /// What the idle daemon takes of a core, in per cent.
    pub(crate) core: f64,
}

/// Starts an engine on a store with so many past runs; the median of five starts.
pub(crate) async fn start_to_ready(past: usize) -> anyhow::Result<Ready> {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let engine = start(home.path()).await?;
    measure(&engine, &chain(3)).await?;
    engine.handle.drain();
    engine.handle.stopped_for_good().await;
    drop(engine);
    past::multiply(&home.path().join("data/state.db"), past).await?;
    let (mut engines, mut commands, mut daemons) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = Instant::now();
        let engine = start(home.path()).await?;
        engines.push(began.elapsed().as_secs_f64() * 1e3);
        engine.handle.drain();
        engine.handle.stopped_for_good().await;
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_trendmill"))
            .arg("--home")
            .arg(home.path())
            .args(["--json", "runs", "list", "--limit", "1"])
            .output()?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        commands.push(began.elapsed().as_secs_f64() * 1e3);
        daemons.push(Daemon::start(home.path())?.ready);
    }
    let (resident, core) = Daemon::start(home.path())?.idle(Duration::from_secs(20))?;
    Ok(Ready {
        engine: crate::median(&mut engines),
        command: crate::median(&mut commands),
        daemon: crate::median(&mut daemons),
        resident,
        core,
    })
}
