//! Backfills are worked off: of each, as many runs at once as it may have, oldest interval first.

use super::{State, WantedRun};
use crate::{
    dag::{RunState, schedule::Tick},
    engine::{Error, Trigger},
    store::{BackfillInterval, BackfillRow},
};

impl State {
    /// Starts what there is room for, and closes what is done. Whether something is left to do.
    pub(super) async fn fill_backfills(&self) -> Result<bool, Error> {
        let mut left = false;
        for row in self.parts.store.backfills(true).await? {
            if row.state == "running" {
                left |= self.fill(&row).await?;
            }
        }
        Ok(left)
    }

    async fn fill(&self, row: &BackfillRow) -> Result<bool, Error> {
        let store = &self.parts.store;
        let mut intervals = store.backfill_intervals(&row.id).await?;
        let mut going_on = intervals
            .iter()
            .filter(|interval| goes_on(interval))
            .count();
        for interval in intervals.iter_mut().filter(|interval| is_open(interval)) {
            if going_on >= row.concurrency as usize {
                return Ok(true);
            }
            match self.make_interval(row, interval).await? {
                Ok(run_id) => {
                    interval.run_id = Some(run_id);
                    going_on += 1;
                }
                Err(fault) => {
                    tracing::error!(backfill = row.id, "no run for an interval: {fault}");
                    store
                        .set_backfill_fault(&row.id, interval.position, &fault)
                        .await?;
                    interval.fault = Some(fault);
                }
            }
        }
        if going_on > 0 {
            return Ok(true);
        }
        let whole = |interval: &BackfillInterval| interval.run_state == Some(RunState::Succeeded);
        let state = if intervals.iter().all(whole) {
            "succeeded"
        } else {
            "failed"
        };
        let now = self.parts.clock.now();
        store.set_backfill_state(&row.id, state, Some(now)).await?;
        Ok(false)
    }

    async fn make_interval(
        &self,
        row: &BackfillRow,
        interval: &BackfillInterval,
    ) -> Result<Result<String, String>, Error> {
        let wanted = WantedRun {
            pipeline: &row.pipeline,
            schedule: None,
            tick: Tick {
                scheduled_for: interval.scheduled_for,
                interval_start: interval.interval_start,
                interval_end: interval.interval_end,
            },
            request: Some(&row.request),
        };
        let mut request = match self.parts.schedules.request(wanted).await {
            Ok(request) => request,
            Err(fault) => return Ok(Err(fault)),
        };
        request.scheduled_for = interval.scheduled_for;
        request.trigger = Trigger::Backfill {
            id: row.id.clone(),
            position: interval.position,
        };
        match self.parts.engine.submit(request).await {
            Ok(submitted) => Ok(Ok(submitted.run_id)),
            Err(error @ (Error::Stopped(_) | Error::Store(_))) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

fn goes_on(interval: &BackfillInterval) -> bool {
    interval.run_id.is_some() && interval.run_state.is_none_or(|state| !state.is_final())
}

const fn is_open(interval: &BackfillInterval) -> bool {
    interval.run_id.is_none() && interval.fault.is_none()
}
