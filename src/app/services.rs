//! What works beside engine and server until the daemon ends.

use std::{fmt, future::Future};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What works beside engine and server until the daemon ends.
#[derive(Debug, Default)]
pub(super) struct Services {
    tracker: TaskTracker,
    ending: CancellationToken,
}

impl Services {
    /// Starts one. It ends when the token that it is given is cancelled; one that fails before is
    /// missed, and everything else goes on.
    pub(super) fn start<F, E>(
        &self,
        name: &'static str,
        service: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send,
    {
        let work = service(self.ending.child_token());
        let ending = self.ending.clone();
        self.tracker.spawn(async move {
            match work.await {
                Ok(()) if ending.is_cancelled() => {}
                Ok(()) => tracing::error!("the {name} has ended by itself"),
                Err(error) => tracing::error!("the {name} failed: {error:#}"),
            }
        });
    }

    /// Tells all of them to end, and waits until they have.
    pub(super) async fn end(self) {
        self.ending.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
