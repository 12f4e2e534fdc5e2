//! How often Reddit is asked: the budget of a client id, shared by all processes that keep it in
//! the same folder: those of a home, and of other homes that say so (`reddit.budget_dir`).
//!
//! - [`account`]: what may be asked now. Pure: a state, the time, and what the server has told;
//!   [`window`] is the arithmetic of one window.
//! - [`breaker`]: whether a host is asked at all. Pure.
//! - [`answer`]: the kinds of answers and the rule of each, in one table.
//! - [`ledger`]: where the state lies: a file under a lock, or memory.
//! - [`limiter`]: waits until a call may leave, and books what came of it.
//! - [`sheet`]: all of it for people.

mod account;
mod answer;
mod breaker;
mod class;
mod ledger;
mod limiter;
mod sheet;
mod told;
mod window;

pub(super) use account::Came;
pub(super) use answer::{Answer, Rule};
pub use class::CallClass;
pub use ledger::Ledger;
pub use limiter::Manners;
pub(crate) use limiter::SystemTimer;
#[cfg(test)]
pub(super) use limiter::Timer;
pub(super) use limiter::{Limiter, Outcome, Permit};
pub use sheet::{BreakerSheet, BudgetSheet, ClassSheet, Mishap, WindowSheet};
pub(super) use told::Told;

#[cfg(test)]
mod simulated_tests;
#[cfg(test)]
mod strict_tests;
#[cfg(test)]
mod account_tests;
