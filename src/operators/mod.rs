//! Operators.

mod shell;
mod noop;

pub use noop::Noop;
pub use shell::Shell;
