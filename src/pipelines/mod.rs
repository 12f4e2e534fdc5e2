//! Pipeline files: from TOML to a checked graph.
//!
//! A file is [found](find) and read as a [`Definition`] whose every key remembers its place,
//! [checked](check()) against the operators, and [compiled](compile()) with the arguments of a run
//! into a [`Compiled`] graph in which no template is left.

mod check;
mod compile;
mod conditions;
mod definition;
mod describe;
mod fault;
mod graph;
mod load;
mod params;
mod read;
mod retry;
mod schedule;
mod values;

pub use self::check::check;
pub use self::compile::{Compiled, RunArguments, compile, outline};
pub use self::definition::{Decided, Definition, Policy, Profile, Reference, Switched, Task};
pub use self::describe::{coming, described, listed};
pub use self::fault::{Error, Fault};
pub use self::graph::{mermaid, text};
pub use self::load::{PipelineFile, files, find, load};
pub use self::params::{Param, ParamKind};
pub use self::schedule::{Schedule, Timing, moment, next_ticks};

#[cfg(test)]
mod tests;
