//! Child processes that end with everything they have started.

use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};
use tokio::process::{Child, Command};

/// A child that leads a process group of its own; dropping it kills the whole group.
#[derive(Debug)]
pub struct ChildGroup {
    child: Child,
    /// The group, which has the child's number.
    group: Option<Pid>,
}

impl ChildGroup {
    /// Starts a command in a new process group.
    ///
    /// # Errors
    ///
    /// Where the executable cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self, std::io::Error> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// The child, for its pipes and its end.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends the group: asks it, waits at most `grace`, then kills what is left.
    pub async fn stop(&mut self, grace: Duration) {
        self.signal(Signal::TERM);
        let left = tokio::time::timeout(grace, self.child.wait()).await;
        self.signal(Signal::KILL);
        if left.is_err() {
            // It cannot refuse this one; waiting takes its entry out of the process table.
            let _ = self.child.wait().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Kills the process group of an attempt whose owner died, if that process still is the attempt's:
/// numbers are used again, so its command line must name the attempt.
pub(in crate::engine) fn kill_if_attempt(pid: u32, attempt_id: &str) {
    let is_it = fs_err::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
        line.split(|&byte| byte == 0)
            .any(|word| word == attempt_id.as_bytes())
    });
    if is_it && let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Kills this process and its group, if it leads one; otherwise this process alone.
pub(in crate::engine) fn kill_own_group() {
    let own = getpid();
    if getpgrp() == own {
        let _ = kill_process_group(own, Signal::KILL);
    } else {
        let _ = kill_process(own, Signal::KILL);
    }
}
