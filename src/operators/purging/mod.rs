//! A purge carried out: what is noted goes from the rows, the files and the registry of a home.
//!
//! Every step may be done again, so that whoever finds the notes goes on where another died. While
//! runs are at work that had read a record before it was noted, its note stays and is carried out
//! again: such a run may write a vector, a prediction or a line of a matrix once more.

mod documents;
mod files;
mod gone;
mod looked;
mod needles;

use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Environment, report::blocking};
use crate::{
    artifacts::{self, CopyKind},
    clock::Timestamp,
    dag::{RunState, TaskState},
    engine::TaskError,
    store::{Acquaintance, NotedPurge, PurgeWish, PurgedRows, RecordKey, Removed},
};
use files::{FilesPurged, Search};
pub use looked::Looked;

/// While others work, the databases are written anew no more often than this.
const SCRUB_EVERY: Duration = Duration::from_hours(24);

/// Who else is at work on the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others<'a> {
    /// Nobody: the home is ours alone.
    None,
    /// Perhaps other runs than this one.
    Runs(&'a str),
    /// Perhaps runs, and a person waits to hear that nothing is left.
    RunsAndAPerson,
}

/// What a purge has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Rows that were removed from the databases.
    pub removed: Removed,
    /// Files of images, copies included.
    pub image_files: u64,
    /// Matrices that were written again without the rows.
    pub matrices: u64,
    /// Other files of runs.
    pub files: u64,
    /// Lines of logs.
    pub log_lines: u64,
    /// Messages of runs and tasks.
    pub messages: u64,
    /// Exports that were written again.
    pub exports: Vec<PathBuf>,
    /// Versions that had learned from purged rows or were measured by them, with all their purged
    /// rows.
    pub models: Vec<PurgedRows>,
    /// Backups that hold a purged record still; only who keeps them can remove them.
    pub backups: Vec<PathBuf>,
    /// Files that name a purged record still.
    pub left: Vec<PathBuf>,
    /// Names, titles and ids that are common words or numbers: in logs and reports they were looked
    /// for only where something tells that they are meant.
    pub common_words: u64,
    /// Purges that are carried out again once the runs at work have ended.
    pub waiting: u64,
    /// Whether free pages of the databases may hold bytes of purged records still.
    pub scrub_due: bool,
    /// Whether they do so only until somebody ends who reads: everything is written anew, and what
    /// is left is to empty the databases' logs.
    #[serde(default)]
    pub logs_wait: bool,
}

/// Waits until nobody else carries out purges on this data folder; the turn lasts until the file is
/// dropped. Of two that take different rows out of one file, the second would bring back what the
/// first had taken; and who makes a copy of an image must not do so while the image goes.
///
/// # Errors
///
/// Where the disk refuses.
pub(crate) async fn purge_turn(data_dir: &Path) -> Result<fs_err::File, TaskError> {
    turn(data_dir, "purge.lock", Kind::Alone).await
}

/// For how many images it is asked together whether they are kept.
const AT_ONCE: usize = 10_000;

/// Whose turn it is to touch images.
const MEDIA: &str = "media.lock";

/// Whether a turn is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Alone,
    WithOthers,
}

async fn turn(data_dir: &Path, name: &str, kind: Kind) -> Result<fs_err::File, TaskError> {
    let path = data_dir.join(name);
    let file = blocking(move || {
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match kind {
            Kind::Alone => file.file().lock()?,
            Kind::WithOthers => file.file().lock_shared()?,
        }
        // So that it tells when the turn began.
        file.write_all(b"\n")?;
        Ok::<_, std::io::Error>(file)
    })
    .await??;
    Ok(file)
}

impl Environment {
    /// Notes that what the source says that its authors have deleted is to be gone, and that none of
    /// it comes later. Returns how many records were not gone before.
    ///
    /// # Errors
    ///
    /// Where the store refuses.
    pub(super) async fn note_deleted(
        &self,
        dataset: &str,
        ids: &[String],
        now: Timestamp,
    ) -> Result<u64, TaskError> {
        if ids.is_empty() {
            return Ok(0);
        }
        // A listing shows for days what is deleted.
        let known = self.store.acquaintance(dataset, ids).await?;
        let gone = |id: &&String| known.get(*id) == Some(&Acquaintance::PurgedBefore);
        let wish = PurgeWish {
            dataset: dataset.to_owned(),
            ids: ids.iter().filter(|id| !gone(id)).cloned().collect(),
            ..PurgeWish::default()
        };
        let keys = self.store.chosen(&wish).await?;
        Ok(self.store.note_purges(&keys, "deleted", now).await?)
    }

    /// Carries out what is noted.
    ///
    /// # Errors
    ///
    /// Where the store or the disk refuses; the notes stand, and it can be done again.
    pub(crate) async fn carry_out_purges(
        &self,
        others: Others<'_>,
        now: Timestamp,
    ) -> Result<Purged, TaskError> {
        let mut purged = Purged::default();
        if !self.store.noted_purges().await?.is_empty() {
            let turn = purge_turn(&self.home.join("data")).await?;
            let before = self.at_work(others, now).await?;
            let (removed, noted) = self.store.remove_noted(now).await?;
            purged.removed = removed;
            purged.image_files = self.remove_images(&noted, others).await?;
            let search = self.search(&noted, others).await?;
            let touched = self.purge_registry(&search).await?;
            let (search, files) = self.purge_files(search, &turn).await?;
            purged.messages = self.store.forget_words(|text| search.names(text)).await?;
            purged.matrices = files.matrices;
            purged.files = files.files;
            purged.log_lines = files.log_lines;
            purged.exports = files.exports;
            purged.left = files.left;
            if self.store.are_words_left(|text| search.names(text)).await? {
                purged.left.push(self.home.join("data/state.db"));
            }
            purged.common_words = search.common();
            purged.backups = self.backups_with(&noted).await?;
            purged.models = self.store.purged_rows().await?;
            purged
                .models
                .retain(|version| touched.contains(&(version.name.clone(), version.version)));
            // What ended meanwhile may have written what was looked for already.
            let after = self.at_work(others, now).await?;
            let oldest = before.into_iter().chain(after).min();
            let done = through(&noted, oldest);
            purged.waiting = (noted.len() - done.len()) as u64;
            self.store.finish_purges(&done, now).await?;
            if purged.waiting == 0 {
                lock(&self.looked).clear();
            }
            drop(turn);
        }
        purged.scrub_due = self.store.scrub_due().await?.is_some();
        let may_scrub = match others {
            Others::None | Others::RunsAndAPerson => true,
            Others::Runs(_) => {
                self.store.only_logs_wait().await?
                    || !self.store.scrubbed_within(SCRUB_EVERY, now).await?
            }
        };
        if purged.scrub_due && may_scrub {
            let turn = purge_turn(&self.home.join("data")).await?;
            purged.scrub_due = !self.store.scrub(now).await?;
            purged.logs_wait = purged.scrub_due;
            drop(turn);
        }
        Ok(purged)
    }

    /// Removes the files of images that nobody has any more; how many.
    async fn remove_images(
        &self,
        noted: &[NotedPurge],
        others: Others<'_>,
    ) -> Result<u64, TaskError> {
        let mut images: Vec<_> = noted
            .iter()
            .flat_map(|purge| purge.traces.images.iter().copied())
            .collect();
        // Whoever brings one back stores it before or after.
        let turn = turn(&self.home.join("data"), MEDIA, Kind::Alone).await?;
        let media = self.media.clone();
        if !matches!(others, Others::Runs(_)) {
            // Also what somebody stored who died before its row.
            let media = media.clone();
            images.extend(blocking(move || media.contents()).await??);
        }
        let mut kept = HashMap::new();
        for some in images.chunks(AT_ONCE) {
            kept.extend(self.store.media_infos(some).await?);
        }
        let removed = blocking(move || {
            let mut removed = 0;
            for image in images.iter().filter(|image| !kept.contains_key(*image)) {
                removed += media.remove(image)?;
            }
            Ok::<_, std::io::Error>(removed)
        })
        .await??;
        drop(turn);
        Ok(removed)
    }

    /// Lets no image be removed that is being stored, until the file is dropped: between its file and
    /// its row nobody could tell that it has come back.
    ///
    /// # Errors
    ///
    /// Where the disk refuses.
    pub(crate) async fn keep_images(&self) -> Result<fs_err::File, TaskError> {
        turn(&self.home.join("data"), MEDIA, Kind::WithOthers).await
    }

    /// What is to be looked for.
    async fn search(&self, noted: &[NotedPurge], others: Others<'_>) -> Result<Search, TaskError> {
        let datasets = self.store.datasets_of_runs().await?;
        let (home, noted) = (self.home.clone(), noted.to_vec());
        let alone = others == Others::None;
        let search = blocking(move || Search::new(home, datasets, alone, &noted)).await??;
        Ok(search)
    }

    /// Takes what is noted from the files of the home.
    async fn purge_files(
        &self,
        search: Search,
        turn: &fs_err::File,
    ) -> Result<(Search, FilesPurged), TaskError> {
        let looked = Arc::clone(&self.looked);
        let began = turn.metadata()?.modified()?;
        let done = blocking(move || {
            let mut looked = lock(&looked);
            looked.begin(search.texts(), began);
            let files = search.purge(&mut looked)?;
            Ok::<_, std::io::Error>((search, files))
        });
        Ok(done.await??)
    }

    /// Takes the rows from the evaluations of all versions; which versions had some.
    async fn purge_registry(&self, search: &Search) -> Result<Vec<(String, u32)>, TaskError> {
        Ok(self
            .registry
            .purge_rows(|dataset, id| search.ids_of(dataset).is_some_and(|ids| ids.contains(id)))
            .await?)
    }

    async fn backups_with(&self, noted: &[NotedPurge]) -> Result<Vec<PathBuf>, TaskError> {
        let mut holding = Vec::new();
        for copy in artifacts::copies(&self.home.join("data"))? {
            if copy.kind == CopyKind::Backup
                && copy.path.is_file()
                && self.store.copy_holds(&copy.path, noted).await
            {
                holding.push(copy.path);
            }
        }
        Ok(holding)
    }

    /// When the oldest of the runs began that are at work and may hold what they have read. Of the
    /// run whose task this is, only another task may: one that is at work or has ended `since`.
    async fn at_work(
        &self,
        others: Others<'_>,
        since: Timestamp,
    ) -> Result<Option<Timestamp>, TaskError> {
        let own = match others {
            Others::None => return Ok(None),
            Others::RunsAndAPerson => None,
            Others::Runs(own) => {
                let tasks = self.store.tasks(own).await?;
                let may_hold = tasks.iter().filter(|task| {
                    task.run.state == TaskState::Running
                        || task.ended_at.is_some_and(|ended| ended >= since)
                });
                (may_hold.count() <= 1).then_some(own)
            }
        };
        let at_work = self.store.unfinished_runs(None).await?;
        Ok(at_work
            .iter()
            .filter(|run| Some(run.id.as_str()) != own && run.state == RunState::Running)
            .filter_map(|run| run.started_at)
            .min())
    }
}

/// The purges that no run undoes which began then or later.
fn through(noted: &[NotedPurge], oldest: Option<Timestamp>) -> Vec<&RecordKey> {
    let is_through = |purge: &&NotedPurge| {
        oldest.is_none_or(|oldest| purge.removed_at.is_some_and(|removed| oldest > removed))
    };
    let through = noted.iter().filter(is_through);
    through.map(|purge| &purge.key).collect()
}

fn lock(looked: &Mutex<Looked>) -> MutexGuard<'_, Looked> {
    looked.lock().unwrap_or_else(PoisonError::into_inner)
}
