//! Settings: read once, from `trendmill.toml` and the environment.

pub mod document;
pub mod duration;
pub mod suggest;
