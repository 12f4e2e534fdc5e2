//! The pipeline through the command line, in a home of its own for each test.

mod home;
mod three_days;
mod kill;
mod bad_input;
mod asking;
mod old_homes;
mod readme;
