//! Deaths on purpose: builds with the feature `failpoints` kill themselves where a test says so.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Signal, getpid, kill_process};

/// Where to die: `NAME=N`, the Nth time that the fail point NAME is passed.
const WHERE: &str = "TRENDMILL_DIE_AT";
/// A file that is made just before; where it is there already, nobody dies any more. So a child
/// that is started again, and the next start, live on.
const ONCE: &str = "TRENDMILL_DIE_ONCE";

/// Reads from the environment where this process is to die, as by `kill -9`.
#[expect(
    clippy::disallowed_methods,
    reason = "a test speaks through the environment"
)]
pub(super) fn arm() {
    let (Ok(place), Ok(marker)) = (std::env::var(WHERE), std::env::var(ONCE)) else {
        return;
    };
    let (name, count) = place.split_once('=').unwrap_or((&place, "1"));
    let left = AtomicU32::new(count.parse().unwrap_or(1));
    let armed = fail::cfg_callback(name, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 && is_first(&marker) {
            let _killed = kill_process(getpid(), Signal::KILL);
            // The signal is on its way; nothing more may happen here.
            loop {
                std::thread::park();
            }
        }
    });
    if let Err(error) = armed {
        tracing::error!(error, "the fail point is not armed");
    }
}

fn is_first(marker: &str) -> bool {
    let made: io::Result<_> = fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(marker);
    made.is_ok()
}
