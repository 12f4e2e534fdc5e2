//! What people and the API do with schedules: see them, pause them; and the scheduler of this home.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use serde_json::Value;

use super::{App, Error, RunRequest, Wanted, backfills::BackfillRuns};
use crate::{
    clock::Timestamp,
    dag::schedule::Tick,
    engine::{
        self, Handle,
        scheduler::{
            LoadedSchedules, PlannedSchedule, Scheduler, SchedulerHandle, Schedules, WantedRun,
        },
    },
    pipelines::{self, Decided, Definition, Schedule},
};

/// A schedule, as its file and the store know it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ScheduleInfo {
    /// `pipeline/name`; `runs.schedule`.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Its name in the pipeline.
    pub name: String,
    /// Everything that its file says.
    pub spec: Value,
    /// Since when its pipeline is paused.
    pub paused_at: Option<Timestamp>,
    /// Up to here every tick became a run or was left out; none where no daemon has seen it yet.
    pub handled_until: Option<Timestamp>,
    /// The next tick.
    pub scheduled_for: Option<Timestamp>,
    /// The first instant of its interval.
    pub interval_start: Option<Timestamp>,
    /// The first instant after its interval.
    pub interval_end: Option<Timestamp>,
    /// Why a due tick cannot become a run at present.
    pub fault: Option<String>,
}

impl App {
    /// Pauses the schedules of a pipeline; runs that go on are left alone. `false` where it was
    /// paused before. Nudge the scheduler after it.
    ///
    /// # Errors
    ///
    /// Where there is no such pipeline or the store fails.
    pub async fn pause(&self, pipeline: &str) -> Result<bool, Error> {
        let name = pipelines::find(self.home(), pipeline)?.name;
        Ok(self
            .store()
            .pause_pipeline(&name, self.clock().now())
            .await?)
    }

    /// Lets the schedules of a paused pipeline go on: what was missed is made up for as `catchup`
    /// says. `false` where it was not paused. Nudge the scheduler after it.
    ///
    /// # Errors
    ///
    /// Where there is no such pipeline or the store fails.
    pub async fn unpause(&self, pipeline: &str) -> Result<bool, Error> {
        // A pipeline whose file is gone or broken can be let go on as well.
        let name = pipelines::find(self.home(), pipeline).map(|definition| definition.name);
        let known = self
            .store()
            .unpause_pipeline(name.as_deref().unwrap_or(pipeline))
            .await?;
        match name {
            Err(error) if !known => Err(error.into()),
            _ => Ok(known),
        }
    }

    /// The pipelines that are paused, and since when.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn paused(&self) -> Result<BTreeMap<String, Timestamp>, Error> {
        Ok(self.store().paused_pipelines().await?.into_iter().collect())
    }

    /// What people decided about the pipelines.
    ///
    /// # Errors
    ///
    /// Where the store fails.
    pub async fn decided(&self) -> Result<Decided, Error> {
        let switched = self.store().switched_profiles().await?.into_iter();
        Ok(Decided {
            paused: self.paused().await?,
            switched: switched
                .map(|(pipeline, switched)| (pipeline, (switched.profile, switched.switched_at)))
                .collect(),
        })
    }

    /// All schedules of all pipelines, with what comes next. Those of a file that is broken now are
    /// as they were before.
    ///
    /// # Errors
    ///
    /// Where the pipelines or the store cannot be read.
    pub async fn schedules(&self) -> Result<Vec<ScheduleInfo>, Error> {
        let paused = self.paused().await?;
        let rows = self.store().schedules().await?;
        let now = self.clock().now();
        let mut infos = Vec::new();
        for file in pipelines::files(self.home())? {
            let definition = match pipelines::load(&file) {
                Ok(definition) => definition,
                Err(error) => {
                    let name = file.name();
                    let known = rows
                        .iter()
                        .filter(|row| row.pipeline == name && row.removed_at.is_none());
                    infos.extend(known.map(|row| ScheduleInfo {
                        id: row.id.clone(),
                        pipeline: row.pipeline.clone(),
                        name: row.name.clone(),
                        spec: serde_json::from_str(&row.spec).unwrap_or_default(),
                        paused_at: paused.get(&name).copied(),
                        handled_until: Some(row.handled_until),
                        scheduled_for: None,
                        interval_start: None,
                        interval_end: None,
                        fault: Some(format!("its file is broken: {error}")),
                    }));
                    continue;
                }
            };
            for schedule in &definition.schedules {
                let id = schedule.id(&definition.name);
                let row = rows.iter().find(|row| row.id == id);
                let rules = schedule
                    .rules()
                    .map_err(|error| Error::wrong(error.to_string(), None))?;
                let next = rules.iter_after(now).next();
                infos.push(ScheduleInfo {
                    pipeline: definition.name.clone(),
                    name: schedule.name.clone(),
                    spec: schedule.to_json(),
                    paused_at: paused.get(&definition.name).copied(),
                    handled_until: row.map(|row| row.handled_until),
                    scheduled_for: next.map(|tick| tick.scheduled_for),
                    interval_start: next.map(|tick| tick.interval_start),
                    interval_end: next.map(|tick| tick.interval_end),
                    fault: row.and_then(|row| row.fault.clone()),
                    id,
                });
            }
        }
        Ok(infos)
    }

    /// Starts the scheduler of this home on its engine; it ends with the engine.
    pub fn start_scheduler(self: &Arc<Self>, engine: &Handle) -> SchedulerHandle {
        self.scheduler(engine, true, true).start()
    }

    /// The scheduler of this home; `ticks`: not only for backfills; `wakes`: by itself.
    pub fn scheduler(self: &Arc<Self>, engine: &Handle, ticks: bool, wakes: bool) -> Scheduler {
        Scheduler {
            store: self.store().clone(),
            engine: engine.clone(),
            clock: Arc::clone(self.clock()),
            schedules: Arc::new(Files {
                app: Arc::clone(self),
                kept: Mutex::default(),
            }),
            ticks,
            wakes,
        }
    }

    /// A run of a pipeline for an interval that a schedule or a backfill wants.
    async fn run_for(
        &self,
        mut definition: Definition,
        request: RunRequest,
        tick: Tick,
    ) -> Result<engine::RunRequest, Error> {
        definition.apply(&self.decided().await?);
        let interval = engine::Interval {
            start: tick.interval_start,
            end: tick.interval_end,
        };
        let prepared =
            self.prepare_for(definition, &request, Some((interval, tick.scheduled_for)))?;
        if let Some(source) = &prepared.source {
            self.check_live(source)?;
        }
        self.request_of(prepared, &Wanted::default()).await
    }
}

/// The pipeline files of a home, as the scheduler asks for them. A file that is broken counts as it
/// was before, which is said once.
#[derive(Debug)]
struct Files {
    app: Arc<App>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The last good definition of each pipeline.
    definitions: BTreeMap<String, Definition>,
    /// What was said about broken files.
    told: BTreeSet<String>,
}

impl Files {
    /// The pipelines as their files are now, and the names of those that cannot be read at all.
    fn read(&self) -> (Vec<Definition>, Vec<String>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = BTreeSet::new();
        let mut definitions = BTreeMap::new();
        let mut broken = Vec::new();
        let files = match pipelines::files(self.app.home()) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "the pipelines cannot be read; their schedules stay");
                return (kept.definitions.values().cloned().collect(), Vec::new());
            }
        };
        for file in files {
            match pipelines::load(&file) {
                Ok(definition) => {
                    definitions.insert(definition.name.clone(), definition);
                }
                Err(error) => {
                    let old = kept
                        .definitions
                        .values()
                        .find(|definition| definition.path == file.shown);
                    let fault = error.to_string();
                    if !kept.told.contains(&fault) {
                        let goes_on = old.map_or("has no runs", |_| "goes on as it was before");
                        let file = file.shown.display();
                        tracing::error!("{file} is broken; its schedule {goes_on}: {fault}");
                    }
                    told.insert(fault);
                    match old {
                        Some(old) => {
                            definitions.insert(old.name.clone(), old.clone());
                        }
                        None => broken.push(file.name()),
                    }
                }
            }
        }
        kept.told = told;
        kept.definitions = definitions;
        (kept.definitions.values().cloned().collect(), broken)
    }

    /// A pipeline as its file is now; as it was before where that is broken.
    fn definition(&self, pipeline: &str) -> Result<Definition, Error> {
        let fault = match pipelines::find(self.app.home(), pipeline) {
            Ok(definition) => return Ok(definition),
            Err(error) => error,
        };
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.definitions
            .get(pipeline)
            .cloned()
            .ok_or_else(|| fault.into())
    }
}

impl Schedules for Files {
    fn version(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in pipelines::files(self.app.home()).unwrap_or_default() {
            file.shown.hash(&mut hasher);
            file.stamp().hash(&mut hasher);
        }
        hasher.finish()
    }

    fn load(&self) -> LoadedSchedules {
        let (definitions, broken) = self.read();
        let mut schedules = Vec::new();
        for definition in &definitions {
            for schedule in &definition.schedules {
                match planned(definition, schedule) {
                    Ok(planned) => schedules.push(planned),
                    // Reading the file has checked this.
                    Err(error) => tracing::error!(%error, "a schedule of `{}`", definition.name),
                }
            }
        }
        LoadedSchedules { schedules, broken }
    }

    fn request<'a>(
        &'a self,
        wanted: WantedRun<'a>,
    ) -> BoxFuture<'a, Result<engine::RunRequest, String>> {
        Box::pin(async move {
            let words = |error: Error| crate::telemetry::chain(&error);
            let definition = self.definition(wanted.pipeline).map_err(words)?;
            let request = match wanted.request {
                Some(text) => {
                    let runs: BackfillRuns =
                        serde_json::from_str(text).map_err(|error| error.to_string())?;
                    runs.request(wanted.pipeline)
                }
                None => RunRequest {
                    pipeline: wanted.pipeline.to_owned(),
                    params: definition
                        .schedules
                        .iter()
                        .find(|schedule| Some(schedule.name.as_str()) == wanted.schedule)
                        .map(Schedule::params_as_given)
                        .unwrap_or_default(),
                    ..RunRequest::default()
                },
            };
            let run = self.app.run_for(definition, request, wanted.tick);
            run.await.map_err(words)
        })
    }
}

fn planned(
    definition: &Definition,
    schedule: &Schedule,
) -> Result<PlannedSchedule, crate::dag::ticks::TicksError> {
    Ok(PlannedSchedule {
        id: schedule.id(&definition.name),
        pipeline: definition.name.clone(),
        name: schedule.name.clone(),
        rules: schedule.rules()?,
        timing: schedule.timing_in_words(),
        spec: schedule.to_json().to_string(),
        deadline: schedule.deadline,
    })
}
