//! Which intervals a backfill meets.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BackfillRequest, BackfillRuns};
use crate::{
    app::{App, Error},
    clock::Timestamp,
    dag::{RunState, schedule::Tick},
    pipelines::{self, Definition},
    server::Reprocess,
    sources::SourceSpec,
};

/// The most intervals of one backfill.
const MOST_INTERVALS: usize = 10_000;

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

/// What a backfill would do.
#[derive(Debug)]
pub(super) struct Plan {
    /// The pipeline's name.
    pub(super) pipeline: String,
    /// What its runs are asked for with, in full.
    pub(super) runs: BackfillRuns,
    /// The intervals that it meets.
    pub(super) intervals: Vec<PlannedInterval>,
    asked: BTreeMap<Bounds, Asked>,
}

/// The first instant of an interval, and the first after it: schedules of one pipeline may have
/// different intervals for the same moment.
type Bounds = (Timestamp, Timestamp);

/// An interval of a backfill that has not ended and was asked for in the same words.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The backfill.
    pub(super) backfill: String,
    /// Whether that is paused.
    pub(super) is_paused: bool,
    /// Whether its run is still to be made or to end.
    pub(super) is_open: bool,
}

impl Plan {
    /// What of its intervals was asked for before and is not asked for again.
    pub(super) fn asked_before(&self) -> impl Iterator<Item = &Asked> {
        let of = |interval: &PlannedInterval| (interval.interval_start, interval.interval_end);
        let intervals = self.intervals.iter();
        intervals.filter_map(move |interval| self.asked.get(&of(interval)))
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
        Ok(self.plan(request).await?.intervals)
    }

    /// What a backfill would do.
    pub(super) async fn plan(&self, request: &BackfillRequest) -> Result<Plan, Error> {
        let definition = pipelines::find(self.home(), &request.pipeline)?;
        check_source(&definition, request)?;
        let runs = self.in_full(request.clone()).await?.runs;
        let asked = self
            .asked(&definition.name, &runs, request.reprocess)
            .await?;
        let mut planned = Vec::new();
        for tick in due(intervals(&definition, request)?, self.clock().now())? {
            let bounds = (tick.interval_start, tick.interval_end);
            let state = self
                .store()
                .state_of_interval(&definition.name, bounds.0, bounds.1)
                .await?;
            let is_asked = asked.contains_key(&bounds);
            let state = state.or_else(|| is_asked.then_some(RunState::Queued));
            let runs = match (state, request.reprocess) {
                _ if is_asked => false,
                (None, _) => true,
                (Some(state), Reprocess::Failed) => did_not_succeed(state),
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
        Ok(Plan {
            pipeline: definition.name,
            runs,
            intervals: planned,
            asked,
        })
    }

    /// What backfills of a pipeline that have not ended were asked for in the same words, but for
    /// what went wrong there and may be asked for again.
    async fn asked(
        &self,
        pipeline: &str,
        runs: &BackfillRuns,
        reprocess: Reprocess,
    ) -> Result<BTreeMap<Bounds, Asked>, Error> {
        let words = runs.to_json();
        let mut asked: BTreeMap<Bounds, Asked> = BTreeMap::new();
        for row in self.store().backfills(true).await? {
            if row.pipeline != pipeline || row.request != words {
                continue;
            }
            for interval in self.store().backfill_intervals(&row.id).await? {
                let failed = interval.run_state.is_some_and(did_not_succeed);
                if interval.fault.is_some() || (failed && reprocess == Reprocess::Failed) {
                    continue;
                }
                let this = Asked {
                    backfill: row.id.clone(),
                    is_paused: row.state == "paused",
                    is_open: match interval.run_state {
                        Some(state) => !state.is_final(),
                        // One of which there is no row any more was put away.
                        None => interval.run_id.is_none(),
                    },
                };
                let bounds = (interval.interval_start, interval.interval_end);
                let known = asked.entry(bounds).or_insert_with(|| this.clone());
                if this.is_open && !known.is_open {
                    *known = this;
                }
            }
        }
        Ok(asked)
    }
}

const fn did_not_succeed(state: RunState) -> bool {
    matches!(state, RunState::Failed | RunState::Cancelled)
}

/// The intervals that have ended: no other can have a run.
fn due(mut intervals: Vec<Tick>, now: Timestamp) -> Result<Vec<Tick>, Error> {
    let Some(first) = intervals.first().copied() else {
        return Err(Error::wrong(
            "no interval begins from `--from` to `--to`",
            "`trendmill pipelines next PIPELINE` shows when intervals begin and end".to_owned(),
        ));
    };
    intervals.retain(|tick| tick.scheduled_for <= now);
    if intervals.is_empty() {
        return Err(Error::wrong(
            format!(
                "none of these intervals has ended: the first one does at {}",
                first.interval_end
            ),
            format!("ask for intervals that have ended by now, which is {now}"),
        ));
    }
    Ok(intervals)
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
