//! The records that a run goes on with, as the filter left them.

use std::path::Path;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    report::{upstream, upstream_text},
    shard::Part,
};
use crate::{
    artifacts,
    clock::Timestamp,
    corpus::Record,
    engine::{TaskContext, TaskError},
    store::Store,
};

/// How many records [`Pages`] reads at a time.
const PAGE: usize = 4096;

/// The file that the filter leaves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SelectionFile {
    /// The ids of the records that were kept, in the order of creation time and id.
    pub ids: Vec<String>,
}

/// The records that a task works on.
#[derive(Debug)]
pub(super) struct Selection {
    /// Their data set.
    pub dataset: String,
    /// The records, in the order of creation time and id.
    pub records: Vec<Record>,
}

impl Selection {
    /// The records that the filter upstream kept; all of the data set where there is none.
    pub(super) async fn read(store: &Store, context: &TaskContext) -> Result<Self, TaskError> {
        let dataset = upstream_text(context, "dataset", "scrape")?;
        let records = match kept(context)? {
            Some(ids) => store.records_by_id(&dataset, &ids).await?,
            None => store.records(&dataset, context.as_of).await?,
        };
        Ok(Self { dataset, records })
    }

    /// These records, as far as they are of a part; all of them where there is none.
    #[must_use]
    pub(super) fn part(mut self, part: Option<Part>) -> Self {
        if let Some(part) = part {
            self.records.retain(|record| part.has(&record.id));
        }
        self
    }
}

/// The records that a task works on, some at a time: all of them may be more than memory should
/// hold.
#[derive(Debug)]
pub(super) struct Pages {
    dataset: String,
    ids: Vec<String>,
    /// How many of them were read.
    read: usize,
}

impl Pages {
    /// The records that [`Selection::read`] gives, of a part where one is asked for.
    pub(super) async fn of(
        store: &Store,
        context: &TaskContext,
        part: Option<Part>,
    ) -> Result<Self, TaskError> {
        let dataset = upstream_text(context, "dataset", "scrape")?;
        let mut ids = Vec::new();
        if let Some(kept) = kept(context)? {
            ids = kept;
        } else {
            let mut note = |record: Record| {
                ids.push(record.id);
                Ok::<_, TaskError>(true)
            };
            let as_of = context.as_of;
            store.visit_newest(&dataset, as_of, &mut note).await?;
            store.visit_untimed(&dataset, as_of, &mut note).await?;
        }
        if let Some(part) = part {
            ids.retain(|id| part.has(id));
        }
        Ok(Self {
            dataset,
            ids,
            read: 0,
        })
    }

    /// The next ones; none where all were read.
    pub(super) async fn next(&mut self, store: &Store) -> Result<Option<Vec<Record>>, TaskError> {
        let left = &self.ids[self.read..];
        if left.is_empty() {
            return Ok(None);
        }
        let ids = &left[..left.len().min(PAGE)];
        self.read += ids.len();
        Ok(Some(store.records_by_id(&self.dataset, ids).await?))
    }
}

/// The ids that the filter upstream kept, where there is one.
fn kept(context: &TaskContext) -> Result<Option<Vec<String>>, TaskError> {
    let Some(file) = upstream(context, "selection").and_then(Value::as_str) else {
        return Ok(None);
    };
    let kept: SelectionFile =
        serde_json::from_slice(&fs::read(context.run_dir.join(file))?).map_err(TaskError::fail)?;
    Ok(Some(kept.ids))
}

/// Writes the ids that were kept; returns the file's name within the run's folder.
pub(super) fn write(run_dir: &Path, task_id: &str, ids: Vec<String>) -> std::io::Result<String> {
    let name = format!("{task_id}.json");
    artifacts::write_json(&run_dir.join(&name), &SelectionFile { ids })?;
    Ok(name)
}

/// The names that an expression over a record can use, with their values.
///
/// `id`, `title`, `community`, `author`, `created_at`, `hour`, `weekday`, `media_count`, and the
/// source's other fields under their own names, which never hide one of these.
pub(crate) fn record_names(record: &Record) -> Map<String, Value> {
    let mut names = record.fields.clone();
    names.extend([
        ("id".to_owned(), json!(record.id)),
        ("title".to_owned(), json!(record.title)),
        ("community".to_owned(), json!(record.community)),
        ("author".to_owned(), json!(record.author)),
        ("created_at".to_owned(), json!(record.created_at)),
        (
            "hour".to_owned(),
            json!(record.created_at.map(Timestamp::hour)),
        ),
        (
            "weekday".to_owned(),
            json!(record.created_at.map(Timestamp::weekday)),
        ),
        ("media_count".to_owned(), json!(record.media.len())),
    ]);
    names
}
