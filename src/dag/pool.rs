//! Pools: how many tasks of a kind may run at once, over all runs of a process.

use std::collections::BTreeMap;

/// Slots by pool, and how many are taken. Shared by all runs of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// The most tasks at once, in and outside pools; 0 means no limit.
    total: usize,
    limits: BTreeMap<String, usize>,
    running: usize,
    taken: BTreeMap<String, usize>,
}

impl Pools {
    /// Pools with these numbers of slots; `total` limits all tasks together, 0 for no limit.
    ///
    /// A pool that a task names and nobody sized has one slot.
    pub fn new(total: usize, limits: BTreeMap<String, usize>) -> Self {
        Self {
            total,
            limits,
            ..Self::default()
        }
    }

    /// Changes how many slots there are; what has one keeps it.
    pub fn resize(&mut self, total: usize, limits: BTreeMap<String, usize>) {
        self.total = total;
        self.limits = limits;
    }

    /// How many slots a pool has.
    pub fn limit(&self, pool: &str) -> usize {
        self.limits.get(pool).map_or(1, |&slots| slots.max(1))
    }

    /// How many slots of a pool are taken.
    pub fn taken(&self, pool: &str) -> usize {
        self.taken.get(pool).copied().unwrap_or(0)
    }

    /// How many tasks run, in and outside pools.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether a task of this pool (or of none) may start now.
    pub(super) fn has_slot(&self, pool: Option<&str>) -> bool {
        self.has_room() && pool.is_none_or(|pool| self.taken(pool) < self.limit(pool))
    }

    /// Whether any task may start now, if its pool allows it.
    pub fn has_room(&self) -> bool {
        self.total == 0 || self.running < self.total
    }

    pub(super) fn take(&mut self, pool: Option<&str>) {
        self.running += 1;
        if let Some(pool) = pool {
            *self.taken.entry(pool.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn free(&mut self, pool: Option<&str>) {
        self.running = self.running.saturating_sub(1);
        if let Some(taken) = pool.and_then(|pool| self.taken.get_mut(pool)) {
            *taken = taken.saturating_sub(1);
        }
    }
}
