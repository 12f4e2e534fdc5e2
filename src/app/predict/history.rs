//! What was known when the records were published that are predicted, as in training.

use std::time::Duration;

use super::Predictor;
use crate::{
    app::Error,
    clock::Timestamp,
    corpus::Record,
    expression::Expression,
    learning::History,
    operators::{history_before, horizon_of},
};

/// How long a history serves before the store is read again.
const KEPT: Duration = Duration::from_mins(10);

/// All that is in the store is known by now, though a run may stand for a moment that is to come:
/// what is too late for a record is told by the record's own publication.
const EVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// The history that was read from the store, and for which records.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) history: History,
    read_at: Timestamp,
    /// The first publication for which it reaches back far enough.
    serves_from: Timestamp,
}

impl Predictor {
    /// Reads the history that the features of `records` need, unless what was read last has it.
    pub(super) async fn remember(&mut self, records: &[Record]) -> Result<(), Error> {
        if !self.schema.metadata.needs_history() {
            return Ok(());
        }
        let Some(first) = records.iter().filter_map(|record| record.created_at).min() else {
            return Ok(());
        };
        let now = self.clock.now();
        if let Some(known) = &self.history
            && now.since(known.read_at) < KEPT
            && known.serves_from <= first
        {
            return Ok(());
        }
        let manifest = &self.version.manifest;
        let target = Expression::compile(&manifest.target).map_err(|error| {
            Error::Failed(format!(
                "the target of the manifest cannot be read: {error}"
            ))
        })?;
        let of = (manifest.dataset.as_str(), EVER);
        let store = &self.environment.store;
        let horizon = self.schema.history.map(horizon_of);
        let with_looks = self.schema.metadata.needs_looks();
        let history = history_before(store, of, records, &target, horizon, with_looks)
            .await
            .map_err(|error| Error::Failed(error.to_string()))?;
        self.history = Some(Remembered {
            history,
            read_at: now,
            serves_from: first,
        });
        Ok(())
    }
}
