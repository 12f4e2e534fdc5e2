//! Child processes that end with everything they have started.

use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use super::{Mark, cgroup};

/// A child that leads a process group of its own and carries a mark; dropping it kills all that
/// has either.
#[derive(Debug)]
pub struct ChildGroup {
    child: Child,
    /// The group, which has the child's number; `None` once nothing of it is left.
    group: Option<Pid>,
    mark: Mark,
    /// What it was told to enter.
    cgroup: Option<cgroup::Group>,
}

impl ChildGroup {
    /// Starts a command in a new process group, marked as part of an attempt.
    ///
    /// # Errors
    ///
    /// Where the executable cannot be started.
    pub fn spawn(command: &mut Command, mark: Mark) -> Result<Self, std::io::Error> {
        mark.put_on(command);
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        Ok(Self {
            child,
            group,
            mark,
            cgroup: None,
        })
    }

    /// Kills what is in this control group with the rest of it.
    pub(super) fn with_cgroup(mut self, cgroup: Option<cgroup::Group>) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// The control group, once nothing is to be killed any more.
    pub(super) const fn take_cgroup(&mut self) -> Option<cgroup::Group> {
        self.cgroup.take()
    }

    /// The child, for its pipes and its end.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends the group: asks it, waits at most `grace`, then kills what is left of it and whatever
    /// else carries its mark.
    pub async fn stop(&mut self, grace: Duration) {
        if !grace.is_zero() {
            self.signal(Signal::TERM);
            // Past the grace it is killed like all others.
            let _ = tokio::time::timeout(grace, self.child.wait()).await;
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.mark.kill_all().await;
        self.signal(Signal::KILL);
        // It cannot refuse this one; waiting takes its entry out of the process table.
        let _ = self.child.wait().await;
        self.group = None;
    }

    /// Takes the word of a child that has ended that nothing of it is left.
    pub(super) fn is_gone(&mut self) {
        self.group = None;
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
        if self.group.is_some() {
            self.signal(Signal::KILL);
            self.mark.kill_all_now();
        }
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
