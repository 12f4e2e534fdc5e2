//! Backfills: runs for past intervals, planned, asked for, paused, cancelled.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{App, Error, RunRequest};
use crate::{
    clock::Timestamp,
    dag::{RunState, schedule::Tick},
    engine::Handle,
    pipelines::{self, Definition},
    sources::SourceSpec,
    store::{BackfillInterval, BackfillRow},
};

/// The most intervals of one backfill.
const MOST_INTERVALS: usize = 10_000;

/// A backfill that is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackfillRequest {
    /// The pipeline.
    pub pipeline: String,
    /// The schedule whose intervals are meant; by default the first. Days in UTC without one.
    #[serde(default)]
    pub schedule: Option<String>,
    /// The first day, or the first moment at which an interval may begin.
    pub from: String,
    /// The last day, or the last moment at which an interval may begin.
    pub to: String,
    /// What happens to intervals that have a run.
    #[serde(default)]
    pub reprocess: Reprocess,
    /// The most runs of it at once; one where it is 0.
    #[serde(default)]
    pub concurrency: u32,
    /// What its runs are asked for with.
    #[serde(default)]
    pub runs: BackfillRuns,
    /// Whether its runs may ask a live source, which knows nothing of the past.
    #[serde(default)]
    pub live: bool,
}

/// What happens to intervals that have a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reprocess {
    /// They are left alone.
    #[default]
    None,
    /// Those whose newest run failed or was cancelled are run again.
    Failed,
    /// They are run again.
    All,
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

/// An interval that a backfill meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedInterval {
    /// The moment that the run is for.
    pub scheduled_for: Timestamp,
    /// The data interval's first instant.
    pub interval_start: Timestamp,
    /// The first instant after the data interval.
    pub interval_end: Timestamp,
    /// How the newest run for it stands.
    pub state: Option<&'static str>,
    /// Whether it gets a run.
    pub runs: bool,
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
    /// The intervals that a backfill would meet.
    ///
    /// # Errors
    ///
    /// Where the pipeline, the schedule, the days or the source are wrong, with what is allowed.
    pub async fn plan_backfill(
        &self,
        request: &BackfillRequest,
    ) -> Result<Vec<PlannedInterval>, Error> {
        let definition = pipelines::find(self.home(), &request.pipeline)?;
        check_source(&definition, request)?;
        let asked = self.asked_before(&definition.name, request).await?;
        let mut planned = Vec::new();
        for tick in intervals(&definition, request)? {
            if tick.scheduled_for > self.clock().now() {
                break;
            }
            let state = self
                .store()
                .state_of_interval(&definition.name, tick.interval_start, tick.interval_end)
                .await?;
            let is_asked = asked
                .iter()
                .any(|(_, interval)| interval.scheduled_for == tick.scheduled_for);
            let state = state.or_else(|| is_asked.then_some(RunState::Queued));
            let runs = match (state, request.reprocess) {
                _ if is_asked => false,
                (None, _) => true,
                (Some(state), Reprocess::Failed) => {
                    matches!(state, RunState::Failed | RunState::Cancelled)
                }
                (Some(state), Reprocess::All) => state.is_final(),
                (Some(_), Reprocess::None) => false,
            };
            planned.push(PlannedInterval {
                scheduled_for: tick.scheduled_for,
                interval_start: tick.interval_start,
                interval_end: tick.interval_end,
                state: state.map(RunState::name),
                runs,
            });
        }
        Ok(planned)
    }

    /// The intervals of backfills that have not ended and were asked for in the same words, each
    /// with its backfill's id.
    async fn asked_before(
        &self,
        pipeline: &str,
        request: &BackfillRequest,
    ) -> Result<Vec<(String, BackfillInterval)>, Error> {
        let words = serde_json::to_string(&request.runs).expect("plain data");
        let mut asked = Vec::new();
        for row in self.store().backfills(true).await? {
            if row.pipeline == pipeline && row.request == words {
                let intervals = self.store().backfill_intervals(&row.id).await?;
                asked.extend(
                    intervals
                        .into_iter()
                        .map(|interval| (row.id.clone(), interval)),
                );
            }
        }
        Ok(asked)
    }

    /// Asks for a backfill; the scheduler works it off. Nudge it after this. The answer is the
    /// backfill's id: an unfinished one's where that has all the intervals that were left, so that
    /// the same words go on with it. `None` where no interval gets a run.
    ///
    /// # Errors
    ///
    /// As [`App::plan_backfill`], and where one of its runs would be refused.
    pub async fn create_backfill(
        &self,
        request: &BackfillRequest,
    ) -> Result<Option<String>, Error> {
        let planned = self.plan_backfill(request).await?;
        let intervals: Vec<BackfillInterval> = (0..)
            .zip(planned.iter().filter(|interval| interval.runs))
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
            let asked = self.asked_before(&request.pipeline, request).await?;
            let wanted = |interval: &BackfillInterval| {
                planned
                    .iter()
                    .any(|planned| planned.scheduled_for == interval.scheduled_for)
            };
            let found = asked.into_iter().find(|(_, interval)| wanted(interval));
            return Ok(found.map(|(id, _)| id));
        }
        // What is wrong with all of them is said now, not in the log of the scheduler.
        let request = self.in_full(request.clone())?;
        let definition = pipelines::find(self.home(), &request.pipeline)?;
        let row = BackfillRow {
            id: uuid::Uuid::now_v7().to_string(),
            pipeline: definition.name,
            request: serde_json::to_string(&request.runs).expect("plain data"),
            concurrency: request.concurrency.max(1),
            state: "running".to_owned(),
            created_at: self.clock().now(),
            ended_at: None,
        };
        self.store().insert_backfill(&row, &intervals).await?;
        Ok(Some(row.id))
    }

    /// The same request with its source in full, because whoever does it may work in another
    /// folder.
    ///
    /// # Errors
    ///
    /// Where one of its runs would be refused.
    pub fn in_full(&self, mut request: BackfillRequest) -> Result<BackfillRequest, Error> {
        let prepared = self.prepare(&request.runs.clone().request(&request.pipeline))?;
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
                // In the store first: it is heard by whoever goes on after a crash.
                self.store().request_cancel(run_id).await?;
                if let Some(engine) = engine {
                    engine.cancel(run_id)?;
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

/// The intervals that begin from the first to the last day.
fn intervals(definition: &Definition, request: &BackfillRequest) -> Result<Vec<Tick>, Error> {
    let schedule = match &request.schedule {
        None => definition.schedules.first(),
        Some(name) => {
            let known = || definition.schedules.iter();
            let found = known().find(|schedule| schedule.name == *name);
            if found.is_none() {
                let names: Vec<&str> = known().map(|schedule| schedule.name.as_str()).collect();
                return Err(Error::wrong(
                    format!("`{}` has no schedule `{name}`", definition.name),
                    format!("there are: {}", names.join(", ")),
                ));
            }
            found
        }
    };
    let zone = schedule.map_or("UTC", |schedule| schedule.timezone.as_str());
    let moment = |text: &str, end| {
        pipelines::moment(text, zone, end).ok_or_else(|| {
            Error::wrong(
                format!("`{text}` is not a time"),
                "write `2026-01-31` or `2026-01-31T08:00:00Z`".to_owned(),
            )
        })
    };
    let (from, to) = (moment(&request.from, false)?, moment(&request.to, true)?);
    if to < from {
        return Err(Error::wrong("`--to` is before `--from`", None));
    }
    let ticks = match schedule {
        Some(schedule) => schedule.ticks(),
        None => crate::dag::ticks::Ticks::cron("0 0 * * *", "UTC"),
    };
    let ticks = ticks.map_err(|error| Error::wrong(error.to_string(), None))?;
    let intervals: Vec<Tick> = ticks
        .iter_after(from)
        .map(|tick| Tick {
            scheduled_for: tick,
            interval_start: ticks.before(tick).unwrap_or(tick),
            interval_end: tick,
        })
        .skip_while(|tick| tick.interval_start < from)
        .take_while(|tick| tick.interval_start <= to)
        .take(MOST_INTERVALS + 1)
        .collect();
    if intervals.len() > MOST_INTERVALS {
        return Err(Error::wrong(
            format!("these are more than {MOST_INTERVALS} intervals"),
            "ask for fewer days".to_owned(),
        ));
    }
    Ok(intervals)
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

/// A live source tells of the present only.
fn check_source(definition: &Definition, request: &BackfillRequest) -> Result<(), Error> {
    let given = request.runs.params.iter().rev();
    let by_param = given.clone().find(|(name, _)| name == "source");
    let default = definition
        .params
        .iter()
        .find(|param| param.name == "source");
    let source = request
        .runs
        .source
        .clone()
        .or_else(|| by_param.map(|(_, value)| value.clone()))
        .or_else(|| default.and_then(|param| param.default.as_str().map(str::to_owned)));
    let Some(source) = source else {
        return Ok(());
    };
    let live = matches!(source.parse::<SourceSpec>()?, SourceSpec::Reddit);
    if live && !request.live {
        return Err(Error::wrong(
            format!("the source `{source}` is live: it does not tell of past intervals"),
            "give another one with `--source`, or ask it all the same with `--live`".to_owned(),
        ));
    }
    Ok(())
}
