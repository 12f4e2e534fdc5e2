//! `sync_deletions`: what is gone at the source goes here too.
//!
//! When a record is gone: the source says that its author deleted it; or it is absent from two
//! answers at least [`CONFIRM`] apart, each of which held another record. One absence may be a
//! fault of the server, and so may be an answer that holds nothing: where no answer holds anything,
//! nothing is purged. So that there is something to hold, each batch asks for a few records too
//! that were there when they were last asked about.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Environment,
    purging::Others,
    report::{checkpoint, upstream_text},
    settings,
};
use crate::{
    clock::Timestamp,
    engine::{Operator, SettingsError, TaskContext, TaskError, TaskOutcome},
    sources::Standing,
    store::{Checked, DueCheck, PurgeWish},
};

/// How long a record must be absent before it is believed to be gone.
const CONFIRM: Duration = Duration::from_hours(1);

/// By when everything must have been asked about again: what Reddit and others ask for.
const LONGEST_CYCLE: Duration = Duration::from_hours(48);

/// How many due records are asked about together, and how many more that were there.
const BATCH: usize = 95;
const ANCHORS: usize = 5;
/// Among so many that were there some are not due.
const ASKED: u32 = 100;

/// `sync_deletions`: asks a live source about each record that is kept, at least once a cycle.
#[derive(Clone, Debug)]
pub struct SyncDeletions(pub Arc<Environment>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The source, as people write it; that of the task upstream where it is not given.
    source: Option<String>,
    /// After how long a record is asked about again: `24h`, and less than 48 h.
    #[serde(default = "a_day")]
    cycle: String,
    /// What is done with what moderators and the like took away.
    #[serde(default)]
    removed: RemovedRule,
}

fn a_day() -> String {
    "24h".to_owned()
}

/// What is done with what moderators and the like took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RemovedRule {
    /// It is purged.
    #[default]
    Purge,
    /// It is kept, and not trained on.
    KeepOut,
}

impl Settings {
    fn cycle(&self) -> Result<Duration, SettingsError> {
        let cycle = settings::length("cycle", &self.cycle)?;
        if cycle >= LONGEST_CYCLE {
            return Err(settings::wrong(
                "cycle",
                format!("`{}` is too long", self.cycle),
                "every record is asked about within 48 h; write 24h, say".to_owned(),
            ));
        }
        Ok(cycle)
    }
}

impl Operator for SyncDeletions {
    fn name(&self) -> &'static str {
        "sync_deletions"
    }

    fn check(&self, settings: &Map<String, Value>) -> Result<(), SettingsError> {
        settings::parse::<Settings>(settings)?.cycle().map(drop)
    }

    fn run(&self, context: TaskContext) -> BoxFuture<'_, Result<TaskOutcome, TaskError>> {
        Box::pin(self.sync(context))
    }
}

impl SyncDeletions {
    async fn sync(&self, context: TaskContext) -> Result<TaskOutcome, TaskError> {
        let store = &self.0.store;
        let settings: Settings = settings::parse(&context.settings).map_err(TaskError::fail)?;
        let cycle = settings.cycle().map_err(TaskError::fail)?;
        let text = match &settings.source {
            Some(source) => source.clone(),
            None => upstream_text(&context, "source", "scrape")?,
        };
        let source = self.0.source(&text).await?.source;
        let dataset = source.dataset().to_owned();
        if !source.traits().live {
            return Err(TaskError::skip(format!(
                "`{text}` cannot be asked what is gone; only a live source can"
            )));
        }
        let now = context.clock.now();
        let due = store.due_checks(&dataset, now, cycle, CONFIRM).await?;
        let mut outcome = TaskOutcome {
            rows_in: due.len() as u64,
            output: json!({ "dataset": dataset, "source": text }),
            ..TaskOutcome::default()
        };
        context.progress.expect(due.len() as u64);
        let (mut gone, mut untold) = (0, 0);
        for batch in due.chunks(BATCH) {
            checkpoint(&context)?;
            let asked = self.with_anchors(&dataset, batch).await?;
            let Some(answer) = source.standings(&asked, context.as_of).await? else {
                return Err(TaskError::skip("the source cannot be asked what is gone"));
            };
            let answer: HashMap<String, Standing> = answer.into_iter().collect();
            let found = judge(batch, &answer, settings.removed, now);
            if answer.is_empty() {
                untold += batch.len() as u64;
            }
            store.keep_checks(&dataset, &found.checked, now).await?;
            gone += found.gone.len() as u64;
            // At once: what an answer has told is not asked for again, whatever becomes of the rest.
            for (reason, ids) in by_reason(found.gone) {
                *outcome.dropped.entry(reason.to_owned()).or_default() += ids.len() as u64;
                // A dump or an archive may tell of the same posts.
                let wish = PurgeWish {
                    dataset: dataset.clone(),
                    ids,
                    ..PurgeWish::default()
                };
                let keys = store.chosen(&wish).await?;
                store.note_purges(&keys, reason, now).await?;
            }
            context.progress.advance(batch.len() as u64);
        }
        if untold > 0 {
            outcome.dropped.insert("empty_answer".to_owned(), untold);
        }
        // Also what others have noted, or what this task had noted before it died.
        let purged = self
            .0
            .carry_out_purges(Others::Runs(&context.run_id), now)
            .await?;
        store.sync_content().await?;
        outcome.rows_computed = purged.removed.records;
        outcome.rows_out = outcome.rows_in - gone;
        outcome.message = message(purged.removed.records, untold).or_else(|| {
            let all_asked = || {
                format!(
                    "no record is due: each was asked about within {}",
                    settings.cycle
                )
            };
            due.is_empty().then(all_asked)
        });
        Ok(outcome)
    }

    /// The ids of a batch, and of records that are likely to be there.
    async fn with_anchors(
        &self,
        dataset: &str,
        batch: &[DueCheck],
    ) -> Result<Vec<String>, TaskError> {
        let mut asked: Vec<String> = batch.iter().map(|due| due.id.clone()).collect();
        let known: HashSet<&str> = batch.iter().map(|due| due.id.as_str()).collect();
        let anchors = self.0.store.lately_there(dataset, ASKED);
        let anchors = anchors.await?;
        let anchors = anchors
            .into_iter()
            .filter(|id| !known.contains(id.as_str()));
        asked.extend(anchors.take(ANCHORS));
        Ok(asked)
    }
}

/// What was done, where there is something to say.
fn message(purged: u64, untold: u64) -> Option<String> {
    let purged = (purged > 0).then(|| format!("{purged} records purged"));
    let untold = (untold > 0).then(|| {
        format!(
            "of {untold} nothing is known: the source's answers held no record at all, which may \
             be its own fault; where they are gone, remove them by `trendmill records purge`"
        )
    });
    let parts: Vec<String> = purged.into_iter().chain(untold).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What is gone, by why.
fn by_reason(gone: Vec<(String, &'static str)>) -> BTreeMap<&'static str, Vec<String>> {
    let mut by_reason: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (id, reason) in gone {
        by_reason.entry(reason).or_default().push(id);
    }
    by_reason
}

/// What an answer means.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judged {
    checked: Checked,
    /// What is gone for good, and why.
    gone: Vec<(String, &'static str)>,
}

fn judge(
    batch: &[DueCheck],
    answer: &HashMap<String, Standing>,
    rule: RemovedRule,
    now: Timestamp,
) -> Judged {
    let mut judged = Judged::default();
    if answer.is_empty() {
        return judged;
    }
    for DueCheck { id, absent_since } in batch {
        let checked = &mut judged.checked;
        match (answer.get(id), absent_since) {
            (Some(Standing::There), _) => checked.there.push(id.clone()),
            (Some(Standing::AuthorGone), _) => {
                checked.there.push(id.clone());
                checked.authorless.push(id.clone());
            }
            (Some(Standing::Deleted), _) => judged.gone.push((id.clone(), "deleted")),
            (Some(Standing::Removed(reason)), _) => match rule {
                RemovedRule::Purge => judged.gone.push((id.clone(), "removed")),
                RemovedRule::KeepOut => {
                    checked.removed.insert(id.clone(), reason.clone());
                }
            },
            (None, Some(since)) if now.since(*since) >= CONFIRM => {
                judged.gone.push((id.clone(), "absent"));
            }
            (None, _) => checked.absent.push(id.clone()),
        }
    }
    judged
}

#[cfg(test)]
#[path = "sync_deletions_tests.rs"]
mod tests;
