//! How much the databases hold, and how fast they grow.

use super::{Error, Store};
use crate::clock::Timestamp;

/// How much the databases hold, and how fast they grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Records.
    pub records: u64,
    /// Records that came since the moment that was asked for.
    pub recent: u64,
    /// When the first record came.
    pub first: Option<Timestamp>,
    /// Bytes of all images.
    pub media_bytes: u64,
    /// When the engine last moved something.
    pub last_move: Option<Timestamp>,
}

impl Store {
    /// How much the databases hold, and how much of it came since a moment.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.growth", skip_all)]
    pub async fn growth(&self, since: Timestamp) -> Result<Growth, Error> {
        let since = since.as_millis();
        let row = sqlx::query!(
            r#"SELECT count(*) AS "records!: i64", total(stored_at > ?) AS "recent!: f64",
                   min(stored_at) AS "first: i64",
                   (SELECT ifnull(sum(bytes), 0) FROM media) AS "media_bytes!: i64"
               FROM records"#,
            since,
        )
        .fetch_one(self.content.read())
        .await?;
        let last_move = sqlx::query_scalar!("SELECT at FROM transitions ORDER BY id DESC LIMIT 1")
            .fetch_optional(self.state.read())
            .await?;
        Ok(Growth {
            records: row.records.unsigned_abs(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of rows"
            )]
            recent: row.recent as u64,
            first: row.first.map(Timestamp::from_millis),
            media_bytes: row.media_bytes.unsigned_abs(),
            last_move: last_move.map(Timestamp::from_millis),
        })
    }
}
