//! Which attempts have a process of their own, and of which executable.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc};

use super::{App, Worker};
use crate::{
    config::ExecutorMode,
    dag::ExecutorKind,
    engine::{Cgroups, ExecutorChoice, Placement},
    operators,
};

impl App {
    /// A task runs where its pipeline says, else where its operator is best off. Work on LibTorch
    /// always has a process of its own; [`App::check_devices`] has told who lacks one.
    pub(super) fn executors(&self) -> ExecutorChoice {
        let default = self.environment.device;
        let catalogue = self.catalogue();
        let all_inline = self.settings.engine.executor == ExecutorMode::Inline;
        ExecutorChoice::new(move |node| {
            let device = operators::device_of(&node.op, &node.settings, default);
            if let Some(Ok(Some(worker))) = device.ok().flatten().map(Worker::for_device) {
                return Placement::Process {
                    executable: worker.executable().to_owned(),
                };
            }
            let usual = || catalogue.get(&node.op).map(|operator| operator.executor());
            let wanted = node.executor.or_else(usual).unwrap_or_default();
            match own_executable() {
                Some(executable) if wanted == ExecutorKind::Process && !all_inline => {
                    Placement::Process { executable }
                }
                _ => Placement::Inline,
            }
        })
    }
}

/// What keeps attempts within their memory, in words.
pub(super) fn memory_limits(cgroups: &Result<Arc<Cgroups>, String>) -> String {
    let watched = "resident memory of their processes is watched";
    match cgroups {
        Ok(cgroups) if cgroups.limits_memory() => {
            format!(
                "by the kernel, in cgroups below {}",
                cgroups.base().display()
            )
        }
        Ok(cgroups) => format!(
            "the {watched}: cgroups below {} have no controller of memory",
            cgroups.base().display()
        ),
        Err(reason) => format!("the {watched}: {reason}"),
    }
}

/// The executable of this process, if it has the command that runs an attempt.
pub(super) fn own_executable() -> Option<PathBuf> {
    const RUNNING: &str = "/proc/self/exe";
    let path = std::env::current_exe().ok()?;
    // What cargo builds into `deps` is a test, which knows no commands.
    if path.parent()?.ends_with("deps") {
        return None;
    }
    let file = |path: &str| {
        let about = fs_err::metadata(path).ok()?;
        Some((about.dev(), about.ino()))
    };
    // After an upgrade another release lies there; attempts stay with the one that runs.
    if file(path.to_str()?) == file(RUNNING) {
        Some(path)
    } else {
        Some(RUNNING.into())
    }
}
