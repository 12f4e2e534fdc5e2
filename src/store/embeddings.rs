//! Vectors and captions, by encoder and content.

use std::collections::{HashMap, HashSet};

use super::{Error, Store, Writer, hashes, progress};
use crate::corpus::{ContentHash, Fingerprint, Vector, VectorType};

/// What a captioner wrote of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCaption {
    /// The caption.
    pub caption: String,
    /// What else the captioner told: tags with scores, say.
    pub details: serde_json::Value,
}

impl Store {
    /// Which of these contents have a vector under this encoder.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn embedded(
        &self,
        encoder: Fingerprint,
        contents: &[ContentHash],
    ) -> Result<HashSet<ContentHash>, Error> {
        let (encoder, wanted) = (encoder.as_bytes().as_slice(), hashes::to_json(contents));
        let rows = sqlx::query_scalar!(
            "SELECT content FROM embeddings
             WHERE fingerprint = ? AND content IN (SELECT unhex(value) FROM json_each(?))",
            encoder,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|bytes| hashes::read("embeddings", &bytes))
            .collect()
    }

    /// The vectors of these contents under this encoder; those that lack one are left out.
    ///
    /// # Errors
    ///
    /// Where the database fails or a vector cannot be read.
    #[tracing::instrument(name = "db.embeddings.read", skip_all, fields(rows = contents.len()))]
    pub async fn embeddings(
        &self,
        encoder: Fingerprint,
        contents: &[ContentHash],
    ) -> Result<HashMap<ContentHash, Vector>, Error> {
        let (encoder, wanted) = (encoder.as_bytes().as_slice(), hashes::to_json(contents));
        let rows = sqlx::query!(
            "SELECT content, kind, vector FROM embeddings
             WHERE fingerprint = ? AND content IN (SELECT unhex(value) FROM json_each(?))",
            encoder,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let content = hashes::read("embeddings", &row.content)?;
                let kind = match row.kind.as_str() {
                    "f32" => VectorType::F32,
                    _ => VectorType::F16,
                };
                let vector =
                    Vector::from_bytes(row.vector, kind).ok_or_else(|| Error::Inconsistent {
                        table: "embeddings",
                        column: "vector",
                        row: content.to_string(),
                        message: "its length does not fit its kind".to_owned(),
                    })?;
                Ok((content, vector))
            })
            .collect()
    }

    /// Stores a batch of vectors in one transaction; an older vector of a content is replaced.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing of the batch is stored.
    #[tracing::instrument(name = "db.embeddings.store", skip_all, fields(rows = batch.len()))]
    pub async fn store_embeddings(
        &self,
        encoder: Fingerprint,
        batch: &[(ContentHash, Vector)],
        writer: Writer<'_>,
    ) -> Result<(), Error> {
        let encoder = encoder.as_bytes().as_slice();
        let computed_at = writer.stored_at.as_millis();
        let mut transaction = self.content.write().await?;
        // One statement for all: a call costs two changes of thread, which is more than a row.
        for alike in batch.chunk_by(|(_, one), (_, other)| one.is_like(other)) {
            let Some((_, first)) = alike.first() else {
                continue;
            };
            let contents: Vec<ContentHash> = alike.iter().map(|(content, _)| *content).collect();
            let contents = hashes::to_json(&contents);
            let (kind, length) = (first.kind().name(), first.as_bytes().len());
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let vectors: Vec<u8> = alike
                .iter()
                .flat_map(|(_, vector)| vector.as_bytes())
                .copied()
                .collect();
            sqlx::query!(
                "INSERT OR REPLACE INTO embeddings
                     (fingerprint, content, kind, vector, computed_at, run_id)
                 SELECT ?1, unhex(value), ?2, substr(?3, key * ?4 + 1, ?4), ?5, ?6
                 FROM json_each(?7)",
                encoder,
                kind,
                vectors,
                length,
                computed_at,
                writer.run_id,
                contents,
            )
            .execute(&mut *transaction)
            .await?;
        }
        progress::add(&mut transaction, writer, batch.len() as u64, 0).await?;
        self.content.commit(transaction, "content").await?;
        Ok(())
    }

    /// The captions of these images under this captioner; those that lack one are left out.
    ///
    /// # Errors
    ///
    /// Where the database fails or a caption cannot be read.
    pub async fn captions(
        &self,
        captioner: Fingerprint,
        images: &[ContentHash],
    ) -> Result<HashMap<ContentHash, StoredCaption>, Error> {
        let (captioner, wanted) = (captioner.as_bytes().as_slice(), hashes::to_json(images));
        let rows = sqlx::query!(
            "SELECT content, caption, details FROM captions
             WHERE fingerprint = ? AND content IN (SELECT unhex(value) FROM json_each(?))",
            captioner,
            wanted,
        )
        .fetch_all(self.content.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let content = hashes::read("captions", &row.content)?;
                let details =
                    serde_json::from_str(&row.details).map_err(|error| Error::Inconsistent {
                        table: "captions",
                        column: "details",
                        row: content.to_string(),
                        message: error.to_string(),
                    })?;
                Ok((
                    content,
                    StoredCaption {
                        caption: row.caption,
                        details,
                    },
                ))
            })
            .collect()
    }

    /// Stores a batch of captions in one transaction; an older caption of an image is replaced.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing of the batch is stored.
    pub async fn store_captions(
        &self,
        captioner: Fingerprint,
        batch: &[(ContentHash, StoredCaption)],
        writer: Writer<'_>,
    ) -> Result<(), Error> {
        let captioner = captioner.as_bytes().as_slice();
        let computed_at = writer.stored_at.as_millis();
        let mut transaction = self.content.write().await?;
        let rows: Vec<_> = batch
            .iter()
            .map(|(content, stored)| (content, &stored.caption, &stored.details))
            .collect();
        let rows = serde_json::json!(rows).to_string();
        sqlx::query!(
            "INSERT OR REPLACE INTO captions
                 (fingerprint, content, caption, details, computed_at, run_id)
             SELECT ?, unhex(value ->> 0), value ->> 1, value -> 2, ?, ? FROM json_each(?)",
            captioner,
            computed_at,
            writer.run_id,
            rows,
        )
        .execute(&mut *transaction)
        .await?;
        progress::add(&mut transaction, writer, batch.len() as u64, 0).await?;
        self.content.commit(transaction, "content").await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;

    const WRITER: Writer<'static> = Writer {
        run_id: "run",
        task_id: "task",
        stored_at: Timestamp::from_millis(0),
    };

    #[tokio::test]
    async fn a_batch_keeps_each_vector_whatever_its_length() {
        let store = Store::in_memory().await.unwrap();
        let encoder = Fingerprint::of(&[("weights", "w")]);
        let content = |name: &str| ContentHash::of(name.as_bytes());
        let batch = vec![
            (content("a"), Vector::new(&[1.0, 2.0], VectorType::F16)),
            (content("b"), Vector::new(&[3.0, 4.0], VectorType::F16)),
            (content("c"), Vector::new(&[5.0], VectorType::F32)),
            (content("d"), Vector::new(&[6.0, 7.0, 8.0], VectorType::F16)),
            (content("a"), Vector::new(&[9.0, 10.0], VectorType::F16)),
        ];
        store.store_embeddings(encoder, &[], WRITER).await.unwrap();
        store
            .store_embeddings(encoder, &batch, WRITER)
            .await
            .unwrap();
        let names = ["a", "b", "c", "d", "e"].map(content);
        let read = store.embeddings(encoder, &names).await.unwrap();
        let wanted: HashMap<ContentHash, Vector> = batch.into_iter().collect();
        assert_eq!(read, wanted);
    }

    #[tokio::test]
    async fn captions_keep_their_text_and_details() {
        let store = Store::in_memory().await.unwrap();
        let captioner = Fingerprint::of(&[("weights", "w")]);
        let caption = |text: &str, details| StoredCaption {
            caption: text.to_owned(),
            details,
        };
        let batch = [
            (
                ContentHash::of(b"1"),
                caption("a \"dog\"\0é", json!({"tags": [["dog", 0.1]]})),
            ),
            (ContentHash::of(b"2"), caption("", json!(null))),
            (ContentHash::of(b"3"), caption("12", json!("text"))),
        ];
        store
            .store_captions(captioner, &batch, WRITER)
            .await
            .unwrap();
        let images: Vec<ContentHash> = batch.iter().map(|(image, _)| *image).collect();
        let read = store.captions(captioner, &images).await.unwrap();
        assert_eq!(read, batch.into_iter().collect());
    }
    #[tokio::test]
    async fn vectors_of_an_older_home_are_kept_in_the_order_of_their_making() {
        use sqlx::{Connection as _, SqliteConnection};

        let mut home = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let statements = [
            include_str!("../../migrations/content/20261121000001_content.sql"),
            "INSERT INTO embeddings VALUES (x'01', x'0a', 'f16', x'0000', 2, 'r'),
                 (x'01', x'0b', 'f16', x'0001', 1, 'r')",
            include_str!("../../migrations/content/20261122000008_embeddings_by_age.sql"),
        ];
        for statement in statements {
            sqlx::raw_sql(statement).execute(&mut home).await.unwrap();
        }
        let kept: Vec<String> =
            sqlx::query_scalar("SELECT hex(vector) FROM embeddings ORDER BY rowid")
                .fetch_all(&mut home)
                .await
                .unwrap();
        assert_eq!(kept, ["0001", "0000"]);
    }
}
