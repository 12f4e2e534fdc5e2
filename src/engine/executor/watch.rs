//! What ends an attempt from outside: its time, a standstill, its memory.

use std::time::Duration;

use tokio::time::Instant;

use super::processes::resident_bytes;
use crate::engine::Progress;

/// How often memory is looked at, where there is a limit and where it is only recorded.
const LIMITED: Duration = Duration::from_millis(100);
const RECORDED: Duration = Duration::from_secs(1);

/// Returns once the time is up; never without a limit.
pub(super) async fn overdue(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Returns once the attempt has got no further for `limit`; never without one.
pub(super) async fn stalled(limit: Option<Duration>, progress: &Progress) {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    let look = (limit / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
    let (mut seen, mut since) = (progress.signs(), Instant::now());
    loop {
        tokio::time::sleep(look).await;
        let now = progress.signs();
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() >= limit {
            return;
        }
    }
}

/// Records the memory of a process and all that it has started; returns it once it is over
/// `limit`.
pub(super) async fn memory(process: Option<u32>, limit: Option<u64>, progress: &Progress) -> u64 {
    let Some(process) = process else {
        return std::future::pending().await;
    };
    let pause = if limit.is_some() { LIMITED } else { RECORDED };
    loop {
        tokio::time::sleep(pause).await;
        let Ok(bytes) = tokio::task::spawn_blocking(move || resident_bytes(process)).await else {
            return std::future::pending().await;
        };
        progress.note_peak(bytes);
        if limit.is_some_and(|limit| bytes > limit) {
            return bytes;
        }
    }
}

/// How many processes the kernel of this machine has killed because there was no memory left.
pub(super) fn memory_kills() -> u64 {
    let counters = fs_err::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = counters
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
    // Kernels before 4.13 do not count them.
    count.unwrap_or(0)
}
