//! `[engine]`: how much runs at once.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Size, reader::Reader, setting::Setting};

/// With less free disk than this nothing new starts, where nobody says otherwise.
pub const DISK_RESERVE: Size = Size(64_000_000);

/// How much runs at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// How many tasks run at once, in all pools together. Default: 16, because most of them wait
    /// for others; those that compute share the pool `device`.
    pub parallelism: usize,
    /// By pool: how many tasks that name it run at once. Default: one in `device`.
    pub pools: BTreeMap<String, usize>,
    /// Where attempts run. Default: each task where it is best off.
    pub executor: ExecutorMode,
    /// How much memory the processes of an attempt may hold together, where its task does not
    /// say. Default: as much as they want.
    pub memory: Option<Size>,
    /// Nothing new starts with less free disk than this; what runs may end. Default: 64 MB.
    pub disk_reserve: Size,
    /// How long a training works at least between two times at which it puts down how far it is, so
    /// that it goes on from there when it was interrupted. Default: 30 seconds.
    pub checkpoint_interval: Duration,
}

/// Where attempts run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecutorMode {
    /// Each task where its pipeline says, else where its operator is best off: what computes on a
    /// device or starts programs has a process of its own.
    #[default]
    Auto,
    /// All in the process of the engine, whatever pipelines say: for tests, and for machines too
    /// small for two processes.
    Inline,
}

impl Setting for ExecutorMode {
    const FORM: &'static str = "`auto` or `inline`";

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "inline" => Some(Self::Inline),
            _ => None,
        }
    }

    fn show(&self) -> Value {
        Value::from(match self {
            Self::Auto => "auto",
            Self::Inline => "inline",
        })
    }
}

impl Engine {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            parallelism: reader.checked("engine.parallelism", 16, |&tasks| at_least_one(tasks)),
            pools: reader.map("engine.pools", [("device", 1)]),
            executor: reader.get("engine.executor", ExecutorMode::Auto),
            memory: reader.get("engine.memory", None),
            disk_reserve: reader.get("engine.disk_reserve", DISK_RESERVE),
            checkpoint_interval: reader.get("engine.checkpoint_interval", Duration::from_secs(30)),
        }
    }
}

pub(super) fn at_least_one(count: usize) -> Result<(), String> {
    if count == 0 {
        return Err("write a whole number from 1".to_owned());
    }
    Ok(())
}
