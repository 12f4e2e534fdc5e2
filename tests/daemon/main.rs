//! The daemon, as others see it: its API, its file, its signals.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(clippy::future_not_send, reason = "a test runs on one thread")]

mod kit;
mod runs;
mod streams;
mod timetable;
mod access;
mod commands;
mod filling;
mod life;
mod keeping;
mod full_disk;
mod files;
mod same;
mod schedules;
mod purging;
mod predicting;
mod logging;
