//! The composition root: a home with its settings, store, registry, sources and operators.

mod collecting;
mod compared;
mod daemon;
mod daemon_file;
mod doctor;
mod encoding;
mod error;
mod executors;
mod face;
mod housekeeping;
mod looks;
mod learned;
mod models;
mod notify;
mod open_source;
mod prepare;
mod predict;
mod predicting;
mod purge;
mod reddit;
mod request;
mod schedules;
mod backfills;
mod services;
mod rebuild;
mod reload;
mod retention;
mod features;
mod settings;
mod systemd;
mod timetable;
mod tokens;
mod verify;
mod worker;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use backfills::{BackfillInfo, BackfillRequest, BackfillRuns, PlannedInterval};
pub use compared::ComparedVersions;
pub use daemon::Daemon;
pub use daemon_file::{DaemonFile, client as daemon_client};
pub use doctor::{Check, Diagnosis, DiskReport, Standing, doctor};
pub use encoding::{
    Basis, Collected, Collection, EncoderPlan, IntervalPlan, Lacking, PlanTotal, PlannedEncoding,
};
pub use error::Error;
pub use features::{FeatureCheck, FeatureSpan, RawField};
pub use models::Tagging;
pub use predict::{Predictor, Telling, record_from_words};
pub use prepare::{Prepared, RunRequest};
pub use purge::{PurgeDone, PurgeMeant};
pub use rebuild::Rebuilt;
pub use request::Wanted;
pub use retention::Retained;
pub use schedules::ScheduleInfo;
pub use settings::{captioner, device, weights};
pub use verify::Verified;
pub use worker::{Worker, devices};

use crate::{
    clock::{Clock, SystemClock},
    config::Settings,
    engine::{self, Catalogue, Cgroups, EngineParts, EngineSettings, Handle, HomeLock},
    media::MediaStore,
    operators::{self, Environment, Loaded},
    registry::Registry,
    store::{self, Store, SwitchedProfile},
};

/// A home, ready to work with.
#[derive(Debug)]
pub struct App {
    home: PathBuf,
    data_dir: PathBuf,
    working_dir: PathBuf,
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    environment: Arc<Environment>,
    cgroups: OnceLock<Result<Arc<Cgroups>, String>>,
}

impl App {
    /// The home at `home`, its databases made where they are missing, and brought up to date where
    /// they are of an older release.
    ///
    /// # Errors
    ///
    /// Where the home cannot be written, a process of another release is at work on it, or the
    /// settings ask for what cannot be had.
    pub async fn open(home: &Path, settings: Settings) -> Result<Self, Error> {
        let data = home.join("data");
        fs_err::create_dir_all(&data).map_err(|error| {
            Error::unfit(
                format!("the home cannot be written: {error}"),
                "give another one with `--home DIR`".to_owned(),
            )
        })?;
        bring_up_to_date(&data).await?;
        let store = Store::open(&data).await?;
        Self::with_store(home, settings, store)
    }

    /// The home at `home` for the process of an attempt: as the process that watches over it has
    /// made it. What the attempt does not use is not opened.
    ///
    /// # Errors
    ///
    /// Where there are no databases, or the settings ask for what cannot be had.
    pub fn attach(home: &Path, settings: Settings) -> Result<Self, Error> {
        let store = Store::attach(&home.join("data"))?;
        Self::with_store(home, settings, store)
    }

    /// The home at `home`, for reading only. Databases of an older release are brought up to date
    /// first, unless a process of that release is at work on them.
    ///
    /// # Errors
    ///
    /// Where there are no databases yet, or they cannot be read.
    pub async fn read(home: &Path, settings: Settings) -> Result<Self, Error> {
        let data = home.join("data");
        let mut store = Store::open_read_only(&data).await?;
        let have = store.schema_versions().await?;
        if have.is_older_than(Store::newest_schema()) {
            bring_up_to_date(&data).await?;
            store = Store::open_read_only(&data).await?;
        }
        Self::with_store(home, settings, store)
    }

    /// The home at `home` without its databases, but for the profiles to which its pipelines were
    /// switched: for what only checks.
    ///
    /// # Errors
    ///
    /// Where the settings ask for what cannot be had.
    pub async fn detached(home: &Path, settings: Settings) -> Result<Self, Error> {
        let store = Store::in_memory().await?;
        // What cannot be read is told by whatever needs the databases themselves.
        let switched = switched_profiles(&home.join("data")).await;
        for (pipeline, switched) in switched.unwrap_or_default() {
            let at = switched.switched_at;
            store
                .switch_profile(&pipeline, &switched.profile, at)
                .await?;
        }
        Self::with_store(home, settings, store)
    }

    fn with_store(home: &Path, settings: Settings, store: Store) -> Result<Self, Error> {
        let settings = Arc::new(settings);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let registry = Registry::new(home.join("model_registry"), store.clone());
        let environment = Environment {
            home: home.to_owned(),
            store,
            registry,
            media: MediaStore::new(home.join("data").join("media"))
                .with_copies(settings.media.copy_side, settings::limits(&settings)),
            limits: settings::limits(&settings),
            fetch: settings::fetch(&settings),
            fetcher: OnceLock::new(),
            weights: weights(&settings),
            caption_server: captioner(&settings),
            device: device(&settings)?,
            checkpoint_interval: settings.engine.checkpoint_interval,
            open_source: open_source::opener(&settings, home, &clock),
            not_permitted: reddit::not_permitted(&settings),
            keeps_raw: settings::keeps_raw(&settings),
            sources: tokio::sync::Mutex::new(BTreeMap::new()),
            loaded: Loaded::default(),
            looked: Arc::default(),
        };
        Ok(Self {
            home: home.to_owned(),
            data_dir: home.join("data"),
            working_dir: std::env::current_dir().unwrap_or_else(|_| home.to_owned()),
            settings,
            clock,
            environment: Arc::new(environment),
            cgroups: OnceLock::new(),
        })
    }

    /// The same with another source of time: what is scheduled follows it, and what is read from a
    /// live source is read at its time. It is given before anything is started.
    ///
    /// # Panics
    ///
    /// Where something was started.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        let environment =
            Arc::get_mut(&mut self.environment).expect("nothing works in the environment yet");
        environment.open_source = open_source::opener(&self.settings, &self.home, &clock);
        self.clock = clock;
        self
    }

    /// Locks the home and starts an engine on it.
    ///
    /// # Errors
    ///
    /// Where another process runs on the home; the error names it and its run.
    pub async fn start_engine(&self) -> Result<Handle, engine::Error> {
        let lock = HomeLock::acquire(&self.home.join("data"), self.clock.now())?;
        self.start_engine_with(lock).await
    }

    /// Starts an engine on the home, which is locked.
    async fn start_engine_with(&self, lock: HomeLock) -> Result<Handle, engine::Error> {
        let mut settings = EngineSettings::new(&self.home);
        let slots = self.slots();
        settings.parallelism = slots.parallelism;
        settings.pools = slots.pools;
        settings.disk_reserve = slots.disk_reserve;
        settings.memory = self.settings.engine.memory.map(|size| size.0);
        settings.cgroups = self.cgroups().as_ref().ok().cloned();
        let parts = EngineParts {
            settings,
            store: self.store().clone(),
            catalogue: self.catalogue(),
            clock: Arc::clone(&self.clock),
            executors: self.executors(),
        };
        Handle::start(parts, lock).await
    }

    /// The control groups of this process, which it divides when this is first asked; or why there
    /// are none. Only the holder of the home's lock may ask.
    fn cgroups(&self) -> &Result<Arc<Cgroups>, String> {
        self.cgroups.get_or_init(|| {
            let taken = Cgroups::take(&self.data_dir).map(Arc::new);
            match &taken {
                Ok(cgroups) => tracing::debug!("cgroups below {}", cgroups.base().display()),
                Err(reason) => tracing::debug!("no cgroups: {reason}"),
            }
            taken
        })
    }

    /// The operators of this home.
    pub fn catalogue(&self) -> Catalogue {
        catalogue(&self.environment)
    }

    /// The home's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder of databases, logs and artifacts.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where relative paths begin that people write.
    pub fn working_dir(&self) -> &Path {
        &self.working_dir
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the time comes from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The databases.
    pub fn store(&self) -> &Store {
        &self.environment.store
    }

    /// The model versions.
    pub fn registry(&self) -> &Registry {
        &self.environment.registry
    }

    /// The images' files.
    pub fn media(&self) -> &MediaStore {
        &self.environment.media
    }

    /// What operators may touch.
    pub fn environment(&self) -> Arc<Environment> {
        Arc::clone(&self.environment)
    }
}

/// All operators, working in `environment`.
fn catalogue(environment: &Arc<Environment>) -> Catalogue {
    let with = || Arc::clone(environment);
    Catalogue::default()
        .with(operators::Scrape(with()))
        .with(operators::Stored)
        .with(operators::Refresh(with()))
        .with(operators::ReadPeople(with()))
        .with(operators::SyncDeletions(with()))
        .with(operators::Filter(with()))
        .with(operators::FetchImages(with()))
        .with(operators::Embed(with()))
        .with(operators::Caption(with()))
        .with(operators::Merge(with()))
        .with(operators::Train(with()))
        .with(operators::Evaluate(with()))
        .with(operators::Persist(with()))
        .with(operators::Score(with()))
        .with(operators::Shell)
        .with(operators::Wait)
        .with(operators::Noop)
}

/// The profiles to which the pipelines of a home were switched; none where it has no databases of
/// this release, which know of no switch.
async fn switched_profiles(data: &Path) -> Result<BTreeMap<String, SwitchedProfile>, Error> {
    match Databases::of(data).await? {
        Databases::Missing | Databases::Old => Ok(BTreeMap::new()),
        Databases::Current => Ok(Store::open_read_only(data)
            .await?
            .switched_profiles()
            .await?),
    }
}

/// How often a command looks whether another one has made the databases, and the time between.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// How the databases of a home stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Databases {
    /// There are none, or they are just being made.
    Missing,
    /// At least one is of an older release.
    Old,
    /// They are of this release.
    Current,
}

impl Databases {
    async fn of(data: &Path) -> Result<Self, Error> {
        let store = match Store::open_read_only(data).await {
            Err(store::Error::Missing(_)) => return Ok(Self::Missing),
            store => store?,
        };
        let have = store.schema_versions().await?;
        Ok(if have.state == 0 || have.content == 0 {
            Self::Missing
        } else if have.is_older_than(Store::newest_schema()) {
            Self::Old
        } else {
            Self::Current
        })
    }
}

/// Makes databases that are missing, and migrates those of an older release. The lock comes first,
/// so that nobody is at work on them; then a copy of the state is kept.
async fn bring_up_to_date(data: &Path) -> Result<(), Error> {
    let found = Databases::of(data).await?;
    if found == Databases::Current {
        return Ok(());
    }
    // Of two first commands on a home, one makes the databases and the other waits for them.
    let mut looks = if found == Databases::Missing {
        LOOKS
    } else {
        0
    };
    let _lock = loop {
        match HomeLock::acquire(data, SystemClock.now()) {
            Err(error @ engine::Error::Locked { .. }) => {
                // Whoever has the lock may have done it just now; while it does, they can be in any
                // state.
                if matches!(Databases::of(data).await, Ok(Databases::Current)) {
                    return Ok(());
                }
                if looks == 0 {
                    return Err(not_ready(&error));
                }
                looks -= 1;
                tokio::time::sleep(PAUSE).await;
            }
            lock => break lock?,
        }
    };
    Store::open(data).await?;
    Ok(())
}

/// What is said where another process has the home whose databases are not as they must be.
fn not_ready(locked: &engine::Error) -> Error {
    Error::unfit(
        format!("the databases are not of this release yet, and {locked}"),
        "wait where that process is bringing them up to date; stop it where it is of the older \
         release; then give this command again"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_whoever_makes_the_databases() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let lock = HomeLock::acquire(data, SystemClock.now()).unwrap();
        let (waited, made) = tokio::join!(bring_up_to_date(data), Store::open(data));
        made.unwrap();
        waited.unwrap();
        assert_eq!(Databases::of(data).await.unwrap(), Databases::Current);
        drop(lock);
    }
}
