//! What about a running engine changes from outside: its slots, and whether the disk has room.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::EngineSettings;
use crate::{artifacts, store};

/// The pause before a write is tried again on a full disk; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How much may run at once, and what is left free for what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// Over all pools; 0 for no limit.
    pub parallelism: usize,
    /// By pool; a pool that is not here has one.
    pub pools: BTreeMap<String, usize>,
    /// Nothing new starts with less free disk than this, in bytes: what runs must be able to end.
    pub disk_reserve: u64,
}

/// The room on the disk of the databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskRoom {
    /// What is free; null where the system does not tell.
    pub free_bytes: Option<u64>,
    /// Nothing new starts with less. Twice the reserve where the disk was full, so that the state
    /// does not come and go.
    pub needed_bytes: u64,
    /// Whether what is new waits for room.
    pub full: bool,
}

impl DiskRoom {
    /// The room where `free` bytes are free, of which `reserve` are not for what is new.
    pub fn of(free: Option<u64>, reserve: u64) -> Self {
        Self::after(free, reserve, false)
    }

    /// The room on a disk that was full, or was not.
    fn after(free_bytes: Option<u64>, reserve: u64, was_full: bool) -> Self {
        let needed_bytes = reserve.saturating_mul(1 + u64::from(was_full));
        Self {
            free_bytes,
            needed_bytes,
            full: free_bytes.is_some_and(|free| free < needed_bytes),
        }
    }

    /// What is wrong, in words: `the disk is full, 120 MB free of the 500 MB it needs`.
    pub fn in_words(self) -> String {
        let megabytes = |bytes: u64| bytes / 1_000_000;
        match self.free_bytes {
            Some(free) if free < self.needed_bytes => format!(
                "the disk is full, {} MB free of the {} MB it needs",
                megabytes(free),
                megabytes(self.needed_bytes)
            ),
            _ => "the disk is full".to_owned(),
        }
    }
}

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
    free_bytes: fn(&Path) -> Option<u64>,
    data_dir: PathBuf,
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
        disk_reserve: settings.disk_reserve,
    });
    let (full, told) = watch::channel(false);
    let halt = CancellationToken::new();
    let tuner = Tuner {
        slots,
        full: told,
        halt: halt.clone(),
        free_bytes: settings.free_bytes,
        data_dir: settings.data_dir(),
    };
    let tuning = Tuning {
        slots: seen,
        full,
        halt,
    };
    (tuner, tuning)
}

impl Tuner {
    pub(super) fn set_slots(&self, slots: Slots) {
        self.slots.send_replace(slots);
    }

    pub(super) fn slots(&self) -> Slots {
        self.slots.borrow().clone()
    }

    /// The room on the disk as it is now. What the engine saw last counts as well: a write may
    /// have found no room where the system tells of some.
    pub(super) fn disk(&self) -> DiskRoom {
        let reserve = self.slots.borrow().disk_reserve;
        let was_full = *self.full.borrow();
        let room = DiskRoom::after((self.free_bytes)(&self.data_dir), reserve, was_full);
        DiskRoom {
            full: room.full || was_full,
            ..room
        }
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

    /// Looks whether something new may start; `wanted`: whether there is something. A full disk is
    /// looked at all the same, so that the state is left without work too.
    pub(super) fn look(&self, settings: &EngineSettings, wanted: bool) -> bool {
        if !wanted && !self.is_full() {
            return false;
        }
        let free = (settings.free_bytes)(&settings.data_dir());
        let reserve = self.slots.borrow().disk_reserve;
        self.note(DiskRoom::after(free, reserve, self.is_full()).full);
        wanted && !self.is_full()
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
        until_written(&mut write, &self.halt, || self.note(true)).await
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

/// Writes, again and again while the disk is full, until `halt`; `note` is told of each refusal.
pub(super) async fn until_written<F>(
    mut write: impl FnMut() -> F,
    halt: &CancellationToken,
    note: impl Fn(),
) -> Result<(), store::Error>
where
    F: Future<Output = Result<(), store::Error>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match write().await {
            Err(error) if error.is_disk_full() && !halt.is_cancelled() => {
                note();
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = halt.cancelled() => return Err(error),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            result => return result,
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
