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
        for (content, vector) in batch {
            let content = content.as_bytes().as_slice();
            let (kind, vector) = (vector.kind().name(), vector.as_bytes());
            sqlx::query!(
                "INSERT OR REPLACE INTO embeddings
                     (fingerprint, content, kind, vector, computed_at, run_id)
                 VALUES (?, ?, ?, ?, ?, ?)",
                encoder,
                content,
                kind,
                vector,
                computed_at,
                writer.run_id,
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
        for (content, caption) in batch {
            let content = content.as_bytes().as_slice();
            let details = caption.details.to_string();
            sqlx::query!(
                "INSERT OR REPLACE INTO captions
                     (fingerprint, content, caption, details, computed_at, run_id)
                 VALUES (?, ?, ?, ?, ?, ?)",
                captioner,
                content,
                caption.caption,
                details,
                computed_at,
                writer.run_id,
            )
            .execute(&mut *transaction)
            .await?;
        }
        progress::add(&mut transaction, writer, batch.len() as u64, 0).await?;
        self.content.commit(transaction, "content").await?;
        Ok(())
    }
}
