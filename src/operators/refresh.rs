//! `refresh`: the numbers again at fixed ages, the label's horizon among them.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment, Others,
    report::{checkpoint, upstream, upstream_text, writer},
    settings,
};
use crate::{
    clock::Timestamp,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::{BATCH, Due, Readings, Standing},
    store::{Checked, DueCounts, DueReading, Horizon},
};

/// How many readings are asked for and committed together.
const TOGETHER: usize = 10 * BATCH;

/// `refresh`: reads the score again of every record that has reached one of the ages.
///
/// The reading at the horizon is the label; those at other ages show how the score has grown. What
/// is due is asked for in the order of its due time, all ages together, so that they share
/// batches. A reading that is made later than the tolerance is kept and noted as late; it is no
/// label. A record that the source no longer knows is asked for once an age, and so is one whose
/// reading it should have had by then.
#[derive(Clone, Debug)]
pub struct Refresh(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The age at which the label is read: `36h`.
    horizon: String,
    /// How much later a reading may be made: `1h`.
    tolerance: String,
    /// The source that is asked; by default that of the `scrape` task upstream.
    #[serde(default)]
    source: Option<String>,
    /// How long a reading may wait for others to be asked for with: `4m`. Without it none waits.
    #[serde(default)]
    patience: Option<String>,
    /// Other ages at which the numbers are read: `["1h", "6h"]`.
    #[serde(default)]
    ages: Vec<String>,
}

impl Settings {
    fn tolerance(&self) -> Result<Duration, SettingsError> {
        settings::length("tolerance", &self.tolerance)
    }

    fn horizon(&self) -> Result<Horizon, SettingsError> {
        Ok(Horizon {
            age: settings::length("horizon", &self.horizon)?,
            tolerance: self.tolerance()?,
        })
    }

    fn patience(&self) -> Result<Duration, SettingsError> {
        let patience = self.patience.as_deref();
        patience.map_or(Ok(Duration::ZERO), |text| {
            settings::length("patience", text)
        })
    }

    /// All ages in ascending order, the label's among them.
    fn ages(&self) -> Result<Vec<Horizon>, SettingsError> {
        let tolerance = self.tolerance()?;
        let mut ages = vec![self.horizon()?.age];
        for age in &self.ages {
            ages.push(settings::length("ages", age)?);
        }
        ages.sort_unstable();
        ages.dedup();
        if ages
            .windows(2)
            .any(|pair| pair[1].saturating_sub(pair[0]) <= tolerance)
        {
            return Err(settings::wrong(
                "ages",
                format!(
                    "two ages are closer together than the tolerance, `{}`: one reading would \
                     stand for both",
                    self.tolerance
                ),
                "choose ages that are further apart (`horizon` is one of them), or a smaller \
                 `tolerance`"
                    .to_owned(),
            ));
        }
        Ok(ages
            .into_iter()
            .map(|age| Horizon { age, tolerance })
            .collect())
    }
}

impl Operator for Refresh {
    fn name(&self) -> &'static str {
        "refresh"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        let settings: Settings = settings::parse(settings)?;
        settings.patience()?;
        settings.ages().map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.refresh(context))
    }
}

impl Refresh {
    async fn refresh(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let horizon = settings.horizon().map_err(TaskError::fail)?;
        let ages = settings.ages().map_err(TaskError::fail)?;
        let patience = settings.patience().map_err(TaskError::fail)?;
        let output =
            json!({ "horizon": horizon.age.as_secs(), "tolerance": horizon.tolerance.as_secs() });
        let source = match settings.source {
            Some(source) => source,
            None => upstream_text(&context, "source", "scrape")?,
        };
        let tells_once = || TaskOutcome {
            message: Some("the source gives each score once".to_owned()),
            output: output.clone(),
            ..TaskOutcome::default()
        };
        // One that stands upstream in place of `scrape` may not want to be asked.
        if !context.upstream.is_empty()
            && upstream(&context, "observes") != Some(&Value::Bool(true))
        {
            return Ok(tells_once());
        }
        let opened = self.0.source(&source).await?;
        if !opened.source.traits().observes {
            return Ok(tells_once());
        }
        let dataset = opened.source.dataset().to_owned();
        let replays = opened.source.traits().replays;
        let settles = opened.source.settles();
        let found = store
            .due_readings(&dataset, context.as_of, &ages, replays)
            .await?;
        let (mut due, mut counts) = (found.due, found.met);
        due.retain(|due| due.due_at + settles <= context.as_of);
        if !replays {
            due.truncate(in_whole_batches(&due, context.as_of, patience));
        }
        context.progress.expect(due.len() as u64);
        let mut is_anybody_gone = false;
        for batch in due.chunks(TOGETHER) {
            checkpoint(&context)?;
            let asked: Vec<Due> = batch
                .iter()
                .map(|due| Due {
                    id: due.record_id.clone(),
                    at: due.due_at,
                })
                .collect();
            let read = opened.source.observe(&asked, context.as_of).await?;
            let stored = store
                .store_due_readings(
                    &dataset,
                    batch,
                    &read.observations,
                    context.as_of,
                    writer(&context),
                )
                .await?;
            if !replays {
                let (checked, deleted) = checked(&read);
                let now = context.clock.now();
                store.keep_checks(&dataset, &checked, now).await?;
                self.0.note_deleted(&dataset, &deleted, now).await?;
                is_anybody_gone |= !deleted.is_empty() || !checked.authorless.is_empty();
            }
            counts.late += stored.late;
            counts.absent += stored.absent;
            context.progress.advance(batch.len() as u64);
        }
        if is_anybody_gone {
            let others = Others::Runs(&context.run_id);
            let now = context.clock.now();
            self.0.carry_out_purges(others, now).await?;
        }
        store.sync_content().await?;
        let progress = store
            .task_progress(&context.run_id, &context.task_id)
            .await?;
        let labels = store.label_count(&dataset, context.as_of, horizon).await?;
        Ok(TaskOutcome {
            rows_in: labels.max(due.len() as u64),
            rows_out: labels,
            rows_computed: progress.rows_computed,
            rows_reused: labels.saturating_sub(progress.rows_computed),
            message: in_words(counts),
            output,
            ..TaskOutcome::default()
        })
    }
}

/// How many of these readings are asked for now: whole batches, and all where what is over has
/// waited for as long as it may.
fn in_whole_batches(due: &[DueReading], as_of: Timestamp, patience: Duration) -> usize {
    let whole = due.len() - due.len() % BATCH;
    match due.get(whole) {
        Some(first) if as_of.since(first.due_at) < patience => whole,
        _ => due.len(),
    }
}

/// What the answers told of how records stand, and which their authors have deleted.
/// `sync_deletions` need not ask about those that are there, and asks soon about all others.
fn checked(read: &Readings) -> (Checked, Vec<String>) {
    let mut checked = Checked {
        absent: read.absent.clone(),
        ..Checked::default()
    };
    let mut deleted = Vec::new();
    for (id, standing) in &read.standings {
        match standing {
            Standing::There => checked.there.push(id.clone()),
            Standing::AuthorGone => {
                checked.there.push(id.clone());
                checked.authorless.push(id.clone());
            }
            Standing::Deleted => deleted.push(id.clone()),
            Standing::Removed(_) => checked.absent.push(id.clone()),
        }
    }
    (checked, deleted)
}

/// What a person should know of readings that are no labels.
fn in_words(counts: DueCounts) -> Option<String> {
    let mut words = Vec::new();
    if counts.late > 0 {
        words.push(format!(
            "{} readings were made too late to be at their age",
            counts.late
        ));
    }
    if counts.absent > 0 {
        words.push(format!(
            "{} could not be made: the source no longer knows the record, or never read it at that \
             age",
            counts.absent
        ));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_tells_how_records_stand() {
        let standings = [
            ("a", Standing::There),
            ("b", Standing::AuthorGone),
            ("c", Standing::Deleted),
            ("d", Standing::Removed("moderator".to_owned())),
        ];
        let standings = standings.map(|(id, standing)| (id.to_owned(), standing));
        let read = Readings {
            standings: standings.to_vec(),
            absent: vec!["e".to_owned()],
            ..Readings::default()
        };
        let (checked, deleted) = checked(&read);
        assert_eq!(deleted, ["c"]);
        assert_eq!(checked.there, ["a", "b"]);
        assert_eq!(checked.authorless, ["b"]);
        assert_eq!(checked.absent, ["e", "d"], "they are asked about soon");
        assert!(checked.removed.is_empty());
    }

    #[test]
    fn what_is_over_waits_for_others_only_so_long() {
        let at = |minutes| Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000);
        let due = |count: i64| -> Vec<DueReading> {
            let horizon = Horizon {
                age: Duration::from_hours(36),
                tolerance: Duration::from_mins(10),
            };
            (0..count)
                .map(|n| DueReading {
                    record_id: n.to_string(),
                    due_at: at(n / 100),
                    horizon,
                })
                .collect()
        };
        let patience = Duration::from_mins(4);
        assert_eq!(in_whole_batches(&due(199), at(4), patience), 100);
        assert_eq!(in_whole_batches(&due(199), at(5), patience), 199);
        assert_eq!(in_whole_batches(&due(200), at(4), patience), 200);
        assert_eq!(in_whole_batches(&due(99), at(0), Duration::ZERO), 99);
        assert_eq!(in_whole_batches(&[], at(0), patience), 0);
    }
}
