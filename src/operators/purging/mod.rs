//! A purge carried out: what is noted goes from the rows, the files and the registry of a home.
//!
//! Every step may be done again, so that whoever finds the notes goes on where another died. While
//! runs are at work that had read a record before it was noted, its note stays and is carried out
//! again: such a run may write a vector, a prediction or a line of a matrix once more.

mod documents;
mod files;
mod needles;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Environment, report::blocking};
use crate::{
    artifacts::{self, CopyKind},
    clock::Timestamp,
    dag::{RunState, TaskState},
    engine::TaskError,
    store::{NotedPurge, PurgedRows, RecordKey, Removed},
};
use files::Search;

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
    /// Purges that are carried out again once the runs at work have ended.
    pub waiting: u64,
    /// Whether free pages of the databases may hold bytes of purged records still.
    pub scrub_due: bool,
}

/// Waits until nobody else carries out purges on this data folder; the turn lasts until the file is
/// dropped. Of two that take different rows out of one file, the second would bring back what the
/// first had taken; and who makes a copy of an image must not do so while the image goes.
///
/// # Errors
///
/// Where the disk refuses.
pub(crate) async fn purge_turn(data_dir: &Path) -> Result<fs_err::File, TaskError> {
    let path = data_dir.join("purge.lock");
    let file = blocking(move || {
        let file = fs_err::File::create(path)?;
        file.file().lock()?;
        Ok::<_, std::io::Error>(file)
    })
    .await??;
    Ok(file)
}

impl Environment {
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
            let (removed, noted) = self.store.remove_noted(now).await?;
            purged.removed = removed;
            purged.image_files = self.remove_images(&noted).await?;
            let search = Search::new(
                self.home.clone(),
                self.store.datasets_of_runs().await?,
                others == Others::None,
                &noted,
            );
            let (touched, search) = self.purge_registry(search).await?;
            let (search, files) =
                blocking(move || search.purge().map(|done| (search, done))).await??;
            purged.messages = self.store.forget_words(|text| search.names(text)).await?;
            purged.matrices = files.matrices;
            purged.files = files.files;
            purged.log_lines = files.log_lines;
            purged.exports = files.exports;
            purged.left = files.left;
            purged.backups = self.backups_with(&noted).await?;
            purged.models = self.store.purged_rows().await?;
            purged
                .models
                .retain(|version| touched.contains(&(version.name.clone(), version.version)));
            let done = self.through(&noted, others).await?;
            purged.waiting = (noted.len() - done.len()) as u64;
            self.store.finish_purges(&done, now).await?;
            drop(turn);
        }
        let may_scrub = match others {
            Others::None | Others::RunsAndAPerson => true,
            Others::Runs(_) => !self.store.scrubbed_within(SCRUB_EVERY, now).await?,
        };
        purged.scrub_due = self.store.scrub_due().await?.is_some();
        if purged.scrub_due && may_scrub {
            purged.scrub_due = !self.store.scrub(now).await?;
        }
        Ok(purged)
    }

    async fn remove_images(&self, noted: &[NotedPurge]) -> Result<u64, TaskError> {
        let images: Vec<_> = noted
            .iter()
            .flat_map(|purge| purge.traces.images.iter().copied())
            .collect();
        // Another record may have brought one back since.
        let kept = self.store.media_infos(&images).await?;
        let media = self.media.clone();
        let removed = blocking(move || {
            let mut removed = 0;
            for image in images.iter().filter(|image| !kept.contains_key(*image)) {
                removed += media.remove(image)?;
            }
            Ok::<_, std::io::Error>(removed)
        })
        .await??;
        Ok(removed)
    }

    /// Takes the rows from the evaluations of all versions; which versions had some.
    async fn purge_registry(
        &self,
        search: Search,
    ) -> Result<(Vec<(String, u32)>, Search), TaskError> {
        let touched = self
            .registry
            .purge_rows(|dataset, id| search.ids_of(dataset).is_some_and(|ids| ids.contains(id)))
            .await?;
        Ok((touched, search))
    }

    async fn backups_with(&self, noted: &[NotedPurge]) -> Result<Vec<PathBuf>, TaskError> {
        let keys: Vec<&RecordKey> = noted.iter().map(|purge| &purge.key).collect();
        let mut holding = Vec::new();
        for copy in artifacts::copies(&self.home.join("data"))? {
            if copy.kind == CopyKind::Backup
                && copy.path.is_file()
                && self.store.copy_holds(&copy.path, &keys).await
            {
                holding.push(copy.path);
            }
        }
        Ok(holding)
    }

    /// The purges that no run at work can undo.
    async fn through<'a>(
        &self,
        noted: &'a [NotedPurge],
        others: Others<'_>,
    ) -> Result<Vec<&'a RecordKey>, TaskError> {
        let own = match others {
            Others::None => return Ok(noted.iter().map(|purge| &purge.key).collect()),
            Others::RunsAndAPerson => None,
            Others::Runs(own) => {
                let tasks = self.store.tasks(own).await?;
                let running = tasks
                    .iter()
                    .filter(|task| task.run.state == TaskState::Running);
                // Beside this task another one of the same run may hold what it has read.
                (running.count() <= 1).then_some(own)
            }
        };
        let at_work = self.store.unfinished_runs(None).await?;
        let oldest = at_work
            .iter()
            .filter(|run| Some(run.id.as_str()) != own && run.state == RunState::Running)
            .filter_map(|run| run.started_at)
            .min();
        let is_through = |purge: &&NotedPurge| {
            oldest.is_none_or(|oldest| purge.removed_at.is_some_and(|removed| oldest > removed))
        };
        let through = noted.iter().filter(is_through);
        Ok(through.map(|purge| &purge.key).collect())
    }
}
