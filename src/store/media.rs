//! Images: what is stored, and what became of each place of one.

use std::collections::HashMap;

use sqlx::{Sqlite, Transaction};

use super::{Error, Store, Writer, hashes, progress};
use crate::{
    clock::Timestamp,
    corpus::{ContentHash, Look, MediaInfo, MediaOutcome},
};

/// What is known of a place of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceState {
    /// The image is stored.
    Stored(MediaInfo),
    /// It cannot be had, for this reason; trying again is useless.
    Refused(String),
    /// It could not be had when it was last tried.
    Unavailable {
        /// Why.
        reason: String,
        /// How often in a row it was tried; 0 where nobody was asked.
        tries: u32,
        /// When it was last tried.
        tried_at: Timestamp,
    },
}

impl Store {
    /// What is known of these places; a place that was never tried is left out.
    ///
    /// # Errors
    ///
    /// Where the database fails or a row cannot be read.
    pub async fn media_places(
        &self,
        places: &[String],
    ) -> Result<HashMap<String, PlaceState>, Error> {
        let wanted = serde_json::json!(places).to_string();
        let rows = sqlx::query!(
            r#"SELECT place, state, reason, tries, tried_at, media_places.content,
                      bytes AS "bytes?", format AS "format?", width AS "width?",
                      height AS "height?"
               FROM media_places LEFT JOIN media ON media.content = media_places.content
               WHERE place IN (SELECT value FROM json_each(?))"#,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let bad = |message: &str| Error::Inconsistent {
                    table: "media_places",
                    column: "content",
                    row: row.place.clone(),
                    message: message.to_owned(),
                };
                let reason = row.reason.clone().unwrap_or_default();
                let state = match row.state.as_str() {
                    "refused" => PlaceState::Refused(reason),
                    "unavailable" => PlaceState::Unavailable {
                        reason,
                        tries: u32::try_from(row.tries).unwrap_or(u32::MAX),
                        tried_at: Timestamp::from_millis(row.tried_at),
                    },
                    _ => {
                        let content = row.content.as_deref().and_then(ContentHash::from_bytes);
                        let (Some(content), Some(bytes), Some(format), Some(width), Some(height)) =
                            (content, row.bytes, row.format.clone(), row.width, row.height)
                        else {
                            return Err(bad("a stored place without its image"));
                        };
                        PlaceState::Stored(MediaInfo {
                            content,
                            bytes: bytes.unsigned_abs(),
                            format,
                            width: u32::try_from(width).map_err(|_| bad("width"))?,
                            height: u32::try_from(height).map_err(|_| bad("height"))?,
                        })
                    }
                };
                Ok((row.place.clone(), state))
            })
            .collect()
    }

    /// Stores what became of a batch of places, in one transaction, and how images of it look. The
    /// images' files must be durable already.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing of the batch is stored.
    #[tracing::instrument(name = "db.media.store_outcomes", skip_all, fields(rows = batch.len()))]
    pub async fn store_media_outcomes(
        &self,
        batch: &[(String, MediaOutcome)],
        looks: &[(ContentHash, Option<Look>)],
        writer: Writer<'_>,
    ) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        let (mut stored, mut bytes) = (0, 0);
        for (place, outcome) in batch {
            if let MediaOutcome::Stored(info) = outcome {
                stored += 1;
                bytes += info.bytes;
                store_info(&mut transaction, info, writer).await?;
            }
            store_place(&mut transaction, place, outcome, writer).await?;
        }
        store_looks(&mut transaction, looks).await?;
        progress::add(&mut transaction, writer, stored, bytes).await?;
        self.content.commit(transaction, "content").await?;
        Ok(())
    }

    /// Images at which nobody has looked how they look, at most `limit`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn media_not_looked_at(&self, limit: u32) -> Result<Vec<MediaInfo>, Error> {
        let rows = sqlx::query!(
            "SELECT content, bytes, format, width, height FROM media
             WHERE looked = 0 ORDER BY content LIMIT ?",
            limit,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let side = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
                Ok(MediaInfo {
                    content: hashes::read("media", &row.content)?,
                    bytes: row.bytes.unsigned_abs(),
                    format: row.format,
                    width: side(row.width),
                    height: side(row.height),
                })
            })
            .collect()
    }

    /// Notes how images look; none that they look like nothing.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing is noted.
    pub async fn note_looks(&self, looks: &[(ContentHash, Option<Look>)]) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        store_looks(&mut transaction, looks).await?;
        self.content.commit(transaction, "content").await
    }

    /// How these images look, by content; those at which nobody has looked, and those that look like
    /// nothing, are left out.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn looks(
        &self,
        contents: &[ContentHash],
    ) -> Result<HashMap<ContentHash, Look>, Error> {
        let wanted = hashes::to_json(contents);
        let rows = sqlx::query!(
            r#"SELECT content, look AS "look!" FROM media
               WHERE look IS NOT NULL AND content IN (SELECT unhex(value) FROM json_each(?))"#,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let content = hashes::read("media", &row.content)?;
                Ok((content, Look(row.look.cast_unsigned())))
            })
            .collect()
    }

    /// What is known of these images, by content; unknown ones are left out.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn media_infos(
        &self,
        contents: &[ContentHash],
    ) -> Result<HashMap<ContentHash, MediaInfo>, Error> {
        let wanted = hashes::to_json(contents);
        let rows = sqlx::query!(
            "SELECT content, bytes, format, width, height FROM media
             WHERE content IN (SELECT unhex(value) FROM json_each(?))",
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let content = hashes::read("media", &row.content)?;
                let side = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
                let info = MediaInfo {
                    content,
                    bytes: row.bytes.unsigned_abs(),
                    format: row.format,
                    width: side(row.width),
                    height: side(row.height),
                };
                Ok((content, info))
            })
            .collect()
    }

    /// The images that were stored before a moment and whose hash comes after `after`, by hash, at
    /// most `limit`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.media.older", skip_all)]
    pub async fn media_older(
        &self,
        before: Timestamp,
        after: Option<ContentHash>,
        limit: u32,
    ) -> Result<Vec<MediaInfo>, Error> {
        let before = before.as_millis();
        let after: &[u8] = after.as_ref().map_or(&[], |after| after.as_bytes());
        let rows = sqlx::query!(
            "SELECT content, bytes, format, width, height FROM media
             WHERE content > ? AND stored_at < ? ORDER BY content LIMIT ?",
            after,
            before,
            limit,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let side = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
                Ok(MediaInfo {
                    content: hashes::read("media", &row.content)?,
                    bytes: row.bytes.unsigned_abs(),
                    format: row.format,
                    width: side(row.width),
                    height: side(row.height),
                })
            })
            .collect()
    }
}

async fn store_looks(
    transaction: &mut Transaction<'static, Sqlite>,
    looks: &[(ContentHash, Option<Look>)],
) -> Result<(), Error> {
    for (content, look) in looks {
        let content = content.as_bytes().as_slice();
        let look = look.map(|look| look.0.cast_signed());
        sqlx::query!(
            "UPDATE media SET look = ?, looked = 1 WHERE content = ?",
            look,
            content,
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn store_info(
    transaction: &mut Transaction<'static, Sqlite>,
    info: &MediaInfo,
    writer: Writer<'_>,
) -> Result<(), Error> {
    let content = info.content.as_bytes().as_slice();
    let bytes = i64::try_from(info.bytes).unwrap_or(i64::MAX);
    let stored_at = writer.stored_at.as_millis();
    sqlx::query!(
        "INSERT INTO media (content, bytes, format, width, height, refs, stored_at)
         VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT (content) DO NOTHING",
        content,
        bytes,
        info.format,
        info.width,
        info.height,
        stored_at,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn store_place(
    transaction: &mut Transaction<'static, Sqlite>,
    place: &str,
    outcome: &MediaOutcome,
    writer: Writer<'_>,
) -> Result<(), Error> {
    let (state, reason, content) = match outcome {
        MediaOutcome::Stored(info) => ("stored", None, Some(info.content.as_bytes().as_slice())),
        MediaOutcome::Refused(reason) => ("refused", Some(*reason), None),
        MediaOutcome::Unavailable(reason) => ("unavailable", Some(*reason), None),
    };
    let tried_at = writer.stored_at.as_millis();
    let was_asked = outcome.was_asked_in_vain();
    // The place lets go of the image that it held and takes the new one.
    sqlx::query!(
        "UPDATE media SET refs = refs - 1
         WHERE content = (SELECT content FROM media_places WHERE place = ?)",
        place,
    )
    .execute(&mut **transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO media_places (place, state, reason, content, tried_at, run_id, tries)
         VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (place) DO UPDATE SET
             state = excluded.state, reason = excluded.reason, content = excluded.content,
             tried_at = excluded.tried_at, run_id = excluded.run_id,
             tries = iif(excluded.tries = 0, 0, tries + 1)",
        place,
        state,
        reason,
        content,
        tried_at,
        writer.run_id,
        was_asked,
    )
    .execute(&mut **transaction)
    .await?;
    sqlx::query!(
        "UPDATE media SET refs = refs + 1 WHERE content = ?",
        content
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tries_in_vain_are_counted_until_one_ends_otherwise() {
        let store = Store::in_memory().await.unwrap();
        let place = ["https://x.example/a.png".to_owned()];
        let look = async |outcome: MediaOutcome, at: i64| {
            let writer = Writer {
                run_id: "r",
                task_id: "t",
                stored_at: Timestamp::from_millis(at),
            };
            let batch = [(place[0].clone(), outcome)];
            let stored = store.store_media_outcomes(&batch, &[], writer).await;
            stored.unwrap();
            let known = store.media_places(&place).await.unwrap();
            known[&place[0]].clone()
        };
        let unavailable = |reason: &str, tries, at| PlaceState::Unavailable {
            reason: reason.to_owned(),
            tries,
            tried_at: Timestamp::from_millis(at),
        };
        let timeout = MediaOutcome::Unavailable("timeout");
        for at in 1..4 {
            let tries = u32::try_from(at).unwrap();
            let state = look(timeout.clone(), at).await;
            assert_eq!(state, unavailable("timeout", tries, at));
        }
        let unasked = MediaOutcome::Unavailable(MediaOutcome::HOST_NOT_ALLOWED);
        let state = look(unasked, 4).await;
        assert_eq!(state, unavailable(MediaOutcome::HOST_NOT_ALLOWED, 0, 4));
        assert_eq!(look(timeout, 5).await, unavailable("timeout", 1, 5));
        let gone = PlaceState::Refused("gone".to_owned());
        assert_eq!(look(MediaOutcome::Refused("gone"), 6).await, gone);
    }
}
