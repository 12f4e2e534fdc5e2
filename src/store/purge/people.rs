//! People who are to be nowhere any more: what they published stays away, or their names do.

use std::collections::HashSet;

use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{OF_A_PERSON, PurgeKey, family, key::known};
use crate::{
    clock::Timestamp,
    corpus::Record,
    store::{Error, Store},
};

/// What is to be done with what a person publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fate {
    /// It is not stored.
    Purged,
    /// It is stored without the person: the account is gone at the source.
    Forgotten,
}

/// What of a page must not be stored.
#[derive(Debug, Default)]
pub(in crate::store) struct KeptAway<'a> {
    /// Ids of records.
    ids: HashSet<&'a str>,
    /// People by name and by account.
    people: HashSet<&'a str>,
    /// Ids and people of other records, which must not be named.
    told_of: HashSet<&'a str>,
}

impl Store {
    /// Notes that nothing by this author is to be stored from now on, under the name, in whatever
    /// case, or under an account by which a record is known.
    ///
    /// # Errors
    ///
    /// Where the database or the disk refuses; then nothing is noted.
    #[tracing::instrument(name = "db.purge.note_author", skip_all)]
    pub async fn note_author(
        &self,
        dataset: &str,
        author: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        let rows = sqlx::query!(
            r#"SELECT DISTINCT dataset, fields ->> 'author_fullname' AS "account!: String"
               FROM records
               WHERE author = ? COLLATE NOCASE AND fields ->> 'author_fullname' IS NOT NULL"#,
            author,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let accounts = rows
            .iter()
            .filter(|row| family(&row.dataset) == family(dataset));
        let people: Vec<&str> = accounts
            .map(|row| row.account.as_str())
            .chain([author])
            .collect();
        remember(
            &self.purge_key,
            &mut transaction,
            Fate::Purged,
            dataset,
            &people,
            now,
        )
        .await?;
        self.content.commit(transaction, "purge_note").await?;
        self.sync_content().await
    }
}

impl Store {
    /// Whether all that this author publishes stays away.
    ///
    /// # Errors
    ///
    /// Where the database or the key cannot be read.
    pub async fn is_purged_author(&self, dataset: &str, author: &str) -> Result<bool, Error> {
        let mut connection = self.content.read().acquire().await?;
        if !any(&mut connection).await? {
            return Ok(false);
        }
        let hash = self.purge_key.hash_person(Fate::Purged, dataset, author)?;
        Ok(!known(&mut connection, &[(author, hash)]).await?.is_empty())
    }
}

/// Keeps hashes of people, by name and by account.
pub(in crate::store) async fn remember(
    key: &PurgeKey,
    transaction: &mut Transaction<'static, Sqlite>,
    fate: Fate,
    dataset: &str,
    people: &[&str],
    now: Timestamp,
) -> Result<(), Error> {
    key.make(any(transaction).await?)?;
    let now = now.as_millis();
    for person in people {
        let hash = key.hash_person(fate, dataset, person)?;
        let hash = hash.as_slice();
        sqlx::query!(
            "INSERT INTO purged (id_hash, purged_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
            hash,
            now,
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// Who published a record, by name and by account.
fn people_of(record: &Record) -> impl Iterator<Item = &str> {
    let account = record.fields.get("author_fullname");
    let account = account.and_then(serde_json::Value::as_str);
    record.author.as_deref().into_iter().chain(account)
}

/// What of these records must not be stored, and which of `others` must not be named: ids and
/// people of records that they repeat.
pub(in crate::store) async fn kept_away<'a>(
    store: &Store,
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    records: impl Iterator<Item = &'a Record> + Send,
    others: impl Iterator<Item = &'a str> + Send,
) -> Result<KeptAway<'a>, Error> {
    let mut away = KeptAway::default();
    if !any(transaction).await? {
        return Ok(away);
    }
    let key = &store.purge_key;
    let (mut ids, mut people) = (Vec::new(), Vec::new());
    for record in records {
        ids.push((record.id.as_str(), key.hash(dataset, &record.id)?));
        for person in people_of(record) {
            let purged = key.hash_person(Fate::Purged, dataset, person)?;
            ids.push((record.id.as_str(), purged));
            let forgotten = key.hash_person(Fate::Forgotten, dataset, person)?;
            people.push((person, forgotten));
        }
    }
    away.ids = known(transaction, &ids).await?;
    away.people = known(transaction, &people).await?;
    let mut told_of = Vec::new();
    for name in others {
        told_of.push((name, key.hash(dataset, name)?));
        for fate in [Fate::Purged, Fate::Forgotten] {
            told_of.push((name, key.hash_person(fate, dataset, name)?));
        }
    }
    away.told_of = known(transaction, &told_of).await?;
    Ok(away)
}

/// Which of these people, by name or account, are to be nowhere.
pub(in crate::store) async fn kept_away_people<'a>(
    store: &Store,
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    people: &[&'a str],
) -> Result<HashSet<&'a str>, Error> {
    if !any(transaction).await? {
        return Ok(HashSet::new());
    }
    let mut hashes = Vec::new();
    for &person in people {
        for fate in [Fate::Purged, Fate::Forgotten] {
            hashes.push((person, store.purge_key.hash_person(fate, dataset, person)?));
        }
    }
    known(transaction, &hashes).await
}

/// Whether anything is to stay away.
pub(super) async fn any(connection: &mut SqliteConnection) -> Result<bool, Error> {
    let any = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM purged) AS "any!: bool""#)
        .fetch_one(connection)
        .await?;
    Ok(any)
}

impl<'a> KeptAway<'a> {
    /// Ids and people that must not be named.
    pub(in crate::store) const fn told_of(&self) -> &HashSet<&'a str> {
        &self.told_of
    }

    /// Whether the record must not be stored.
    pub(in crate::store) fn has(&self, record: &Record) -> bool {
        self.ids.contains(record.id.as_str())
    }

    /// The record without who published it, where that person is to be forgotten.
    pub(in crate::store) fn without_person(&self, record: &Record) -> Option<Record> {
        let is_forgotten = people_of(record).any(|person| self.people.contains(person));
        is_forgotten.then(|| {
            let mut record = record.clone();
            record.author = None;
            for name in OF_A_PERSON {
                record.fields.remove(name);
            }
            record
        })
    }
}
