//! What the orchestrator promises for one machine, and the tests that prove it.
//!
//! | promise | proof |
//! |---|---|
//! | A scheduled tick makes one run. | `a_schedule_has_one_run_per_tick` (tests/engine): (schedule, tick) is unique in the store, and a tick and its run are one transaction. `each_tick_makes_one_run` (tests/failpoints) kills the daemon before and after it, and no tick is missing or doubled. |
//! | A success that is durable is never done again; what is not durable is. | tests/failpoints: a death at each durable write, the same end, `db check` sound, effects counted from outside. [`kills`]: random deaths, likewise. |
//! | After `kill -9` and a restart, work goes on within 5 s. | [`kills`] measures it, and fails beyond. |
//! | State survives a power loss. | [`power`], which states its loss model, and `tests/proofs/power.py`. |
//! | A model version is visible only when it is whole. | at_the_publication_of_a_version (tests/failpoints): a death at each step of a publication, and `db check` reads every file of every version. |
//! | Cancel and timeout leave no process. | tests/engine `shell.rs`, `process.rs` and `leftovers.rs`; tests/pipeline `processes.rs` and `cgroups.rs`. |
//! | Memory is bounded by what is live. | tests/memory.rs. |
//! | A release goes on where the one before stopped, in the middle of a run. | [`upgrade`]; tests/pipeline `old_homes.rs` for the rest of a home. |
//! | The clock may jump, and zones may change: ticks strictly increase. | the tests of `dag::ticks` and `dag::schedule`. |
//! | Ten thousand tasks that wait do not delay one of a higher priority. | `a_high_priority_starts_next_among_ten_thousand` (tests/engine). |
//! | A full disk delays and loses nothing; a copy of the databases is whole or not there. | `goes_on_after_the_disk_was_full` (store), tests/engine `full_disk.rs`; `at_a_backup` (tests/failpoints). |
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../pipeline/home.rs"]
#[expect(dead_code, reason = "the pipeline's tests use the rest of it")]
mod home;
mod dice;
mod effects;
mod engine;
mod kills;
mod power;
mod upgrade;
