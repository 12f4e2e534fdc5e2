//! Backfills: runs for past intervals, asked for, paused, cancelled.

mod plan;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use plan::Plan;
pub use plan::PlannedInterval;

use super::{App, Error, RunRequest};
use crate::{
    clock::Timestamp,
    dag::RunState,
    engine::Handle,
    server::Reprocess,
    store::{BackfillInterval, BackfillRow},
};

/// A backfill that is wanted.
#[derive(Clone, Debug, Default)]
pub struct BackfillRequest {
    /// The pipeline.
    pub pipeline: String,
    /// The schedule whose intervals are meant; by default the first. Days in UTC without one.
    pub schedule: Option<String>,
    /// The first day, or the first moment at which an interval may begin.
    pub from: String,
    /// The last day, or the last moment at which an interval may begin.
    pub to: String,
    /// What happens to intervals that have a run.
    pub reprocess: Reprocess,
    /// The most runs of it at once; one where it is 0.
    pub concurrency: u32,
    /// What its runs are asked for with.
    pub runs: BackfillRuns,
    /// Whether its runs may ask a live source, which knows nothing of the past.
    pub live: bool,
}

/// What the runs of a backfill are asked for with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackfillRuns {
    /// The source.
    pub source: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// Parameters.
    pub params: Vec<(String, String)>,
}

impl BackfillRuns {
    /// As they are stored with the backfill.
    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }

    /// One of its runs.
    pub(super) fn request(self, pipeline: &str) -> RunRequest {
        RunRequest {
            pipeline: pipeline.to_owned(),
            date: None,
            source: self.source,
            profile: self.profile,
            params: self.params,
        }
    }
}

/// A backfill, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillInfo {
    /// Its id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// `running`, `paused`, `cancelled`, `succeeded` or `failed`.
    pub state: String,
    /// The most runs of it at once.
    pub concurrency: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The first instant of its first interval.
    pub interval_start: Option<Timestamp>,
    /// The first instant after its last interval.
    pub interval_end: Option<Timestamp>,
    /// How many intervals it has.
    pub intervals: usize,
    /// How many of them succeeded.
    pub succeeded: usize,
    /// How many failed, were cancelled, or could not be run.
    pub failed: usize,
    /// How many are queued or running.
    pub running: usize,
}

impl BackfillInfo {
    /// The backfill as JSON, with its intervals as `runs`.
    pub fn with_intervals(&self, intervals: &[BackfillInterval]) -> Value {
        let mut shown = json!(self);
        shown["runs"] = intervals
            .iter()
            .map(|interval| {
                json!({
                    "scheduled_for": interval.scheduled_for,
                    "interval_start": interval.interval_start,
                    "interval_end": interval.interval_end,
                    "run_id": interval.run_id,
                    "state": interval.run_state.map(RunState::name),
                    "fault": interval.fault,
                })
            })
            .collect();
        shown
    }
}

impl App {
    /// Asks for a backfill; the scheduler works it off. Nudge it after this. The answer is the
    /// backfill's id: an unfinished one's where that has all the intervals that were left, so that
    /// the same words go on with it, paused or not. `None` where no interval gets a run.
    ///
    /// # Errors
    ///
    /// As [`App::plan_backfill`], and where one of its runs would be refused.
    pub async fn create_backfill(
        &self,
        request: &BackfillRequest,
    ) -> Result<Option<String>, Error> {
        let plan = self.plan(request).await?;
        let intervals: Vec<BackfillInterval> = (0..)
            .zip(plan.intervals.iter().filter(|interval| interval.runs))
            .map(|(position, interval)| BackfillInterval {
                position,
                scheduled_for: interval.scheduled_for,
                interval_start: interval.interval_start,
                interval_end: interval.interval_end,
                run_id: None,
                run_state: None,
                fault: None,
            })
            .collect();
        if intervals.is_empty() {
            return self.go_on(&plan).await;
        }
        let row = BackfillRow {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline: plan.pipeline,
            request: plan.runs.to_json(),
            concurrency: request.concurrency.max(1),
            state: "running".to_owned(),
            created_at: self.clock().now(),
            ended_at: None,
        };
        self.store().insert_backfill(&row, &intervals).await?;
        Ok(Some(row.id))
    }

    /// The unfinished backfill that has what is left of a plan; where it is paused, it goes on.
    async fn go_on(&self, plan: &Plan) -> Result<Option<String>, Error> {
        let open = || plan.asked_before().filter(|asked| asked.is_open);
        let paused: BTreeSet<&str> = open()
            .filter(|asked| asked.is_paused)
            .map(|asked| asked.backfill.as_str())
            .collect();
        for id in paused {
            self.resume_backfill(id).await?;
        }
        // Without one that is open, one whose end is only to be noted.
        let found = open()
            .next()
            .or_else(|| plan.asked_before().find(|asked| !asked.is_paused));
        Ok(found.map(|asked| asked.backfill.clone()))
    }

    /// The same request with its source in full, because whoever does it may work in another
    /// folder.
    ///
    /// # Errors
    ///
    /// Where one of its runs would be refused.
    pub async fn in_full(&self, mut request: BackfillRequest) -> Result<BackfillRequest, Error> {
        let prepared = self
            .prepare(&request.runs.clone().request(&request.pipeline))
            .await?;
        let runs = &mut request.runs;
        let named = |(name, _): &(String, String)| name == "source";
        if runs.source.is_some() || runs.params.iter().any(named) {
            runs.params.retain(|param| !named(param));
            runs.source = prepared.source;
        }
        Ok(request)
    }

    /// All backfills, the newest first.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn backfills(&self) -> Result<Vec<BackfillInfo>, Error> {
        let mut infos = Vec::new();
        for row in self.store().backfills(false).await? {
            let intervals = self.store().backfill_intervals(&row.id).await?;
            infos.push(info(row, &intervals));
        }
        Ok(infos)
    }

    /// The backfill whose id begins with `id`, with its intervals.
    ///
    /// # Errors
    ///
    /// Where there is none or more than one.
    pub async fn backfill(&self, id: &str) -> Result<(BackfillInfo, Vec<BackfillInterval>), Error> {
        let mut rows = self.store().backfills(false).await?;
        rows.retain(|row| row.id.starts_with(id));
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => {
                let intervals = self.store().backfill_intervals(&row.id).await?;
                Ok((info(row, &intervals), intervals))
            }
            (Some(_), false) => Err(Error::wrong(
                format!("several backfills begin with `{id}`"),
                "write more of the id".to_owned(),
            )),
            (None, _) => Err(Error::wrong(
                format!("there is no backfill `{id}`"),
                "`trendmill backfill list` shows all".to_owned(),
            )),
        }
    }

    /// Pauses a backfill: its runs end, no more are started.
    ///
    /// # Errors
    ///
    /// Where there is none, or it has ended.
    pub async fn pause_backfill(&self, id: &str) -> Result<BackfillInfo, Error> {
        self.move_backfill(id, "paused").await
    }

    /// Lets a paused backfill go on. Nudge the scheduler after it.
    ///
    /// # Errors
    ///
    /// Where there is none, or it has ended.
    pub async fn resume_backfill(&self, id: &str) -> Result<BackfillInfo, Error> {
        self.move_backfill(id, "running").await
    }

    /// Ends a backfill and cancels its runs: by the engine, or where that is another process, by
    /// telling it through the store.
    ///
    /// # Errors
    ///
    /// Where there is none, or it has ended.
    pub async fn cancel_backfill(
        &self,
        id: &str,
        engine: Option<&Handle>,
    ) -> Result<BackfillInfo, Error> {
        let info = self.move_backfill(id, "cancelled").await?;
        for interval in self.store().backfill_intervals(&info.id).await? {
            if let Some(run_id) = &interval.run_id
                && interval.run_state.is_some_and(|state| !state.is_final())
            {
                match engine {
                    Some(engine) => engine.cancel(run_id).await?,
                    None => drop(self.store().request_cancel(run_id).await?),
                }
            }
        }
        Ok(info)
    }

    async fn move_backfill(&self, id: &str, state: &str) -> Result<BackfillInfo, Error> {
        let (info, _) = self.backfill(id).await?;
        let ended_at = (state == "cancelled").then(|| self.clock().now());
        if !self
            .store()
            .set_backfill_state(&info.id, state, ended_at)
            .await?
        {
            return Err(Error::wrong(
                format!("backfill `{}` has ended: {}", info.id, info.state),
                "ask for a new one with `trendmill backfill`".to_owned(),
            ));
        }
        Ok(BackfillInfo {
            state: state.to_owned(),
            ended_at,
            ..info
        })
    }
}

fn info(row: BackfillRow, intervals: &[BackfillInterval]) -> BackfillInfo {
    let count =
        |which: fn(&BackfillInterval) -> bool| intervals.iter().filter(|i| which(i)).count();
    BackfillInfo {
        id: row.id,
        pipeline: row.pipeline,
        state: row.state,
        concurrency: row.concurrency,
        created_at: row.created_at,
        ended_at: row.ended_at,
        interval_start: intervals.first().map(|interval| interval.interval_start),
        interval_end: intervals.last().map(|interval| interval.interval_end),
        intervals: intervals.len(),
        succeeded: count(|i| i.run_state == Some(RunState::Succeeded)),
        failed: count(|i| {
            i.fault.is_some() || matches!(i.run_state, Some(RunState::Failed | RunState::Cancelled))
        }),
        running: count(|i| i.run_state.is_some_and(|state| !state.is_final())),
    }
}

#[cfg(test)]
mod tests;
