//! How a planned attempt becomes a running one.

use std::sync::Arc;

use tracing::Instrument as _;

use super::{
    TaskContext,
    dispatcher::Dispatcher,
    executor::{Assignment, Executor, Inline, Mark, Placement, Process},
    files,
    hear::{Ended, Message},
};

impl Dispatcher {
    /// Starts the attempt of a task whose row says that it runs.
    pub(super) fn launch(&self, run_id: &str, task: usize) {
        let (Some(live), Some(inbox)) = (self.live.get(run_id), self.inbox.upgrade()) else {
            return;
        };
        let Some(attempt) = live.attempts.get(&task) else {
            return;
        };
        let graph = live.graph();
        let node = &graph.nodes()[task];
        let operator = self
            .parts
            .catalogue
            .get(&node.op)
            .expect("a run is taken on only if all its operators exist");
        let settings = &self.parts.settings;
        let context = TaskContext {
            run_id: run_id.to_owned(),
            pipeline: live.about.pipeline.clone(),
            task_id: node.id.clone(),
            attempt: attempt.number,
            first_started_at: live.run.tasks()[task]
                .first_started
                .unwrap_or_else(|| self.parts.clock.now()),
            interval: live.about.interval,
            as_of: live.about.as_of,
            force: live.about.force,
            params: live.about.params.clone(),
            settings: node.settings.clone(),
            upstream: live.upstream_of(task),
            run_dir: files::run_dir(&settings.data_dir(), run_id),
            clock: Arc::clone(&self.parts.clock),
            cancelled: attempt.stop.child_token(),
            progress: attempt.progress.clone(),
            batch_divisor: 1,
            mark: Mark::new(&attempt.id, &settings.data_dir()),
        };
        let assignment = Assignment {
            attempt_id: attempt.id.clone(),
            operator: Arc::clone(operator),
            context,
            timeout: node.timeout,
            stall_timeout: node.stall_timeout,
            memory: node.memory.or(settings.memory),
            stop: attempt.stop.clone(),
            grace: settings.grace,
        };
        let span = tracing::info_span!(
            parent: &live.span,
            "task",
            run.id = run_id,
            task.id = node.id,
            task.op = node.op,
            attempt = attempt.number,
            log.path = super::log_path(run_id, &node.id, attempt.number),
        );
        let work = match self.parts.executors.place(node) {
            Placement::Inline => Inline.run(assignment),
            Placement::Process { executable } => Process {
                executable,
                home: settings.home.clone(),
                store: self.parts.store.clone(),
                cgroups: settings.cgroups.clone(),
            }
            .run(assignment),
        };
        let (run_id, number) = (run_id.to_owned(), attempt.number);
        let watch = async move {
            let result = work.await;
            if let Some((error, code)) = result.error() {
                tracing::warn!(error.code = code, "attempt {number} ended: {error}");
            }
            // Without a dispatcher nobody is left to tell; the next process finds it running.
            let _ = inbox.send(Message::Ended(Box::new(Ended {
                run_id,
                task,
                attempt: number,
                result,
            })));
        };
        self.tracker.spawn(watch.instrument(span));
    }
}
