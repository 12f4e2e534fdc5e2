//! The engine through its public surface, with made-up operators.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod kit;
mod outcomes;
mod clear;
mod control;
mod explain;
mod full_disk;
mod mapped;
mod recovery;
mod schedules;
mod selection;
mod process;
mod leftovers;
mod limits;
mod lost_files;
mod setups;
mod shell;
mod together;
