//! The pipeline through the command line, in a home of its own for each test.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod home;
mod tiny;
mod cgroups;
mod three_days;
mod kill;
mod resume;
mod processes;
mod purge;
mod raw;
mod deleted;
mod permission;
mod bad_input;
mod bad_encoding;
mod bad_rows;
mod served;
mod captions;
mod asking;
mod again;
mod readme;
mod old_homes;
mod keeping;
mod window;
mod tables;
mod exporting;
mod watched;
mod visual;
mod sharing;
mod checkpoints;
mod classes;
mod collecting;
mod encoders;
mod histories;
