//! `[engine]`: how much runs at once.

use std::collections::BTreeMap;

use super::reader::Reader;

/// How much runs at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// How many tasks run at once, in all pools together. Default: the number of cores.
    pub parallelism: usize,
    /// By pool: how many tasks that name it run at once. Default: one in `device`.
    pub pools: BTreeMap<String, usize>,
}

impl Engine {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            parallelism: reader.checked("engine.parallelism", cores, |&tasks| at_least_one(tasks)),
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
