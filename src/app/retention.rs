//! What has had its time is removed: logs, files of runs, matrices, rows.
//!
//! Records, vectors and captions are what the home is for; none of them is touched. Of models the
//! newest versions stay, and the metrics of all; of images only those go of which a copy stays. What
//! sources sent of records goes where the settings say so. Of what others log through MLflow's
//! endpoints only that goes which they deleted. What a run that has not ended may still read stays, and so does every run that made a version.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{App, Error};
use crate::{
    clock::{Clock, Timestamp},
    config::Settings,
    media::MediaStore,
    operators::purge_turn,
    registry::{LoggedFiles, Registry},
    store::{RunAge, Store},
    telemetry::chain,
};

/// How often the daemon does this.
const EVERY: Duration = Duration::from_hours(24);
/// After its start there is more urgent work.
const FIRST: Duration = Duration::from_mins(10);
/// How many runs go in one transaction: the engine waits for no longer than that.
const RUNS_AT_ONCE: u32 = 50;
/// How many bodies of JSON go in one transaction.
const RAW_AT_ONCE: u32 = 2000;
/// How many images are looked at together.
const IMAGES_AT_ONCE: u32 = 500;
/// How many runs that others logged go in one transaction.
const LOGGED_AT_ONCE: u32 = 20;
/// A folder without a run may be that of one which is being made.
const YOUNG: Duration = Duration::from_hours(24);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retained {
    /// Runs whose logs went.
    pub logs: u64,
    /// Runs whose files went.
    pub artifacts: u64,
    /// Matrices that went by themselves.
    pub matrices: u64,
    /// Images of which a copy stayed.
    pub originals: u64,
    /// Model versions whose files went.
    pub models: u64,
    /// Bytes of the files of runs and images.
    pub bytes: u64,
    /// Runs whose rows went.
    pub runs: u64,
    /// Records whose JSON as it came went.
    pub raw: u64,
    /// Runs that others had logged and deleted.
    pub logged: u64,
}

/// Removes what has had its time.
#[derive(Clone, Debug)]
pub(super) struct Retainer {
    /// The databases.
    pub(super) store: Store,
    /// The model versions.
    pub(super) registry: Registry,
    /// Where the time comes from.
    pub(super) clock: Arc<dyn Clock>,
    /// The settings as they are now.
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    /// The home's data folder.
    pub(super) data_dir: PathBuf,
    /// The images' files.
    pub(super) media: MediaStore,
}

impl App {
    /// Removes what has had its time, by the settings of the home.
    ///
    /// # Errors
    ///
    /// Where the store or the disk refuses; what went until then is gone.
    pub async fn retain(&self) -> Result<Retained, Error> {
        let retainer = Retainer {
            store: self.store().clone(),
            registry: self.registry().clone(),
            clock: Arc::clone(self.clock()),
            settings: watch::channel(Arc::clone(&self.settings)).1,
            data_dir: self.home.join("data"),
            media: self.media().clone(),
        };
        retainer.once().await
    }
}

/// A folder of files of one run.
struct Folder {
    path: PathBuf,
    run: String,
    age: Option<RunAge>,
    bytes: u64,
    /// Whether its files may go at all.
    free: bool,
    /// Of its run's end; for a folder without a run, of its last change.
    at: Timestamp,
}

impl Retainer {
    /// Works once a day, and at once where the disk has become full, until it is told to end.
    ///
    /// # Errors
    ///
    /// None: what cannot be removed today may be tomorrow.
    pub(super) async fn run(
        self,
        mut full: watch::Receiver<bool>,
        ending: CancellationToken,
    ) -> Result<(), Infallible> {
        let mut due = Instant::now() + FIRST;
        loop {
            tokio::select! {
                () = ending.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(due) => {}
                seen = full.changed() => {
                    // The engine that told is gone, and this process with it.
                    if seen.is_err() {
                        ending.cancelled().await;
                        return Ok(());
                    }
                    if !*full.borrow_and_update() {
                        continue;
                    }
                }
            }
            due = Instant::now() + EVERY;
            match self.once().await {
                Ok(done) if done == Retained::default() => {}
                Ok(done) => tracing::info!(
                    runs = done.runs,
                    bytes = done.bytes,
                    "removed what had had its time"
                ),
                Err(error) => tracing::warn!("retention waits: {}", chain(&error)),
            }
        }
    }

    /// Removes what has had its time.
    ///
    /// # Errors
    ///
    /// Where the store or the disk refuses; what went until then is gone.
    pub(super) async fn once(&self) -> Result<Retained, Error> {
        let policy = self.settings.borrow().retention.clone();
        let now = self.clock.now();
        let mut done = Retained::default();
        let logs = self.folders("logs", now).await?;
        let (keep, most) = (policy.logs, policy.logs_size.0);
        let (gone, bytes) = blocking(move || remove(logs, now, keep, most)).await?;
        done.logs = gone;
        done.bytes += bytes;

        let artifacts = self.folders("runs", now).await?;
        let newest = policy.matrices;
        let (gone, bytes) = blocking(move || remove_matrices(&artifacts, newest)).await?;
        done.matrices = gone;
        done.bytes += bytes;
        let artifacts = self.folders("runs", now).await?;
        let (keep, most) = (policy.artifacts, policy.artifacts_size.0);
        let (gone, bytes) = blocking(move || remove(artifacts, now, keep, most)).await?;
        done.artifacts = gone;
        done.bytes += bytes;

        done.models = self.registry.remove_old(policy.models, now).await?;
        if let Some(keep) = policy.originals {
            self.drop_originals(now - keep, &mut done).await?;
        }

        if let Some(keep) = policy.raw.longest() {
            loop {
                match self.store.drop_raw(now - keep, RAW_AT_ONCE).await? {
                    0 => break,
                    gone => done.raw += gone,
                }
                // Another process that waits to write looks again only after a pause of its own.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        self.drop_logged(now, policy.logged, &mut done).await?;

        let before = now - policy.runs;
        let mut after = String::new();
        loop {
            let old = self.store.old_runs(before, &after, RUNS_AT_ONCE).await?;
            let Some(last) = old.last() else { break };
            after.clone_from(last);
            done.runs += self.store.delete_runs(&old).await?;
            let data_dir = self.data_dir.clone();
            blocking(move || {
                for run in &old {
                    for kind in ["logs", "runs"] {
                        remove_folder(&data_dir.join(kind).join(run))?;
                    }
                }
                Ok(())
            })
            .await?;
        }
        self.store.delete_leftovers(before).await?;
        Ok(done)
    }

    /// Removes images that were stored before a moment and of which there is a copy; one that lacks
    /// its copy gets it first.
    async fn drop_originals(&self, before: Timestamp, done: &mut Retained) -> Result<(), Error> {
        let mut after = None;
        loop {
            let turn = purge_turn(&self.data_dir).await?;
            let old = self
                .store
                .media_older(before, after, IMAGES_AT_ONCE)
                .await?;
            let Some(last) = old.last() else {
                return Ok(());
            };
            after = Some(last.content);
            let media = self.media.clone();
            let (gone, bytes) = blocking(move || {
                let (mut gone, mut bytes) = (0, 0);
                for info in &old {
                    if let Some(freed) = media.drop_original(info).map_err(|error| disk(&error))? {
                        gone += 1;
                        bytes += freed;
                    }
                }
                Ok((gone, bytes))
            })
            .await?;
            drop(turn);
            done.originals += gone;
            done.bytes += bytes;
        }
    }

    /// Removes what others logged and deleted long ago, then files of runs that are not there any more:
    /// a process may have died in between.
    async fn drop_logged(
        &self,
        now: Timestamp,
        keep: Duration,
        done: &mut Retained,
    ) -> Result<(), Error> {
        let logged = LoggedFiles::of(&self.data_dir);
        loop {
            let runs = self.store.drop_logged(now - keep, LOGGED_AT_ONCE).await?;
            if runs.is_empty() {
                break;
            }
            done.logged += runs.len() as u64;
            let folders: Vec<PathBuf> = runs.iter().map(|run| logged.run(run)).collect();
            done.bytes += blocking(move || {
                let mut bytes = 0;
                for folder in folders {
                    bytes += size_of(&folder);
                    remove_folder(&folder)?;
                }
                Ok(bytes)
            })
            .await?;
        }
        let found = blocking(move || sizes_below(logged.folder())).await?;
        let names: Vec<String> = found.iter().map(|(_, name, _)| name.clone()).collect();
        let known = self.store.known_logged_runs(&names).await?;
        let is_old =
            move |path: &Path| changed_at(path).is_some_and(|changed| now.since(changed) > YOUNG);
        done.bytes += blocking(move || {
            let mut bytes = 0;
            for (path, name, size) in found {
                // Where files wait is no run's folder; a daemon empties it when it starts.
                let is_run = !name.starts_with('.');
                if is_run && !known.contains(&name) && is_old(&path) {
                    remove_folder(&path)?;
                    bytes += size;
                }
            }
            Ok(bytes)
        })
        .await?;
        Ok(())
    }

    /// The folders of runs below `data/<kind>`, oldest first.
    async fn folders(&self, kind: &str, now: Timestamp) -> Result<Vec<Folder>, Error> {
        let mut found = Vec::new();
        let folder = self.data_dir.join(kind);
        let sizes = blocking(move || sizes_below(&folder)).await?;
        let names: Vec<String> = sizes.iter().map(|(_, name, _)| name.clone()).collect();
        let mut ages = self.store.run_ages(&names).await?;
        for (path, run, bytes) in sizes {
            let age = ages.remove(&run);
            let at = match &age {
                Some(age) => age.ended_at.unwrap_or(now),
                None => changed_at(&path).unwrap_or(now),
            };
            found.push(Folder {
                bytes,
                free: match &age {
                    Some(age) => age.state.is_final(),
                    None => now.since(at) > YOUNG,
                },
                path,
                run,
                age,
                at,
            });
        }
        found.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
        Ok(found)
    }
}

/// Removes folders by age, and the oldest until the rest takes no more than `most`.
fn remove(
    folders: Vec<Folder>,
    now: Timestamp,
    keep: Duration,
    most: u64,
) -> Result<(u64, u64), Error> {
    let mut total: u64 = folders.iter().map(|folder| folder.bytes).sum();
    let (mut gone, mut bytes) = (0, 0);
    for folder in folders.into_iter().filter(|folder| folder.free) {
        if now.since(folder.at) <= keep && total <= most {
            continue;
        }
        remove_folder(&folder.path)?;
        total -= folder.bytes;
        bytes += folder.bytes;
        gone += 1;
    }
    Ok((gone, bytes))
}

/// Removes all but the newest matrices of each pipeline.
fn remove_matrices(folders: &[Folder], newest: usize) -> Result<(u64, u64), Error> {
    let mut kept: HashMap<&str, usize> = HashMap::new();
    let (mut gone, mut bytes) = (0, 0);
    for folder in folders.iter().rev().filter(|folder| folder.free) {
        let Some(age) = &folder.age else { continue };
        for task in &age.matrices {
            let path = folder.path.join(format!("{task}.safetensors"));
            let Ok(file) = fs_err::metadata(&path) else {
                continue;
            };
            let kept = kept.entry(&age.pipeline).or_default();
            *kept += 1;
            if *kept > newest {
                fs_err::remove_file(&path).map_err(|error| disk(&error))?;
                gone += 1;
                bytes += file.len();
            }
        }
    }
    Ok((gone, bytes))
}

/// The folders in a folder, each with its name and the bytes below it.
fn sizes_below(folder: &Path) -> Result<Vec<(PathBuf, String, u64)>, Error> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(disk(&error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| disk(&error))?;
        let path = entry.path();
        if path.is_dir() {
            let bytes = size_of(&path);
            found.push((
                path,
                entry.file_name().to_string_lossy().into_owned(),
                bytes,
            ));
        }
    }
    Ok(found)
}

/// Works with files on a thread of its own, so that the runtime stays free.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Failed(error.to_string()))?
}

fn remove_folder(path: &Path) -> Result<(), Error> {
    crate::artifacts::remove_directory(path).map_err(|error| disk(&error))
}

/// The bytes of all files below a folder.
pub(super) fn size_of(path: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn changed_at(path: &Path) -> Option<Timestamp> {
    let changed = fs_err::metadata(path).ok()?.modified().ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(
        i64::try_from(since.as_millis()).ok()?,
    ))
}

fn disk(error: &io::Error) -> Error {
    Error::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
