//! Every SQL statement of the project.
//!
//! Two SQLite files, so that a state transition never waits behind a batch of content:
//! `state.db` (runs, attempts, versions; synchronous = FULL) and `content.db` (records,
//! observations, media, captions, embeddings; synchronous = NORMAL). No foreign key and no
//! transaction crosses them.

mod database;
mod error;
mod exported;
mod hashes;
mod records;
mod file_cursors;
mod raw;
mod picked;
mod observations;
mod due_readings;
mod walks;
mod refusals;
mod permission;
mod media;
mod shown;
mod people;
mod purge;
mod embeddings;
mod encoded;
mod progress;
mod models;
mod aliases;
mod predictions;
mod standings;
mod turns;
mod runs;
mod run_pages;
mod attempts;
mod lineage;
mod schedules;
mod settled_readings;
mod profiles;
mod backfills;
mod cancels;
mod transitions;
mod figures;
mod tokens;
mod check;
mod slots;
mod backup;
#[cfg(test)]
mod made_up;
mod notices;
mod retention;
mod growth;
mod curves;
mod logged;

use std::path::Path;

pub use aliases::{AliasMove, MoveKind, NewMove};
pub use attempts::AttemptRow;
pub use backfills::{BackfillInterval, BackfillRow};
pub use backup::{BackedUp, SchemaVersions};
pub use cancels::CancelRequest;
pub use check::Fault;
pub use curves::CurvePoint;
pub use database::Database;
pub use due_readings::{DueCounts, DueReading, DueReadings};
pub use embeddings::StoredCaption;
pub use encoded::{Encoded, EncodedKind};
pub use error::{Error, is_disk_full};
pub use figures::{ModelAges, TaskCount};
pub use file_cursors::ReadTo;
pub use growth::Growth;
pub use logged::{
    LogError, LoggedExperiment, LoggedMetric, LoggedRun, LoggedSearch, NewLoggedRun, RunUpdate,
    SearchCell, SearchField, SearchTest,
};
pub use media::PlaceState;
pub use models::{ModelVersionRow, NewModelVersion};
pub use notices::{NewNotice, NoticeFilter, NoticeRow, NoticeState, RunEnd, RunEnds};
pub use observations::{Horizon, LabelReading};
pub use predictions::StoredPrediction;
pub use profiles::SwitchedProfile;
pub use progress::TaskProgress;
pub use purge::{
    Acquaintance, NotedPurge, OF_A_PERSON, PurgeWish, PurgedRows, RecordKey, Removed, Traces,
    family,
};
pub use raw::KeptRaw;
pub use records::{PageChanges, WalkedPage, Writer};
pub use refusals::Refusal;
pub use retention::RunAge;
pub use run_pages::RunFilter;
pub use runs::{RunRow, TaskRow};
pub use schedules::{ScheduleRow, SkippedTicks, UnfinishedTick};
pub use slots::OccupiedRow;
pub use standings::{Checked, DueCheck};
pub use tokens::TokenRow;
pub use transitions::EventRow;
pub use turns::{
    AddedTask, AttemptEnded, CancelMark, GraphChange, NewAttempt, NewRun, NewTask, RunChange,
    TaskChange, Transition, Turn,
};

/// The two databases of a home.
#[derive(Clone, Debug)]
pub struct Store {
    /// Runs, attempts, model versions.
    pub(crate) state: Database,
    /// Records, observations, media, captions, embeddings.
    pub(crate) content: Database,
    /// Under which ids of purged records are hashed.
    purge_key: purge::PurgeKey,
}

impl Store {
    /// Opens the databases in `data_dir`, creating and migrating them as needed.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be written or a database was made by a newer release.
    pub async fn open(data_dir: &Path) -> Result<Self, Error> {
        let state = Database::open(&data_dir.join("state.db"), &database::STATE).await?;
        let content = Database::open(&data_dir.join("content.db"), &database::CONTENT).await?;
        let purge_key = purge::PurgeKey::in_folder(data_dir);
        Ok(Self {
            state,
            content,
            purge_key,
        })
    }

    /// The databases in `data_dir` as another process of this release has made them: nothing is
    /// checked or migrated, and each is opened when it is first used.
    ///
    /// # Errors
    ///
    /// Where there is no database in `data_dir`.
    pub fn attach(data_dir: &Path) -> Result<Self, Error> {
        let state = Database::attach(&data_dir.join("state.db"), &database::STATE)?;
        let content = Database::attach(&data_dir.join("content.db"), &database::CONTENT)?;
        let purge_key = purge::PurgeKey::in_folder(data_dir);
        Ok(Self {
            state,
            content,
            purge_key,
        })
    }

    /// A store in memory, which is gone with the process: for what needs none that lasts.
    ///
    /// # Errors
    ///
    /// Where the memory cannot be had.
    pub async fn in_memory() -> Result<Self, Error> {
        let state = Database::in_memory(&database::STATE).await?;
        let content = Database::in_memory(&database::CONTENT).await?;
        let purge_key = purge::PurgeKey::in_memory();
        Ok(Self {
            state,
            content,
            purge_key,
        })
    }

    /// Opens existing databases for reading only.
    ///
    /// # Errors
    ///
    /// Where there is no database in `data_dir` yet.
    pub async fn open_read_only(data_dir: &Path) -> Result<Self, Error> {
        let state = Database::open_read_only(&data_dir.join("state.db")).await?;
        let content = Database::open_read_only(&data_dir.join("content.db")).await?;
        let purge_key = purge::PurgeKey::in_folder(data_dir);
        Ok(Self {
            state,
            content,
            purge_key,
        })
    }
}
