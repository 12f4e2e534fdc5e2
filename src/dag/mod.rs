//! The pure DAG: graph, states, plan. No IO, no tokio, no clock reads.
#![warn(clippy::wildcard_enum_match_arm)]

mod graph;
mod ancestry;
mod again;
mod mapping;
mod retry;
mod executor;
mod lineage;
mod trigger;
mod state;
mod pool;
mod run;
mod plan;
pub mod ticks;
pub mod schedule;

pub use ancestry::Ancestry;
pub use executor::ExecutorKind;
pub use graph::{Graph, GraphError, Node};
pub use lineage::Lineage;
pub use mapping::{MAX_SHARDS, Mapping, NewShard, Shard, shard_id};
pub use plan::{AttemptEnd, Decision, Effect, Event, plan, settle, start};
pub use pool::Pools;
pub use retry::{CLASSES, RetryPolicy, RetryRule, is_class};
pub use run::{Run, TaskRun};
pub use state::{InvalidTransition, RunState, TaskState};
pub use trigger::TriggerRule;
