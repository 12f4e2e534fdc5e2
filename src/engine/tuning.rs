//! What about a running engine changes from outside: its slots, and whether the disk has room.

use std::{collections::BTreeMap, future::Future, path::Path, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{EngineSettings, Slots};
use crate::{artifacts, store};

/// The pause before a write is tried again on a full disk; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Nothing new starts with less free disk than this: what runs must be able to end.
pub(super) const LEAST_FREE: u64 = 64 << 20;

/// The free bytes of a folder's disk; `None` where it cannot be told, which stops nobody.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    artifacts::space(folder).ok().map(|space| space.free)
}

/// The end of others.
#[derive(Clone, Debug)]
pub(super) struct Tuner {
    slots: watch::Sender<Slots>,
    full: watch::Receiver<bool>,
    halt: CancellationToken,
}

/// The dispatcher's end.
#[derive(Debug)]
pub(super) struct Tuning {
    slots: watch::Receiver<Slots>,
    full: watch::Sender<bool>,
    halt: CancellationToken,
}

/// Both ends.
pub(super) fn channel(settings: &EngineSettings) -> (Tuner, Tuning) {
    let (slots, seen) = watch::channel(Slots {
        parallelism: settings.parallelism,
        pools: settings.pools.clone(),
        ..Slots::default()
    });
    let (full, told) = watch::channel(false);
    let halt = CancellationToken::new();
    let tuner = Tuner {
        slots,
        full: told,
        halt: halt.clone(),
    };
    let tuning = Tuning {
        slots: seen,
        full,
        halt,
    };
    (tuner, tuning)
}

impl Tuner {
    pub(super) fn set_slots(&self, parallelism: usize, pools: BTreeMap<String, usize>) {
        self.slots.send_replace(Slots {
            parallelism,
            pools,
            ..Slots::default()
        });
    }

    /// Whether work waits for room on the disk.
    pub(super) fn disk_full(&self) -> watch::Receiver<bool> {
        self.full.clone()
    }

    /// Nothing more is waited for.
    pub(super) fn halt(&self) {
        self.halt.cancel();
    }
}

impl Tuning {
    /// Waits for other slots; for ever where nobody can set them any more.
    pub(super) async fn new_slots(&mut self) -> Slots {
        if self.slots.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.slots.borrow_and_update().clone()
    }

    /// Whether the disk was full when it was last looked at.
    pub(super) fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    /// Looks whether something new may start. Twice the room must be there before it does again,
    /// so that the state does not come and go.
    pub(super) fn look(&self, settings: &EngineSettings) -> bool {
        let wanted = LEAST_FREE << u32::from(self.is_full());
        let free = (settings.free_bytes)(&settings.data_dir());
        self.note(free.is_some_and(|free| free < wanted));
        !self.is_full()
    }

    /// Writes, again and again while the disk is full. An engine that is told to stop waits no
    /// longer.
    pub(super) async fn until_written<F>(
        &self,
        mut write: impl FnMut() -> F,
    ) -> Result<(), store::Error>
    where
        F: Future<Output = Result<(), store::Error>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match write().await {
                Err(error) if error.is_disk_full() && !self.halt.is_cancelled() => {
                    self.note(true);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.halt.cancelled() => return Err(error),
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn note(&self, full: bool) {
        let changed = self
            .full
            .send_if_modified(|was| std::mem::replace(was, full) != full);
        if changed && full {
            tracing::error!("the disk is full: what runs may end, what is new waits for room");
        } else if changed {
            tracing::info!("the disk has room again; work goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn full() -> store::Error {
        store::Error::disk_full_for_tests()
    }

    #[tokio::test]
    async fn a_write_waits_for_room_and_for_nothing_once_it_is_stopped() {
        let (tuner, tuning) = channel(&EngineSettings::new("."));
        let tries = Cell::new(0);
        let write = || {
            tries.set(tries.get() + 1);
            let result = if tries.get() < 3 { Err(full()) } else { Ok(()) };
            std::future::ready(result)
        };
        tuning.until_written(write).await.unwrap();
        assert_eq!(tries.get(), 3);
        assert!(*tuner.disk_full().borrow());
        tuner.halt();
        let refused = tuning
            .until_written(|| std::future::ready(Err(full())))
            .await;
        assert!(refused.unwrap_err().is_disk_full());
    }
}
