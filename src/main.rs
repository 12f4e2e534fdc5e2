//! The command line of trendmill.

use std::process::ExitCode;

fn main() -> ExitCode {
    trendmill::cli::main(std::env::args_os())
}
