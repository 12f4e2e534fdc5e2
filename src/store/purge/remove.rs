//! The rows of noted records go, and those that only they had a use for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};

use super::note::{NotedPurge, Traces, noted};
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, MediaLocation},
    store::{Error, Store, hashes, raw},
};

/// How many rows were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Records.
    pub records: u64,
    /// Readings of their numbers.
    pub observations: u64,
    /// What was sent of them, and of others that have their words.
    pub raw: u64,
    /// Predictions for them.
    pub predictions: u64,
    /// What was known of authors that nothing else is by.
    pub author_readings: u64,
    /// Places of images that no other record names.
    pub media_places: u64,
    /// Images that no other place holds.
    pub images: u64,
    /// What captioners wrote of these.
    pub captions: u64,
    /// Vectors of all these contents.
    pub embeddings: u64,
}

/// A transaction, and the rows that it has removed.
struct Removal {
    transaction: Transaction<'static, Sqlite>,
    removed: Removed,
}

impl Store {
    /// Removes the rows of all noted records, in one transaction, and adds to their notes what they
    /// alone had. Returns what was removed and the notes as they are now, less what others have too:
    /// it is theirs wherever it is found. What is noted later is for the next one.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing is removed.
    #[tracing::instrument(name = "db.purge.remove", skip_all)]
    pub async fn remove_noted(&self, now: Timestamp) -> Result<(Removed, Vec<NotedPurge>), Error> {
        let mut transaction = self.content.write().await?;
        let mut noted = noted(&mut transaction).await?;
        let mut removal = Removal {
            transaction,
            removed: Removed::default(),
        };
        removal.records(&noted).await?;
        let mut held = removal.held(&noted).await?;
        removal.people(&noted, &held).await?;
        removal.contents(&mut noted, &mut held).await?;
        for purge in &mut noted {
            let removed_at = *purge.removed_at.get_or_insert(now);
            let removed_at = removed_at.as_millis();
            let traces = json!(purge.traces).to_string();
            sqlx::query!(
                "UPDATE purges SET traces = ?, removed_at = ? WHERE dataset = ? AND record_id = ?",
                traces,
                removed_at,
                purge.key.dataset,
                purge.key.id,
            )
            .execute(&mut *removal.transaction)
            .await?;
        }
        self.content.commit(removal.transaction, "purge").await?;
        for purge in &mut noted {
            held.take_from(&mut purge.traces);
        }
        Ok((removal.removed, noted))
    }
}

/// What of the noted records' traces others have too.
#[derive(Debug, Default)]
struct Held {
    texts: HashSet<String>,
    places: HashSet<String>,
    /// Authors by name and by account.
    people: HashSet<String>,
}

impl Held {
    /// Takes what others have from the traces of a record that is gone.
    fn take_from(&self, traces: &mut Traces) {
        for name in [&mut traces.author, &mut traces.account] {
            *name = name.take().filter(|name| !self.people.contains(name));
        }
        traces.texts.retain(|text| !self.texts.contains(text));
        traces.places.retain(|place| !self.places.contains(place));
    }
}

impl Removal {
    async fn records(&mut self, noted: &[NotedPurge]) -> Result<(), Error> {
        let mut by_dataset: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for NotedPurge { key, .. } in noted.iter().filter(|purge| !purge.traces.is_person) {
            by_dataset.entry(&key.dataset).or_default().push(&key.id);
        }
        for (dataset, ids) in by_dataset {
            let ids = json!(ids).to_string();
            self.removed.raw += raw::forget(&mut self.transaction, dataset, &ids).await?;
            self.removed.observations += sqlx::query!(
                "DELETE FROM observations
                 WHERE dataset = ? AND record_id IN (SELECT value FROM json_each(?))",
                dataset,
                ids,
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
            self.removed.predictions += sqlx::query!(
                "DELETE FROM predictions
                 WHERE dataset = ? AND record_id IN (SELECT value FROM json_each(?))",
                dataset,
                ids,
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
            self.removed.records += sqlx::query!(
                "DELETE FROM records
                 WHERE dataset = ? AND id IN (SELECT value FROM json_each(?))",
                dataset,
                ids,
            )
            .execute(&mut *self.transaction)
            .await?
            .rows_affected();
        }
        Ok(())
    }

    /// Reads the records that are left once, for what they share with those that are gone.
    async fn held(&mut self, noted: &[NotedPurge]) -> Result<Held, Error> {
        let traces = || noted.iter().map(|purge| &purge.traces);
        let texts = json_of(traces().flat_map(|traces| &traces.texts));
        let places = json_of(traces().flat_map(|traces| &traces.places));
        let authors = json_of(traces().filter_map(|traces| traces.author.as_ref()));
        let accounts = json_of(traces().filter_map(|traces| traces.account.as_ref()));
        let rows = sqlx::query!(
            r#"SELECT title, author, media, fields ->> 'author_fullname' AS "account: String"
               FROM records
               WHERE title IN (SELECT value FROM json_each(?1))
                  OR author IN (SELECT value FROM json_each(?2))
                  OR fields ->> 'author_fullname' IN (SELECT value FROM json_each(?3))
                  OR EXISTS (SELECT 1 FROM json_each(media) AS place
                             WHERE ifnull(place.value ->> 'url', place.value ->> 'file')
                                 IN (SELECT value FROM json_each(?4)))"#,
            texts,
            authors,
            accounts,
            places,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        let mut held = Held::default();
        for row in rows {
            held.texts.extend(row.title);
            held.people.extend(row.author);
            held.people.extend(row.account);
            let media: Vec<MediaLocation> = serde_json::from_str(&row.media).unwrap_or_default();
            held.places
                .extend(media.into_iter().map(|location| match location {
                    MediaLocation::Url(url) => url,
                    MediaLocation::File(path) => path.display().to_string(),
                }));
        }
        Ok(held)
    }

    async fn people(&mut self, noted: &[NotedPurge], held: &Held) -> Result<(), Error> {
        let gone = gone_people(noted, held);
        let told_of = json_of(
            gone.iter()
                .copied()
                .chain(noted.iter().map(|purge| &purge.key.id)),
        );
        let gone = json_of(gone.into_iter());
        self.removed.raw += raw::forget_about(&mut self.transaction, &told_of).await?;
        self.removed.author_readings += sqlx::query!(
            "DELETE FROM author_readings WHERE author IN (SELECT value FROM json_each(?1))
                OR name IN (SELECT value FROM json_each(?1))",
            gone,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        Ok(())
    }

    /// Images, captions and vectors; those that nobody else has are added to the traces.
    async fn contents(&mut self, noted: &mut [NotedPurge], held: &mut Held) -> Result<(), Error> {
        let found = self.places(noted, held).await?;
        for NotedPurge { traces, .. } in noted.iter_mut() {
            let images = traces.places.iter().filter_map(|place| found.get(place));
            traces.images.extend(images.copied());
        }
        let all: Vec<ContentHash> = all_of(noted, |traces| &traces.images);
        let listed = hashes::to_json(&all);
        let kept = sqlx::query_scalar!(
            "SELECT content FROM media
             WHERE refs > 0 AND content IN (SELECT unhex(value) FROM json_each(?))",
            listed,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        let kept: HashSet<ContentHash> = kept
            .iter()
            .map(|content| hashes::read("media", content))
            .collect::<Result<_, _>>()?;
        for NotedPurge { traces, .. } in noted.iter_mut() {
            traces.images.retain(|image| !kept.contains(image));
        }
        self.captions(noted).await?;
        let images = hashes::to_json(&all_of(noted, |traces| &traces.images));
        self.removed.images += sqlx::query!(
            "DELETE FROM media WHERE content IN (SELECT unhex(value) FROM json_each(?))",
            images,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        self.vectors(noted, held).await
    }

    /// Removes the places that no other record names; which image each held.
    async fn places(
        &mut self,
        noted: &[NotedPurge],
        held: &Held,
    ) -> Result<BTreeMap<String, ContentHash>, Error> {
        let gone = noted
            .iter()
            .flat_map(|purge| &purge.traces.places)
            .filter(|place| !held.places.contains(*place));
        let gone = json_of(gone);
        let rows = sqlx::query!(
            r#"SELECT place, content AS "content!" FROM media_places
               WHERE content IS NOT NULL AND place IN (SELECT value FROM json_each(?))"#,
            gone,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        let mut found = BTreeMap::new();
        for row in rows {
            sqlx::query!(
                "UPDATE media SET refs = refs - 1 WHERE content = ?",
                row.content
            )
            .execute(&mut *self.transaction)
            .await?;
            found.insert(row.place, hashes::read("media_places", &row.content)?);
        }
        self.removed.media_places += sqlx::query!(
            "DELETE FROM media_places WHERE place IN (SELECT value FROM json_each(?))",
            gone,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        Ok(found)
    }

    async fn captions(&mut self, noted: &mut [NotedPurge]) -> Result<(), Error> {
        let images = hashes::to_json(&all_of(noted, |traces| &traces.images));
        let rows = sqlx::query!(
            "SELECT content, caption FROM captions
             WHERE content IN (SELECT unhex(value) FROM json_each(?))",
            images,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        let mut written: BTreeMap<ContentHash, Vec<String>> = BTreeMap::new();
        for row in rows {
            let image = hashes::read("captions", &row.content)?;
            written.entry(image).or_default().push(row.caption);
        }
        for NotedPurge { traces, .. } in noted.iter_mut() {
            for image in &traces.images {
                for caption in written.get(image).into_iter().flatten() {
                    traces.pairs.insert(image.with(caption));
                    if !caption.is_empty() {
                        traces.texts.insert(caption.clone());
                    }
                }
            }
        }
        self.removed.captions += sqlx::query!(
            "DELETE FROM captions WHERE content IN (SELECT unhex(value) FROM json_each(?))",
            images,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        Ok(())
    }

    async fn vectors(&mut self, noted: &[NotedPurge], held: &mut Held) -> Result<(), Error> {
        let texts: BTreeSet<&String> = noted
            .iter()
            .flat_map(|purge| &purge.traces.texts)
            .filter(|text| !held.texts.contains(*text))
            .collect();
        // What was written of an image that is gone may be the title or the caption of another.
        let listed = json!(texts).to_string();
        let shared: HashSet<String> = sqlx::query_scalar!(
            r#"SELECT caption AS "text!: String" FROM captions
               WHERE caption IN (SELECT value FROM json_each(?1))
               UNION SELECT title FROM records
               WHERE title IN (SELECT value FROM json_each(?1))"#,
            listed,
        )
        .fetch_all(&mut *self.transaction)
        .await?
        .into_iter()
        .collect();
        let mut gone: Vec<ContentHash> = texts
            .into_iter()
            .filter(|text| !shared.contains(*text))
            .map(ContentHash::of)
            .collect();
        held.texts.extend(shared);
        gone.extend(all_of(noted, |traces| &traces.images));
        gone.extend(all_of(noted, |traces| &traces.pairs));
        let gone = hashes::to_json(&gone);
        self.removed.embeddings += sqlx::query!(
            "DELETE FROM embeddings
             WHERE fingerprint IN (SELECT DISTINCT fingerprint FROM embeddings)
               AND content IN (SELECT unhex(value) FROM json_each(?))",
            gone,
        )
        .execute(&mut *self.transaction)
        .await?
        .rows_affected();
        Ok(())
    }
}

/// Authors, by name and by account, by whom nothing is left.
fn gone_people<'a>(noted: &'a [NotedPurge], held: &Held) -> Vec<&'a String> {
    noted
        .iter()
        .flat_map(|purge| purge.traces.author.iter().chain(&purge.traces.account))
        .filter(|name| !held.people.contains(*name))
        .collect()
}

fn all_of(
    noted: &[NotedPurge],
    which: impl Fn(&Traces) -> &BTreeSet<ContentHash>,
) -> Vec<ContentHash> {
    let all: BTreeSet<ContentHash> = noted
        .iter()
        .flat_map(|purge| which(&purge.traces))
        .copied()
        .collect();
    all.into_iter().collect()
}

fn json_of<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    Value::from(
        texts
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect::<Vec<_>>(),
    )
    .to_string()
}
