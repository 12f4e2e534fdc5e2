//! `[engine]`: how much runs at once.

use std::collections::BTreeMap;

use super::reader::Reader;

/// How much runs at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// How many tasks run at once, in all pools together. Default: 16, because most of them wait
    /// for others; those that compute share the pool `device`.
    pub parallelism: usize,
    /// By pool: how many tasks that name it run at once. Default: one in `device`.
    pub pools: BTreeMap<String, usize>,
}

impl Engine {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            parallelism: reader.checked("engine.parallelism", 16, |&tasks| at_least_one(tasks)),
            pools: reader.map("engine.pools", [("device", 1)]),
        }
    }
}

pub(super) fn at_least_one(count: usize) -> Result<(), String> {
    if count == 0 {
        return Err("write a whole number from 1".to_owned());
    }
    Ok(())
}
