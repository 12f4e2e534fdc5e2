//! From a checked run to what the engine is asked for.

use super::{App, Error, Prepared, reddit::moment_advice};
use crate::engine::{self, Earlier, Selection, Trigger};

/// Which part of a run is wanted, and how.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Begin at this task; those before it are taken over from an earlier run.
    pub from: Option<String>,
    /// Run this task alone.
    pub only: Option<String>,
    /// Start a new run and compute everything again.
    pub force: bool,
    /// Encode what is stored and lacks a result, and do nothing else.
    pub fill: bool,
}

impl App {
    /// What the engine is asked for. Tasks that are not wanted are taken over from the newest run
    /// of the same pipeline, interval, source and profile that has what is needed.
    ///
    /// # Errors
    ///
    /// Where a task does not exist, or no run has what is needed.
    pub async fn request_of(
        &self,
        prepared: Prepared,
        wanted: &Wanted,
    ) -> Result<engine::RunRequest, Error> {
        if wanted.fill {
            return self.fill_request(prepared).await;
        }
        // Where only a part is wanted, the task itself asks.
        if wanted.from.is_none() && wanted.only.is_none() {
            Box::pin(self.check_permission(&prepared)).await?;
        }
        if let Some(advice) = moment_advice(&prepared) {
            tracing::warn!("{advice}");
        }
        if let Some(advice) = Box::pin(self.collecting_advice(&prepared)).await? {
            tracing::warn!("{advice}");
        }
        let mut request = whole(prepared, wanted.force);
        request.selection = wanted.selection(Earlier::default());
        let Err(mut refusal) = request.check_selection() else {
            return Ok(request);
        };
        let runs = self.store().runs(Some(&request.pipeline), 1000).await?;
        let same = runs.iter().filter(|run| {
            run.interval_start == request.interval.start
                && run.source == request.source
                && run.profile == request.profile
        });
        for (nth, run) in same.enumerate() {
            request.selection =
                wanted.selection(Earlier::load(self.store(), self.data_dir(), &run.id).await?);
            match request.check_selection() {
                Ok(()) => return Ok(request),
                // The newest run is the one that a person has in mind.
                Err(error) if nth == 0 => refusal = error,
                Err(_) => {}
            }
        }
        Err(refusal.into())
    }

    /// Makes sure that the source of a run can be had, and that its tasks can compute.
    ///
    /// # Errors
    ///
    /// Where something is missing: nothing has begun then.
    pub async fn check_outside(&self, prepared: &Prepared) -> Result<(), Error> {
        if let Some(source) = &prepared.source {
            self.environment.source(source).await?;
        }
        self.check_devices(&prepared.compiled.graph).await
    }
}

impl Wanted {
    /// Makes sure that the tasks that are wanted exist.
    ///
    /// # Errors
    ///
    /// Where one does not, with what there is.
    pub fn check(&self, prepared: &Prepared) -> Result<(), Error> {
        let graph = &prepared.compiled.graph;
        if let Some(task) = self.from.as_ref().or(self.only.as_ref()) {
            engine::position_of(graph, task)?;
        }
        Ok(())
    }

    fn selection(&self, earlier: Earlier) -> Selection {
        match (&self.from, &self.only) {
            (Some(task), _) => Selection::From {
                task: task.clone(),
                earlier,
            },
            (None, Some(task)) => Selection::Only {
                task: task.clone(),
                earlier,
            },
            (None, None) => Selection::All,
        }
    }
}

/// A run of all tasks.
pub(super) fn whole(prepared: Prepared, force: bool) -> engine::RunRequest {
    let Prepared {
        compiled,
        source,
        interval,
        as_of,
    } = prepared;
    engine::RunRequest {
        pipeline: compiled.pipeline,
        definition: compiled.text,
        graph: compiled.graph,
        interval,
        scheduled_for: interval.end,
        as_of,
        source,
        profile: compiled.profile,
        params: compiled.params,
        force,
        schedule: None,
        trigger: Trigger::Manual,
        selection: Selection::All,
        hold: None,
    }
}
