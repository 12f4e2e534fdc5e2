//! The pure DAG: graph, states, plan. No IO, no tokio, no clock reads.
#![warn(clippy::wildcard_enum_match_arm)]

mod graph;
mod retry;
mod trigger;
pub mod ticks;

pub use graph::{Graph, GraphError, Node};
pub use retry::RetryPolicy;
pub use trigger::TriggerRule;
