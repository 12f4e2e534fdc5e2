//! The wake-up: tokio-cron-scheduler rings when the next tick is near.
//!
//! It never sees a cron pattern: it is given one job, once, for the next tick. Such a job is due by
//! the machine's clock, so that it follows where that is set; its repeating jobs do not (after a
//! jump of the clock they never ring again).

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// It rings this much early, because it looks at the clock twice a second only; the rest is slept.
pub(super) const EARLY: Duration = Duration::from_secs(1);

/// It rings after this time at the latest: for what another process has written into the store.
const LONGEST: Duration = Duration::from_secs(30);

/// What rings when the next tick is near.
pub(super) struct Alarm {
    jobs: JobScheduler,
    armed: Option<uuid::Uuid>,
    rang: Arc<Notify>,
}

impl Alarm {
    pub(super) async fn start() -> Result<Self, JobSchedulerError> {
        let jobs = JobScheduler::new().await?;
        jobs.start().await?;
        Ok(Self {
            jobs,
            armed: None,
            rang: Arc::new(Notify::new()),
        })
    }

    /// Rings after `wait`, and not when it was set to before.
    pub(super) async fn set(&mut self, wait: Duration) -> Result<(), JobSchedulerError> {
        if let Some(armed) = self.armed.take() {
            // One that has rung is gone.
            let _gone = self.jobs.remove(&armed).await;
        }
        let rang = Arc::clone(&self.rang);
        let wait = wait.saturating_sub(EARLY).min(LONGEST);
        let job = Job::new_one_shot_async(wait, move |_, _| {
            let rang = Arc::clone(&rang);
            Box::pin(async move { rang.notify_one() })
        })?;
        self.armed = Some(self.jobs.add(job).await?);
        Ok(())
    }

    /// Waits until it rings.
    pub(super) async fn rings(&self) {
        self.rang.notified().await;
    }

    pub(super) async fn stop(mut self) {
        if let Err(error) = self.jobs.shutdown().await {
            tracing::debug!(%error, "the wake-up did not end well");
        }
    }
}
