//! Pages of runs by what a person asks for.

use sqlx::{QueryBuilder, Sqlite};

use super::{Error, RunRow, Store, runs::RawRun};
use crate::dag::RunState;

/// Which runs are wanted; the newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunFilter<'a> {
    /// Only those of this pipeline.
    pub pipeline: Option<&'a str>,
    /// Only those in this state.
    pub state: Option<RunState>,
    /// Only those older than the run of this id.
    pub before: Option<&'a str>,
    /// How many at most.
    pub limit: u32,
}

impl Store {
    /// The runs that are wanted, the newest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.runs.page", skip_all)]
    pub async fn filtered_runs(&self, filter: &RunFilter<'_>) -> Result<Vec<RunRow>, Error> {
        // Put together, because `? IS NULL OR pipeline = ?` reads no index.
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
            "SELECT id, pipeline, definition_hash, params, source, profile, schedule,
                 scheduled_for, interval_start, interval_end, as_of, force, trigger, state, cause,
                 identity, owner, fence, cancel_requested, hold, created_at, started_at, ended_at
             FROM runs WHERE true",
        );
        if let Some(pipeline) = filter.pipeline {
            query.push(" AND pipeline = ").push_bind(pipeline);
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.name());
        }
        if let Some(before) = filter.before {
            query.push(" AND id < ").push_bind(before);
        }
        query
            .push(" ORDER BY id DESC LIMIT ")
            .push_bind(filter.limit);
        let rows: Vec<RawRun> = query.build_query_as().fetch_all(self.state.read()).await?;
        rows.into_iter().map(RunRow::try_from).collect()
    }
}
