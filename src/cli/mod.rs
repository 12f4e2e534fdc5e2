//! Cli.

pub(crate) mod encoders;
