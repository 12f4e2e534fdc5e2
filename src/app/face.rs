//! The daemon as its API sees it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{App, Error, RunRequest, Wanted, executors, predict::Ask, predicting::Desk, timetable};
use crate::{
    clock::{Clock, Timestamp},
    config::Settings,
    engine::{self, Handle, scheduler::SchedulerHandle},
    pipelines,
    registry::{ModelVersion, Registry},
    server::{
        BackfillMove, BackfillWanted, Fault, GuardSettings, Host, Metrics, Phase, PredictAnswer,
        PredictWanted, PurgeWanted, RunWanted, hash_token,
    },
    store::Store,
    telemetry::chain,
};

/// The daemon as its API sees it.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) app: Arc<App>,
    pub(super) engine: Handle,
    /// Once what was left is taken up.
    pub(super) scheduler: OnceLock<SchedulerHandle>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) started_at: Timestamp,
    /// As they are now: they may be read again.
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) address: SocketAddr,
    /// The hash of the token for commands of the same user.
    pub(super) own_token: [u8; 32],
    pub(super) metrics: Arc<Metrics>,
    /// Where predictions are asked for.
    pub(super) predictions: Desk,
}

impl Face {
    /// Lets the scheduler look at once what is to be done.
    async fn nudge(&self) {
        if let Some(scheduler) = self.scheduler.get() {
            scheduler.nudge().await;
        }
    }
}

impl Host for Face {
    fn store(&self) -> &Store {
        self.app.store()
    }

    fn registry(&self) -> &Registry {
        self.app.registry()
    }

    fn pipelines(&self) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async {
            let decided = self.app.decided().await?;
            let now = self.app.clock().now();
            Ok(Value::Array(pipelines::listed(
                self.app.home(),
                now,
                &decided,
            )?))
        })
    }

    fn pipeline<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move {
            named(name)?;
            let mut definition = pipelines::find(self.app.home(), name)?;
            definition.apply(&self.app.decided().await?);
            Ok(pipelines::described(&definition))
        })
    }

    fn data_dir(&self) -> &Path {
        self.app.data_dir()
    }

    fn engine(&self) -> &Handle {
        &self.engine
    }

    fn clock(&self) -> &dyn Clock {
        self.app.clock().as_ref()
    }

    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn memory_limits(&self) -> String {
        executors::memory_limits(self.app.cgroups())
    }

    fn scheduler_lag(&self) -> Duration {
        self.scheduler
            .get()
            .map_or(Duration::ZERO, SchedulerHandle::lag)
    }

    fn started(&self) -> BoxFuture<'_, ()> {
        let mut phase = self.phase.clone();
        Box::pin(async move {
            // The other end is dropped only with this process.
            let _ = phase.wait_for(|phase| *phase != Phase::Starting).await;
        })
    }

    fn guard(&self) -> GuardSettings {
        let settings = &self.settings.borrow().server;
        let given = settings.token.as_deref().map(hash_token);
        GuardSettings {
            address: self.address,
            hosts: settings.hosts.clone(),
            require_token: settings.require_token,
            tokens: given.into_iter().chain([self.own_token]).collect(),
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async { Ok(json!(self.app.schedules().await?)) })
    }

    fn next(&self, pipeline: &str, count: usize) -> Result<Value, Fault> {
        named(pipeline)?;
        timetable::next(&self.app, pipeline, count)
    }

    fn set_paused<'a>(
        &'a self,
        pipeline: &'a str,
        paused: bool,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async move {
            named(pipeline)?;
            let changed = if paused {
                self.app.pause(pipeline).await?
            } else {
                self.app.unpause(pipeline).await?
            };
            self.nudge().await;
            Ok(changed)
        })
    }

    fn backfills(&self) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async { Ok(json!(self.app.backfills().await?)) })
    }

    fn backfill<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move {
            let (info, intervals) = self.app.backfill(id).await.map_err(timetable::unknown)?;
            Ok(info.with_intervals(&intervals))
        })
    }

    fn plan_backfill(&self, wanted: BackfillWanted) -> BoxFuture<'_, Result<Value, Fault>> {
        Box::pin(async move {
            named(&wanted.pipeline)?;
            let request = timetable::wanted(wanted);
            Ok(json!(self.app.plan_backfill(&request).await?))
        })
    }

    fn create_backfill(
        &self,
        wanted: BackfillWanted,
    ) -> BoxFuture<'_, Result<Option<Value>, Fault>> {
        Box::pin(async move {
            named(&wanted.pipeline)?;
            let request = timetable::wanted(wanted);
            let Some(id) = self.app.create_backfill(&request).await? else {
                return Ok(None);
            };
            self.nudge().await;
            Ok(Some(json!(self.app.backfill(&id).await?.0)))
        })
    }

    fn move_backfill<'a>(
        &'a self,
        id: &'a str,
        to: BackfillMove,
    ) -> BoxFuture<'a, Result<Value, Fault>> {
        Box::pin(async move {
            let (found, _) = self.app.backfill(id).await.map_err(timetable::unknown)?;
            let moved = match to {
                BackfillMove::Pause => self.app.pause_backfill(&found.id).await,
                BackfillMove::Resume => self.app.resume_backfill(&found.id).await,
                BackfillMove::Cancel => {
                    self.app
                        .cancel_backfill(&found.id, Some(&self.engine))
                        .await
                }
            };
            let info = moved.map_err(timetable::ended)?;
            self.nudge().await;
            Ok(json!(info))
        })
    }

    fn purge(&self, wanted: PurgeWanted) -> BoxFuture<'_, Result<Value, Fault>> {
        let app = Arc::clone(&self.app);
        // Whoever asks may go away before it is done.
        let work = tokio::spawn(async move {
            if wanted.dry_run {
                return Ok(json!(app.meant(&wanted).await?));
            }
            Ok::<_, Error>(json!(app.purge_beside_runs(&wanted).await?))
        });
        Box::pin(async {
            match work.await {
                Ok(done) => Ok(done?),
                Err(error) => Err(Fault::internal(chain(&error))),
            }
        })
    }

    fn predict<'a>(
        &'a self,
        version: &'a ModelVersion,
        wanted: PredictWanted,
    ) -> BoxFuture<'a, Result<PredictAnswer, Fault>> {
        Box::pin(async move {
            // One that is loaded would go on without its files.
            version.check_is_there()?;
            let (model, version) = (version.manifest.name.clone(), version.manifest.version);
            let ask = Ask {
                model: model.clone(),
                version,
                wanted,
            };
            Ok(PredictAnswer {
                model,
                version,
                predictions: self.predictions.ask(ask).await?,
            })
        })
    }

    fn request(&self, wanted: RunWanted) -> BoxFuture<'_, Result<engine::RunRequest, Fault>> {
        Box::pin(async move {
            named(&wanted.pipeline)?;
            let (request, wanted) = split(wanted);
            let prepared = self.app.prepare(&request).await?;
            wanted.check(&prepared)?;
            if wanted.fill {
                self.app.check_devices(&prepared.compiled.graph).await?;
            } else {
                self.app.check_outside(&prepared).await?;
            }
            Ok(self.app.request_of(prepared, &wanted).await?)
        })
    }
}

/// Callers name the pipelines of this home; a file elsewhere is for the command line alone.
fn named(pipeline: &str) -> Result<(), Fault> {
    let file = Path::new(pipeline);
    if pipeline.contains('/') || file.extension().is_some_and(|end| end == "toml") {
        let message = format!("`{pipeline}` is a file; the daemon runs the pipelines of its home");
        return Err(Fault::invalid(message)
            .hint("put the file into `pipelines/` and give the pipeline's name".to_owned()));
    }
    Ok(())
}

/// The API's words in those of the command line.
fn split(wanted: RunWanted) -> (RunRequest, Wanted) {
    let request = RunRequest {
        pipeline: wanted.pipeline,
        date: wanted.date,
        source: wanted.source,
        profile: wanted.profile,
        params: timetable::as_given(wanted.params),
    };
    let wanted = Wanted {
        from: wanted.from,
        only: wanted.only,
        force: wanted.force,
        fill: wanted.fill,
    };
    (request, wanted)
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Registry(error) => error.into(),
            Error::Engine(error) => error.into(),
            Error::Pipeline(error) => error.into(),
            Error::Source(crate::sources::Error::Wrong(message)) => Self::invalid(message),
            Error::Source(error) => Self::unfit(chain(&error)),
            Error::Encoder(error) => Self::unfit(chain(&error)),
            Error::Wrong { message, hint } => Self::invalid(message).hint(hint),
            Error::Unfit { message, hint } => Self::unfit(message).hint(hint),
            Error::Refused { message, hint } => Self::conflict("refused", message).hint(hint),
            Error::Failed(message) => Self::internal(message),
        }
    }
}
