//! The history of a data set, for features of what was known when a record was published.

use std::{collections::HashMap, time::Duration};

use super::{label::lesson_of, sights::looks_of};
use crate::{
    clock::Timestamp,
    corpus::{Look, Record},
    engine::TaskError,
    expression::Expression,
    learning::{History, HistorySchema, Past, PastRecord},
    store::{Horizon, Store},
};

/// The history of a data set, of what was there at `as_of`, as far back as features of `records`
/// reach.
///
/// All of the data set counts, whatever a pipeline's filter keeps: what a prediction is made of
/// must not depend on what was learned from.
///
/// How images look is read only `with_looks`.
///
/// # Errors
///
/// Where the store fails, or `target` is wrong for every record.
pub(crate) async fn history_before(
    store: &Store,
    (dataset, as_of): (&str, Timestamp),
    records: &[Record],
    target: &Expression,
    horizon: Option<Horizon>,
    with_looks: bool,
) -> Result<History, TaskError> {
    let Some(first) = records.iter().filter_map(|record| record.created_at).min() else {
        return Ok(History::default());
    };
    let known_after = horizon.map_or(Duration::ZERO, |horizon| horizon.age + horizon.tolerance);
    let from = first - History::reach(known_after);
    // Most targets are made of the score alone: then nothing else is held in memory.
    let is_bare = target
        .names()
        .iter()
        .all(|&name| matches!(name, "score" | "age_hours"));
    let (mut times, mut earlier) = (Vec::new(), Vec::new());
    let visit = |mut record: Record| {
        let Some(created_at) = record.created_at.filter(|&time| time >= from) else {
            return Ok::<_, TaskError>(false);
        };
        if is_bare {
            record.title = None;
            record.fields = serde_json::Map::new();
        }
        if !with_looks {
            record.media = Vec::new();
        }
        times.push(created_at);
        earlier.push(record);
        Ok(true)
    };
    store.visit_newest(dataset, as_of, visit).await?;
    let readings = match horizon {
        Some(horizon) => {
            let ids: Vec<&str> = earlier.iter().map(|record| record.id.as_str()).collect();
            store.labels(dataset, &ids, as_of, horizon).await?
        }
        None => HashMap::new(),
    };
    let mut past = Vec::with_capacity(earlier.len());
    let looks = if with_looks {
        looks_of(store, &earlier).await?
    } else {
        HashMap::new()
    };
    for (created_at, record) in times.into_iter().zip(earlier) {
        let lesson = lesson_of(target, &record, readings.get(&record.id), horizon)?;
        past.push(PastRecord {
            label: lesson
                .ok()
                .flatten()
                .map(|lesson| (created_at + known_after, lesson.label.target)),
            community: record.community,
            author: record.author,
            look: looks.get(&record.id).copied(),
            created_at,
        });
    }
    Ok(History::new(&past))
}

/// What was known when a record was published, whose first image looks so; nothing without a history.
pub(crate) fn past_of(history: Option<&History>, record: &Record, look: Option<Look>) -> Past {
    history.map_or_else(Past::default, |history| {
        let (community, author) = (record.community.as_deref(), record.author.as_deref());
        history.of(record.created_at, community, author, look)
    })
}

/// The horizon as a schema files it.
pub(super) fn schema_of(horizon: Horizon) -> HistorySchema {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    HistorySchema {
        horizon: millis(horizon.age),
        tolerance: millis(horizon.tolerance),
    }
}

/// The horizon that a schema has filed.
pub(crate) fn horizon_of(schema: HistorySchema) -> Horizon {
    Horizon {
        age: Duration::from_millis(schema.horizon),
        tolerance: Duration::from_millis(schema.tolerance),
    }
}
