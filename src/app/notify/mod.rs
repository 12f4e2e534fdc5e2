//! Notices: what people should know without looking, told once per cause.
//!
//! A notice is a row from when its cause comes until it is gone. Raising one that stands only
//! counts it, so a pipeline that fails every minute is one message; when its cause is gone it is
//! armed again. Rows are sent from the store, so none is lost with the process, and at most once
//! per interval, so that many causes at once are one message too.

mod send;
mod sign;
mod watch;

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, watch as channel},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::watch::Found;
use crate::{
    clock::{Clock, Timestamp},
    config::{NoticeKind, Settings},
    engine::{EngineEvent, run_ended},
    store::{Error, NoticeRow, Store},
    telemetry::chain,
};

/// How often is looked at what has no event.
const LOOK_EVERY: Duration = Duration::from_mins(5);
/// The pause after the first failure to send; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// After so many tries, about half a day, a message is given up.
const TRIES: u32 = 20;
/// What belongs together mostly comes within this time.
const GATHER: Duration = Duration::from_secs(1);

/// Finds what there is to tell, and tells it.
#[derive(Debug)]
pub(super) struct Notifier {
    /// The databases.
    pub(super) store: Store,
    /// Where the time comes from.
    pub(super) clock: Arc<dyn Clock>,
    /// The settings as they are now.
    pub(super) settings: channel::Receiver<Arc<Settings>>,
    /// What the engine does.
    pub(super) events: broadcast::Receiver<EngineEvent>,
    /// The home's data folder, whose disk is watched.
    pub(super) data_dir: PathBuf,
}

impl Notifier {
    /// Works until it is told to end. What the store or the network refuse is tried again; the
    /// engine never waits for it.
    ///
    /// # Errors
    ///
    /// None.
    pub(super) async fn run(mut self, ending: CancellationToken) -> Result<(), Infallible> {
        let mut next_look = Instant::now();
        let mut next_sending = Instant::now();
        loop {
            let look = Instant::now() >= next_look;
            if look {
                next_look = Instant::now() + LOOK_EVERY;
            }
            let sent = tokio::select! {
                () = ending.cancelled() => return Ok(()),
                sent = self.turn(look, Instant::now() >= next_sending) => sent,
            };
            match sent {
                Ok(true) => {
                    next_sending = Instant::now() + self.settings.borrow().notify.interval;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!("notices wait: {}", chain(&error));
                }
            }
            let wake = self.next_wake(next_look, next_sending).await;
            tokio::select! {
                () = ending.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(wake) => {}
                () = run_ended(&mut self.events) => {
                    tokio::time::sleep(GATHER).await;
                }
                // Where nobody changes settings any more the daemon ends.
                changed = self.settings.changed() => if changed.is_err() {
                    ending.cancelled().await;
                },
            }
        }
    }

    /// Looks and sends once; returns whether something was sent.
    async fn turn(&self, look: bool, may_send: bool) -> Result<bool, Error> {
        self.hear_of_runs().await?;
        if look {
            self.look().await?;
        }
        if may_send {
            self.deliver().await
        } else {
            Ok(false)
        }
    }

    /// Raises and clears what the ends of runs tell since it was last heard of them.
    async fn hear_of_runs(&self) -> Result<(), Error> {
        loop {
            let new = self.store.new_run_ends().await?;
            let settings = self.settings.borrow().notify.clone();
            let found = watch::of_runs(&new.ends, &settings);
            let now = self.clock.now();
            self.store
                .write_notices(&found.raise, &found.clear, Some(new.cursor), now)
                .await?;
            if !new.more {
                return Ok(());
            }
        }
    }

    /// Raises and clears what has no event.
    async fn look(&self) -> Result<(), Error> {
        let settings = self.settings.borrow().notify.clone();
        let now = self.clock.now();
        let Found { raise, clear } =
            watch::of_state(&self.store, &self.data_dir, &settings, now).await?;
        let standing = self.store.standing_notices().await?;
        let stands = |cause: &String| standing.iter().any(|notice| notice.cause == *cause);
        let late: Vec<String> = raise.iter().map(|notice| notice.cause.clone()).collect();
        // Nothing is written where nothing has changed.
        let raise: Vec<_> = raise
            .into_iter()
            .filter(|notice| !stands(&notice.cause))
            .collect();
        let mut clear: Vec<_> = clear.into_iter().filter(stands).collect();
        // A run that has ended since is late no more.
        clear.extend(
            standing
                .iter()
                .filter(|notice| notice.kind == NoticeKind::DeadlineMissed.name())
                .map(|notice| notice.cause.clone())
                .filter(|cause| !late.contains(cause)),
        );
        if !raise.is_empty() || !clear.is_empty() {
            self.store.write_notices(&raise, &clear, None, now).await?;
        }
        Ok(())
    }

    /// Sends what is due, as one message per way; returns whether something was.
    async fn deliver(&self) -> Result<bool, Error> {
        let settings = Arc::clone(&self.settings.borrow());
        let due = self.store.due_notices(self.clock.now()).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let net = super::settings::net(&settings);
        let mut failures: Vec<(&'static str, String)> = Vec::new();
        let ways = send::ways(&settings.notify);
        for way in &ways {
            let wanted: Vec<&NoticeRow> = due
                .iter()
                .filter(|notice| notice.pending.iter().any(|pending| pending == way))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            let message = send::message(&wanted, self.clock.now());
            if let Err(error) = send::send(way, &settings.notify, &net, &message).await {
                tracing::warn!("a notice was not sent by the {way}: {error}");
                failures.push((way, error));
            }
        }
        for notice in &due {
            self.note(notice, &ways, &failures).await?;
        }
        Ok(true)
    }

    /// Notes what became of one notice, sent on all of these ways but for the failures. A way that
    /// the settings no longer give has reached nobody, and is not waited for.
    async fn note(
        &self,
        notice: &NoticeRow,
        ways: &[&'static str],
        failures: &[(&'static str, String)],
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let (mut pending, mut errors, mut arrived) = (Vec::new(), Vec::new(), false);
        for way in &notice.pending {
            if !ways.contains(&way.as_str()) {
                errors.push(format!("{way}: it is no longer in the settings"));
            } else if let Some((_, error)) = failures.iter().find(|(failed, _)| failed == way) {
                errors.push(format!("{way}: {error}"));
                pending.push(way.clone());
            } else {
                arrived = true;
            }
        }
        let error = (!errors.is_empty()).then(|| errors.join("; "));
        let given_up = notice.tries + 1 >= TRIES;
        if given_up {
            pending.clear();
        }
        let next = now + pause(notice.tries);
        self.store
            .note_sending(&[notice.id], &pending, arrived, error.as_deref(), next, now)
            .await
    }

    /// When there is something to do again that no event tells.
    async fn next_wake(&self, next_look: Instant, next_sending: Instant) -> Instant {
        // A store that fails now is asked again when it is next looked.
        let Ok(Some(next)) = self.store.next_notice().await else {
            return next_look;
        };
        let due = Instant::now() + until(next, self.clock.now());
        due.max(next_sending).min(next_look)
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    at.since(now)
}

/// The pause after so many failures before this one.
fn pause(tries: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(tries))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
