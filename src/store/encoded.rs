//! What each encoder and captioner has made, as a whole: counted, measured, and dropped.

use super::{Error, Store};
use crate::corpus::Fingerprint;

/// What the rows of an encoder are.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum EncodedKind {
    /// Vectors of contents.
    Vectors,
    /// Captions of images.
    Captions,
}

/// What one encoder or captioner has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Which one.
    pub fingerprint: Fingerprint,
    /// What it makes.
    pub kind: EncodedKind,
    /// How many.
    pub rows: u64,
    /// Their bytes, without what the database adds to a row.
    pub bytes: u64,
}

impl Store {
    /// What every encoder and captioner has made, by kind and fingerprint. It reads all of it.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.encoded.list", skip_all)]
    pub async fn encoded(&self) -> Result<Vec<Encoded>, Error> {
        let vectors = sqlx::query!(
            r#"SELECT fingerprint AS "fingerprint!: Vec<u8>", count(*) AS "rows!: i64",
                   sum(length(vector)) AS "bytes!: i64"
               FROM embeddings GROUP BY fingerprint ORDER BY fingerprint"#
        )
        .fetch_all(self.content.read())
        .await?;
        let captions = sqlx::query!(
            r#"SELECT fingerprint AS "fingerprint!: Vec<u8>", count(*) AS "rows!: i64",
                   sum(length(CAST(caption AS BLOB)) + length(CAST(details AS BLOB)))
                       AS "bytes!: i64"
               FROM captions GROUP BY fingerprint ORDER BY fingerprint"#
        )
        .fetch_all(self.content.read())
        .await?;
        let mut encoded = Vec::with_capacity(vectors.len() + captions.len());
        for row in vectors {
            encoded.push(Encoded {
                fingerprint: fingerprint("embeddings", &row.fingerprint)?,
                kind: EncodedKind::Vectors,
                rows: row.rows.unsigned_abs(),
                bytes: row.bytes.unsigned_abs(),
            });
        }
        for row in captions {
            encoded.push(Encoded {
                fingerprint: fingerprint("captions", &row.fingerprint)?,
                kind: EncodedKind::Captions,
                rows: row.rows.unsigned_abs(),
                bytes: row.bytes.unsigned_abs(),
            });
        }
        Ok(encoded)
    }

    /// Drops at most `limit` rows of an encoder, in one transaction; how many. The pages that get
    /// free are used for what is stored next.
    ///
    /// # Errors
    ///
    /// Where the database fails; then all of them are there still.
    #[tracing::instrument(name = "db.encoded.drop", skip_all)]
    pub async fn drop_encoded(
        &self,
        encoder: Fingerprint,
        kind: EncodedKind,
        limit: u32,
    ) -> Result<u64, Error> {
        let encoder = encoder.as_bytes().as_slice();
        let mut transaction = self.content.write().await?;
        let done = match kind {
            EncodedKind::Vectors => {
                sqlx::query!(
                    "DELETE FROM embeddings WHERE rowid IN
                         (SELECT rowid FROM embeddings WHERE fingerprint = ? LIMIT ?)",
                    encoder,
                    limit,
                )
                .execute(&mut *transaction)
                .await?
            }
            EncodedKind::Captions => {
                sqlx::query!(
                    "DELETE FROM captions WHERE fingerprint = ?1 AND content IN
                         (SELECT content FROM captions WHERE fingerprint = ?1 LIMIT ?2)",
                    encoder,
                    limit,
                )
                .execute(&mut *transaction)
                .await?
            }
        };
        self.content.commit(transaction, "content").await?;
        Ok(done.rows_affected())
    }

    /// The length of a vector under this encoder, in bytes; none where there is no vector.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn vector_length(&self, encoder: Fingerprint) -> Result<Option<u64>, Error> {
        let encoder = encoder.as_bytes().as_slice();
        let length = sqlx::query_scalar!(
            r#"SELECT length(vector) AS "length!: i64" FROM embeddings
               WHERE fingerprint = ? LIMIT 1"#,
            encoder,
        )
        .fetch_optional(self.content.read())
        .await?;
        Ok(length.map(i64::unsigned_abs))
    }

    /// The mean length of what this captioner has written, in bytes, over its first thousand
    /// captions; none where there is none.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn caption_length(&self, captioner: Fingerprint) -> Result<Option<f64>, Error> {
        let captioner = captioner.as_bytes().as_slice();
        let length = sqlx::query_scalar!(
            r#"SELECT avg(length(CAST(caption AS BLOB)) + length(CAST(details AS BLOB)))
                   AS "length: f64"
               FROM (SELECT caption, details FROM captions WHERE fingerprint = ? LIMIT 1000)"#,
            captioner,
        )
        .fetch_one(self.content.read())
        .await?;
        Ok(length)
    }
}

fn fingerprint(table: &'static str, bytes: &[u8]) -> Result<Fingerprint, Error> {
    Fingerprint::from_bytes(bytes).ok_or_else(|| Error::Inconsistent {
        table,
        column: "fingerprint",
        row: format!("{bytes:02x?}"),
        message: format!("a fingerprint has 32 bytes, not {}", bytes.len()),
    })
}
