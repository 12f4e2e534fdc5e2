//! How records of a live source stood there when it was last asked about them.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{Error, Store, purge};
use crate::clock::Timestamp;

/// A record that is to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueCheck {
    /// The record's id.
    pub id: String,
    /// Since when it is absent from the source's answers.
    pub absent_since: Option<Timestamp>,
}

/// What an answer told of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// They are there.
    pub there: Vec<String>,
    /// They are absent or deleted there. What was taken away before stays kept out.
    pub absent: Vec<String>,
    /// They were taken away there, for this reason, and are kept out of training here.
    pub removed: BTreeMap<String, String>,
    /// They are there, and who published them is gone.
    pub authorless: Vec<String>,
}

impl Store {
    /// The records of a data set that were last asked about, or first stored, longer ago than
    /// `cycle`, and those absent for `confirm`; longest ago first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.standings.due", skip_all)]
    pub async fn due_checks(
        &self,
        dataset: &str,
        now: Timestamp,
        cycle: Duration,
        confirm: Duration,
    ) -> Result<Vec<DueCheck>, Error> {
        let (cycle, confirm) = ((now - cycle).as_millis(), (now - confirm).as_millis());
        let rows = sqlx::query!(
            r#"SELECT id, absent_since,
                   ifnull(checked_at, records.stored_at) AS "asked_at!: i64"
               FROM records LEFT JOIN standings
                   ON standings.dataset = records.dataset AND record_id = id
               WHERE records.dataset = ?1
                 AND (ifnull(checked_at, records.stored_at) <= ?2 OR absent_since <= ?3)
               ORDER BY 3, id"#,
            dataset,
            cycle,
            confirm,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| DueCheck {
                id: row.id,
                absent_since: row.absent_since.map(Timestamp::from_millis),
            })
            .collect())
    }

    /// Lets these records be asked about next, whenever they were asked about last: something of
    /// them is gone.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn check_soon(&self, dataset: &str, ids: &[&str]) -> Result<(), Error> {
        let ids = serde_json::json!(ids).to_string();
        let mut transaction = self.content.write().await?;
        sqlx::query!(
            "INSERT INTO standings (dataset, record_id, checked_at)
             SELECT dataset, id, 0 FROM records
             WHERE dataset = ?1 AND id IN (SELECT value FROM json_each(?2))
             ON CONFLICT DO UPDATE SET checked_at = 0",
            dataset,
            ids,
        )
        .execute(&mut *transaction)
        .await?;
        self.content.commit(transaction, "content").await
    }

    /// Records that were there when they were last asked about, the latest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn lately_there(&self, dataset: &str, limit: u32) -> Result<Vec<String>, Error> {
        Ok(sqlx::query_scalar!(
            "SELECT record_id FROM standings WHERE dataset = ? AND absent_since IS NULL
               AND checked_at > 0
             ORDER BY checked_at DESC, record_id LIMIT ?",
            dataset,
            limit,
        )
        .fetch_all(self.content.read())
        .await?)
    }

    /// Keeps what an answer told, in one transaction. The author of an authorless record goes from
    /// all records of the family, with all that is known of the account; no dump brings the name
    /// back, and what else names it is noted to be purged.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing is kept.
    #[tracing::instrument(name = "db.standings.keep", skip_all)]
    pub async fn keep_checks(
        &self,
        dataset: &str,
        checked: &Checked,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        let there = checked.there.iter().map(|id| (id, None, None));
        let absent = checked.absent.iter().map(|id| (id, Some(now), None));
        let removed = checked.removed.iter();
        let removed = removed.map(|(id, reason)| (id, None, Some(reason.as_str())));
        for (id, absent_since, removed) in there.chain(absent).chain(removed) {
            let now = now.as_millis();
            let absent_since = absent_since.map(Timestamp::as_millis);
            // One that was purged meanwhile has no standing.
            sqlx::query!(
                "INSERT INTO standings (dataset, record_id, checked_at, absent_since, removed)
                 SELECT dataset, id, ?3, ?4, ?5 FROM records WHERE dataset = ?1 AND id = ?2
                 ON CONFLICT DO UPDATE SET checked_at = excluded.checked_at,
                     absent_since = iif(excluded.absent_since IS NULL, NULL,
                                        ifnull(absent_since, excluded.absent_since)),
                     removed = iif(excluded.absent_since IS NULL, excluded.removed, removed)",
                dataset,
                id,
                now,
                absent_since,
                removed,
            )
            .execute(&mut *transaction)
            .await?;
        }
        let key = &self.purge_key;
        purge::forget_authors(key, &mut transaction, dataset, &checked.authorless, now).await?;
        self.content.commit(transaction, "content").await
    }

    /// Which records were taken away at the source and are kept out of training.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn kept_out(&self, dataset: &str) -> Result<HashSet<String>, Error> {
        let ids = sqlx::query_scalar!(
            "SELECT record_id FROM standings WHERE dataset = ? AND removed IS NOT NULL",
            dataset
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(ids.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::{
        corpus::{AuthorReading, Record},
        store::Writer,
    };

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
    const HOUR: Duration = Duration::from_hours(1);

    async fn filled() -> Store {
        let store = Store::in_memory().await.unwrap();
        let record = |id: &str, author: &str| Record {
            id: id.to_owned(),
            community: None,
            author: Some(author.to_owned()),
            title: None,
            created_at: Some(START),
            media: Vec::new(),
            fields: Map::from_iter([("author_fullname".to_owned(), json!(format!("t2_{author}")))]),
        };
        let page = [("a", "ann"), ("b", "bob"), ("c", "bob")];
        let page = page.map(|(id, author)| (record(id, author), None));
        let writer = Writer {
            run_id: "r",
            task_id: "t",
            stored_at: START,
        };
        store
            .store_page("live", &page, START, 0, writer)
            .await
            .unwrap();
        store
    }

    async fn due(store: &Store, at: Timestamp) -> Vec<String> {
        let due = store.due_checks("live", at, 24 * HOUR, HOUR).await.unwrap();
        due.into_iter().map(|due| due.id).collect()
    }

    #[tokio::test]
    async fn each_record_is_due_once_a_cycle_and_an_absent_one_after_an_hour() {
        let store = filled().await;
        assert!(due(&store, START + 23 * HOUR).await.is_empty());
        let later = START + 24 * HOUR;
        assert_eq!(due(&store, later).await, ["a", "b", "c"]);
        let checked = Checked {
            there: vec!["b".to_owned()],
            absent: vec!["a".to_owned()],
            ..Checked::default()
        };
        store.keep_checks("live", &checked, later).await.unwrap();
        assert_eq!(store.lately_there("live", 9).await.unwrap(), ["b"]);
        assert_eq!(due(&store, later + HOUR / 2).await, ["c"]);
        let found = store
            .due_checks("live", later + HOUR, 24 * HOUR, HOUR)
            .await;
        let found = found.unwrap();
        let absent = found.iter().find(|due| due.id == "a").unwrap();
        assert_eq!(absent.absent_since, Some(later), "the first absence counts");
        // It was a fault of the server.
        let back = Checked {
            there: vec!["a".to_owned(), "c".to_owned()],
            ..Checked::default()
        };
        store
            .keep_checks("live", &back, later + HOUR)
            .await
            .unwrap();
        assert!(due(&store, later + 2 * HOUR).await.is_empty());
        // One of which something is gone is asked about at once, and is no witness until then.
        store.check_soon("live", &["c", "nobody"]).await.unwrap();
        assert_eq!(due(&store, later + 2 * HOUR).await, ["c"]);
        assert_eq!(store.lately_there("live", 9).await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn who_is_gone_is_forgotten_and_what_is_removed_is_kept_out() {
        let store = filled().await;
        let author = |name: &str| AuthorReading {
            id: format!("t2_{name}"),
            read_at: START,
            name: Some(name.to_owned()),
            created_at: None,
            link_karma: Some(1.0),
            comment_karma: None,
        };
        let authors = [author("ann"), author("bob")];
        store.put_people("live", &authors, &[]).await.unwrap();
        sqlx::raw_sql(
            "INSERT INTO raw VALUES ('live', 'a', 0, 0, x'28b52ffd00581100007b7d', NULL),
                                    ('live', 'c', 0, 0, x'28b52ffd00581100007b7d', NULL)",
        )
        .execute(store.content.writer())
        .await
        .unwrap();
        let checked = Checked {
            there: vec!["a".to_owned(), "b".to_owned()],
            authorless: vec!["a".to_owned(), "b".to_owned()],
            removed: BTreeMap::from([("c".to_owned(), "moderator".to_owned())]),
            ..Checked::default()
        };
        store.keep_checks("live", &checked, START).await.unwrap();
        let records = store.records("live", START).await.unwrap();
        let authors: Vec<_> = records
            .iter()
            .map(|record| record.author.as_deref())
            .collect();
        assert_eq!(authors, [None, None, None], "of each record by them");
        assert!(records[0].fields.is_empty());
        let known = async |id| store.author_at("live", id, START).await.unwrap().is_some();
        assert!(!known("t2_ann").await);
        assert!(!known("t2_bob").await);
        let noted = store.noted_purges().await.unwrap();
        let noted: Vec<_> = noted.iter().map(|purge| &*purge.key.id).collect();
        assert_eq!(noted, ["u/ann", "u/bob"]);
        assert_eq!(store.remove_noted(START).await.unwrap().0.records, 0);
        let mut sent = Vec::new();
        let visited = store.visit_raw("live", |raw| sent.push(raw.record_id));
        visited.await.unwrap();
        assert_eq!(sent, Vec::<String>::new());
        let out = store.kept_out("live").await.unwrap();
        assert_eq!(out, HashSet::from(["c".to_owned()]));
        // Missing in an answer it is still what it was; back again it is like all others.
        let missing = Checked {
            absent: vec!["c".to_owned()],
            ..Checked::default()
        };
        store.keep_checks("live", &missing, START).await.unwrap();
        assert_eq!(store.kept_out("live").await.unwrap(), out);
        let back = Checked {
            there: vec!["c".to_owned()],
            ..Checked::default()
        };
        store.keep_checks("live", &back, START).await.unwrap();
        assert!(store.kept_out("live").await.unwrap().is_empty());

        // A dump has the name still, in a case of its own, or the account alone.
        let dump = ["Ann", "eve"].map(|name| {
            let mut record = records[0].clone();
            record.id = format!("by {name}");
            record.author = Some(name.to_owned());
            (record, None)
        });
        let mut alone = records[0].clone();
        alone
            .fields
            .insert("author_fullname".to_owned(), json!("t2_ann"));
        let page = [&dump[..], &[(alone, None)]].concat();
        let writer = Writer {
            run_id: "r",
            task_id: "t",
            stored_at: START,
        };
        let stored = store.store_page("dump:d", &page, START, 0, writer).await;
        assert_eq!(stored.unwrap().purged, 0);
        let records = store.records("dump:d", START).await.unwrap();
        let mut authors: Vec<_> = records.iter().map(|r| r.author.as_deref()).collect();
        authors.sort_unstable();
        assert_eq!(authors, [None, None, Some("eve")]);
        assert!(records.iter().all(|record| record.fields.is_empty()));
        store
            .put_people("live", &[author("ann")], &[])
            .await
            .unwrap();
        assert!(!known("t2_ann").await);
    }
}
