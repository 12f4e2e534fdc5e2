//! Records, and up to where their sources were walked.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;
use sqlx::{Sqlite, Transaction};

use super::{Error, ReadTo, Store, file_cursors, observations, progress, purge, raw};
use crate::{
    clock::Timestamp,
    corpus::{MediaLocation, Observation, RawBody, Record},
};

/// What storing a page of records changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageChanges {
    /// Records that were not there before.
    pub new: u64,
    /// Records whose content is another than before.
    pub changed: u64,
    /// Readings that were not there before, or that are others than before.
    pub observations: u64,
    /// Records that are purged, or whose author is, and stay away.
    pub purged: u64,
}

/// A page of a walk.
#[derive(Clone, Copy, Debug)]
pub struct WalkedPage<'a> {
    /// Records with their first readings.
    pub records: &'a [(Record, Option<Observation>)],
    /// By record id: what was sent of it. It is kept of records that are new.
    pub raw: &'a BTreeMap<String, RawBody>,
    /// Bytes read from the outside.
    pub bytes: u64,
    /// Up to where the source's file was read with it.
    pub read_to: Option<ReadTo<'a>>,
}

/// Who stores something, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The run that stores.
    pub run_id: &'a str,
    /// The task that stores.
    pub task_id: &'a str,
    /// When it is stored.
    pub stored_at: Timestamp,
}

impl Store {
    /// Stores a page of records with their first readings, in one transaction.
    ///
    /// `seen_at` is the moment of first sight in the source's time; an earlier one stands.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing of the page is stored.
    pub async fn store_page(
        &self,
        dataset: &str,
        page: &[(Record, Option<Observation>)],
        seen_at: Timestamp,
        bytes: u64,
        writer: Writer<'_>,
    ) -> Result<PageChanges, Error> {
        let page = WalkedPage {
            records: page,
            raw: &BTreeMap::new(),
            bytes,
            read_to: None,
        };
        self.store_walked_page(dataset, page, seen_at, writer).await
    }

    /// Stores a page as [`Store::store_page`] does, and in the same transaction what was sent of its
    /// records and up to where its file was read: what is known to be read is stored, whatever dies
    /// when.
    ///
    /// What was sent stands as it was at first sight: what a later walk finds of a record that is
    /// there is not kept, unless it stands for an earlier moment.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing of the page is stored.
    #[tracing::instrument(name = "db.records.store_page", skip_all, fields(rows = page.records.len()))]
    pub async fn store_walked_page(
        &self,
        dataset: &str,
        page: WalkedPage<'_>,
        seen_at: Timestamp,
        writer: Writer<'_>,
    ) -> Result<PageChanges, Error> {
        let mut transaction = self.content.write().await?;
        let mut changes = PageChanges::default();
        let records = page.records.iter().map(|(record, _)| record);
        let others = page.raw.values().flat_map(|raw| &raw.tells_of);
        let others = others.map(String::as_str);
        let away = purge::kept_away(self, &mut transaction, dataset, records, others).await?;
        let mut kept = raw::Keeper::new(page.raw, away.told_of(), seen_at, writer.stored_at);
        for (record, observation) in page.records {
            if away.has(record) {
                changes.purged += 1;
                continue;
            }
            let nameless = away.without_person(record);
            let of = nameless.as_ref().unwrap_or(record);
            let stored = store_record(&mut transaction, dataset, of, seen_at, writer).await?;
            match stored.change {
                Change::New => changes.new += 1,
                Change::Changed => changes.changed += 1,
                Change::None => {}
            }
            // What was sent names who is to be forgotten.
            if stored.is_first_sight && nameless.is_none() {
                kept.keep(
                    &mut transaction,
                    dataset,
                    &record.id,
                    stored.change == Change::New,
                )
                .await?;
            }
            if let Some(observation) = observation {
                changes.observations +=
                    observations::insert(&mut transaction, dataset, observation, writer).await?;
            }
        }
        progress::add(
            &mut transaction,
            writer,
            changes.new + changes.changed,
            page.bytes,
        )
        .await?;
        if let Some(read_to) = page.read_to {
            file_cursors::note(&mut transaction, dataset, seen_at, read_to).await?;
            progress::note_counted(&mut transaction, writer, read_to.counted).await?;
        }
        self.content.commit(transaction, "content").await?;
        Ok(changes)
    }

    /// By community: everything published up to this moment is known.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn watermarks(&self, dataset: &str) -> Result<BTreeMap<String, Timestamp>, Error> {
        let rows = sqlx::query!(
            "SELECT community, seen_to FROM watermarks WHERE dataset = ?",
            dataset
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|r| (r.community, Timestamp::from_millis(r.seen_to)))
            .collect())
    }

    /// All records of a data set that were published and seen by `as_of`, by creation time and
    /// id; those without a time first.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    #[tracing::instrument(name = "db.records.list", skip_all)]
    pub async fn records(&self, dataset: &str, as_of: Timestamp) -> Result<Vec<Record>, Error> {
        let as_of = as_of.as_millis();
        let rows = sqlx::query_as!(
            RecordRow,
            "SELECT id, community, author, title, created_at, media, fields FROM records
             WHERE dataset = ?1 AND ifnull(created_at, ?2) <= ?2 AND observed_at <= ?2
             ORDER BY created_at, id",
            dataset,
            as_of,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter().map(Record::try_from).collect()
    }

    /// The data sets of the store with their number of records, by name.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn datasets(&self) -> Result<Vec<(String, u64)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT dataset, count(*) AS "rows!: i64" FROM records GROUP BY dataset ORDER BY dataset"#
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|r| (r.dataset, r.rows.unsigned_abs()))
            .collect())
    }

    /// Which of these ids were first stored by this run.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn ids_first_stored_by(
        &self,
        dataset: &str,
        run_id: &str,
    ) -> Result<HashSet<String>, Error> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM records WHERE dataset = ? AND run_id = ?",
            dataset,
            run_id
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(ids.into_iter().collect())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    New,
    Changed,
    None,
}

struct Stored {
    change: Change,
    /// Whether it was not seen at an earlier moment, in the source's time.
    is_first_sight: bool,
}

async fn store_record(
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    record: &Record,
    seen_at: Timestamp,
    writer: Writer<'_>,
) -> Result<Stored, Error> {
    let row = RecordRow::from(record);
    let (seen_at, stored_at) = (seen_at.as_millis(), writer.stored_at.as_millis());
    let inserted = sqlx::query!(
        "INSERT INTO records (dataset, id, community, author, title, created_at, media, fields,
                              observed_at, stored_at, run_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (dataset, id) DO NOTHING",
        dataset,
        row.id,
        row.community,
        row.author,
        row.title,
        row.created_at,
        row.media,
        row.fields,
        seen_at,
        stored_at,
        writer.run_id,
    )
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Stored {
            change: Change::New,
            is_first_sight: true,
        });
    }
    let seen_earlier = sqlx::query!(
        "UPDATE records SET observed_at = ?3 WHERE dataset = ?1 AND id = ?2 AND observed_at > ?3",
        dataset,
        row.id,
        seen_at,
    )
    .execute(&mut **transaction)
    .await?;
    let updated = sqlx::query!(
        "UPDATE records SET community = ?3, author = ?4, title = ?5, created_at = ?6, media = ?7,
                            fields = ?8, stored_at = ?9
         WHERE dataset = ?1 AND id = ?2
           AND (community IS NOT ?3 OR author IS NOT ?4 OR title IS NOT ?5
                OR created_at IS NOT ?6 OR media IS NOT ?7 OR fields IS NOT ?8)",
        dataset,
        row.id,
        row.community,
        row.author,
        row.title,
        row.created_at,
        row.media,
        row.fields,
        stored_at,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(Stored {
        change: if updated.rows_affected() == 1 {
            Change::Changed
        } else {
            Change::None
        },
        is_first_sight: seen_earlier.rows_affected() == 1,
    })
}

/// A row of `records` as it is stored.
pub(super) struct RecordRow {
    pub(super) id: String,
    pub(super) community: Option<String>,
    pub(super) author: Option<String>,
    pub(super) title: Option<String>,
    pub(super) created_at: Option<i64>,
    pub(super) media: String,
    pub(super) fields: String,
}

impl From<&Record> for RecordRow {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            community: record.community.clone(),
            author: record.author.clone(),
            title: record.title.clone(),
            created_at: record.created_at.map(Timestamp::as_millis),
            media: serde_json::json!(record.media).to_string(),
            fields: Value::Object(record.fields.clone()).to_string(),
        }
    }
}

impl TryFrom<RecordRow> for Record {
    type Error = Error;

    fn try_from(row: RecordRow) -> Result<Self, Error> {
        let bad = |column, error: serde_json::Error| Error::Inconsistent {
            table: "records",
            column,
            row: row.id.clone(),
            message: error.to_string(),
        };
        let media: Vec<MediaLocation> =
            serde_json::from_str(&row.media).map_err(|e| bad("media", e))?;
        let fields = serde_json::from_str(&row.fields).map_err(|e| bad("fields", e))?;
        Ok(Self {
            id: row.id,
            community: row.community,
            author: row.author,
            title: row.title,
            created_at: row.created_at.map(Timestamp::from_millis),
            media,
            fields,
        })
    }
}
