//! How many attempts a run may lose with their processes before that is no accident any more.

use super::{AttemptEnd, Planner, Run};

impl Planner<'_> {
    /// Counts an attempt that was lost with its process; why its task is not tried again, where
    /// the run has lost too many.
    ///
    /// The count is that of the whole run: a machine that kills one task after the other is no
    /// better than one that kills the same one. All that were lost together, because the process
    /// that watched over them died, count once: a wide run is not nearer to its end than a narrow
    /// one.
    pub(super) fn lose(&mut self, task: usize, end: &AttemptEnd) -> Option<String> {
        let together = matches!(end, AttemptEnd::Lost { .. });
        let is_counted = together && self.owner_loss_counted;
        self.owner_loss_counted |= together;
        if !is_counted {
            self.run.tasks[task].losses += 1;
        }
        self.run.lost_too_often(task)
    }
}

impl Run {
    /// Why a lost attempt of this task is not tried again, where the run has lost too many.
    pub fn lost_too_often(&self, task: usize) -> Option<String> {
        let lost: u32 = self.tasks.iter().map(|task| task.losses).sum();
        let most = self.graph.nodes()[task].retry.max_run_crashes;
        (lost > most).then(|| {
            format!(
                "the run has lost attempts with their processes {lost} times; `max_run_crashes` \
                 allows {most}"
            )
        })
    }
}
