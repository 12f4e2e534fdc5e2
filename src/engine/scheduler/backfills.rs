//! Backfills are worked off: of each, as many runs at once as it may have, oldest interval first.

use super::{AGAIN, State, WantedRun};
use crate::{
    clock::Timestamp,
    dag::{RunState, schedule::Tick},
    engine::{Error, Trigger},
    store::{BackfillInterval, BackfillRow},
};

/// How often a backfill that gets no further is tried. After that each interval that cannot become
/// a run fails at once, until one can.
const MOST_TRIES: u32 = 10;

/// Why a backfill gets no further, and when that is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stuck {
    tries: u32,
    again: Timestamp,
}

impl State {
    /// Starts what there is room for, and closes what is done. Whether something is left to do.
    pub(super) async fn fill_backfills(&mut self) -> Result<bool, Error> {
        let mut left = false;
        for row in self.parts.store.backfills(true).await? {
            if row.state == "running" {
                left |= self.fill(&row).await?;
            }
        }
        Ok(left)
    }

    async fn fill(&mut self, row: &BackfillRow) -> Result<bool, Error> {
        if let Some(stuck) = self.stuck.get(&row.id)
            && stuck.again > self.parts.clock.now()
        {
            let again = stuck.again;
            self.wake_at(Some(again));
            return Ok(true);
        }
        let mut intervals = self.parts.store.backfill_intervals(&row.id).await?;
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
                    self.stuck.remove(&row.id);
                    if !self.is_still_wanted(row, &run_id).await? {
                        return Ok(false);
                    }
                    interval.run_id = Some(run_id);
                    going_on += 1;
                }
                Err(fault) => {
                    if self.is_tried_again(row, &fault) {
                        return Ok(true);
                    }
                    tracing::error!(backfill = row.id, "no run for an interval: {fault}");
                    let store = &self.parts.store;
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
        let state = if intervals.iter().all(is_whole) {
            "succeeded"
        } else {
            "failed"
        };
        self.stuck.remove(&row.id);
        let now = self.parts.clock.now();
        let store = &self.parts.store;
        store.set_backfill_state(&row.id, state, Some(now)).await?;
        Ok(false)
    }

    /// Whether a backfill still runs now that one more run of it is there. Whoever cancelled it
    /// meanwhile may not have seen that run.
    async fn is_still_wanted(&mut self, row: &BackfillRow, run_id: &str) -> Result<bool, Error> {
        let store = &self.parts.store;
        let unfinished = store.backfills(true).await?;
        let Some(now) = unfinished.into_iter().find(|now| now.id == row.id) else {
            self.stuck.remove(&row.id);
            self.parts.engine.cancel(run_id).await?;
            return Ok(false);
        };
        Ok(now.state == "running")
    }

    /// Whether what cannot become a run is tried again: a file may be missing for a moment. Not
    /// where a person waits for the command, who can do better.
    fn is_tried_again(&mut self, row: &BackfillRow, fault: &str) -> bool {
        if !self.parts.ticks {
            return false;
        }
        let again = self.parts.clock.now() + AGAIN;
        let stuck = self
            .stuck
            .entry(row.id.clone())
            .or_insert(Stuck { tries: 0, again });
        stuck.tries += 1;
        if stuck.tries > MOST_TRIES {
            return false;
        }
        stuck.again = again;
        if stuck.tries == 1 {
            tracing::error!(backfill = row.id, "no run for an interval yet: {fault}");
        }
        self.wake_at(Some(again));
        true
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
    // One of which there is no row any more was put away, so it has ended.
    interval.run_state.is_some_and(|state| !state.is_final())
}

/// Whether nothing is known to have gone wrong.
fn is_whole(interval: &BackfillInterval) -> bool {
    let good = |state| state == RunState::Succeeded;
    interval.fault.is_none() && interval.run_state.is_none_or(good)
}

const fn is_open(interval: &BackfillInterval) -> bool {
    interval.run_id.is_none() && interval.fault.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_put_away_has_ended() {
        let day = Timestamp::from_millis(0);
        let interval = |run_state, fault: Option<&str>| BackfillInterval {
            position: 0,
            scheduled_for: day,
            interval_start: day,
            interval_end: day,
            run_id: Some("r".to_owned()),
            run_state,
            fault: fault.map(str::to_owned),
        };
        let told = |run_state, fault| {
            let interval = interval(run_state, fault);
            (goes_on(&interval), is_whole(&interval))
        };
        assert_eq!(told(None, None), (false, true));
        assert_eq!(told(None, Some("no")), (false, false));
        assert_eq!(told(Some(RunState::Running), None), (true, false));
        assert_eq!(told(Some(RunState::Failed), None), (false, false));
        assert_eq!(told(Some(RunState::Succeeded), None), (false, true));
    }
}
