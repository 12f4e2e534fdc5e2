//! The worker: the same commands with LibTorch linked in, so that the command line itself starts
//! without loading it. It lies beside `trendmill`, which starts it where a device asks for it.

use std::process::ExitCode;

fn main() -> ExitCode {
    trendmill::cli::main(std::env::args_os())
}
