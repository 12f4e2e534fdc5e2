//! Which intervals a backfill meets.

use serde::Serialize;

use super::{BackfillRequest, Reprocess};
use crate::{
    app::{App, Error},
    clock::Timestamp,
    dag::{RunState, schedule::Tick},
    pipelines::{self, Definition},
    sources::SourceSpec,
    store::BackfillInterval,
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
    pub(super) async fn asked_before(
        &self,
        pipeline: &str,
        request: &BackfillRequest,
    ) -> Result<Vec<(String, BackfillInterval)>, Error> {
        let runs = self.in_full(request.clone())?.runs;
        let words = serde_json::to_string(&runs).expect("plain data");
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
