//! How many attempts a run may lose with their processes before that is no accident any more.

use super::Planner;

impl Planner<'_> {
    /// Counts an attempt that was lost with its process; why its task is not tried again, where
    /// the run has lost too many.
    ///
    /// The count is that of the whole run: a machine that kills one task after the other is no
    /// better than one that kills the same one.
    pub(super) fn lose(&mut self, task: usize) -> Option<String> {
        self.run.tasks[task].losses += 1;
        let lost: u32 = self.run.tasks.iter().map(|task| task.losses).sum();
        let most = self.run.graph.nodes()[task].retry.max_run_crashes;
        (lost > most).then(|| {
            format!(
                "the run has lost {lost} attempts with their processes; `max_run_crashes` allows \
                 {most}"
            )
        })
    }
}
