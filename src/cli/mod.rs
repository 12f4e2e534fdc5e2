//! Cli.

pub mod runs;
