//! What is told to systemd, where it started this process.

use std::convert::Infallible;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Says where the daemon stands; nothing where nobody listens.
pub(super) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Says that this process lives, twice in the time after which systemd would end it.
pub(super) async fn watchdog(ending: CancellationToken) -> Result<(), Infallible> {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        ending.cancelled().await;
        return Ok(());
    };
    let mut beat = tokio::time::interval(patience / 2);
    loop {
        tokio::select! {
            () = ending.cancelled() => return Ok(()),
            _ = beat.tick() => tell(NotifyState::Watchdog),
        }
    }
}
