//! Walks through the newest records of communities: when they were made, how much there is, and
//! what they may have missed.

use std::collections::{BTreeMap, HashSet};

use super::{Error, Store, Writer};
use crate::{clock::Timestamp, corpus::Gap};

impl Store {
    /// By community, in small letters: when its newest records were walked last.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn walks(&self, dataset: &str) -> Result<BTreeMap<String, Timestamp>, Error> {
        let rows = sqlx::query!(
            "SELECT community, walked_at FROM walks WHERE dataset = ?",
            dataset
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.community, Timestamp::from_millis(row.walked_at)))
            .collect())
    }

    /// By community, in small letters: how many records were published in `[from, to)`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn published(
        &self,
        dataset: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let (from, to) = (from.as_millis(), to.as_millis());
        let rows = sqlx::query!(
            r#"SELECT lower(community) AS "community!: String", count(*) AS "rows!: i64"
               FROM records
               WHERE dataset = ? AND created_at >= ? AND created_at < ? AND community IS NOT NULL
               GROUP BY lower(community)"#,
            dataset,
            from,
            to,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.community, row.rows.unsigned_abs()))
            .collect())
    }

    /// The ids of the records that were published in `[from, to]`.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn ids_published(
        &self,
        dataset: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<HashSet<String>, Error> {
        let (from, to) = (from.as_millis(), to.as_millis());
        let ids = sqlx::query_scalar!(
            "SELECT id FROM records WHERE dataset = ? AND created_at BETWEEN ? AND ?",
            dataset,
            from,
            to,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(ids.into_iter().collect())
    }

    /// Notes the end of walks, in one transaction: up to where everything is known, which never
    /// moves back; which communities were walked; and what may have been missed.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing is noted.
    pub async fn store_walks(
        &self,
        dataset: &str,
        watermarks: &BTreeMap<String, Timestamp>,
        walked: &[String],
        gaps: &[Gap],
        walked_at: Timestamp,
        writer: Writer<'_>,
    ) -> Result<(), Error> {
        let mut transaction = self.content.write().await?;
        for (community, seen_to) in watermarks {
            let seen_to = seen_to.as_millis();
            sqlx::query!(
                "INSERT INTO watermarks (dataset, community, seen_to) VALUES (?, ?, ?)
                 ON CONFLICT (dataset, community) DO UPDATE SET seen_to = max(seen_to, excluded.seen_to)",
                dataset,
                community,
                seen_to,
            )
            .execute(&mut *transaction)
            .await?;
        }
        let walked_at = walked_at.as_millis();
        for community in walked {
            let community = community.to_ascii_lowercase();
            sqlx::query!(
                "INSERT INTO walks (dataset, community, walked_at) VALUES (?, ?, ?)
                 ON CONFLICT (dataset, community) DO UPDATE SET
                     walked_at = max(walked_at, excluded.walked_at)",
                dataset,
                community,
                walked_at,
            )
            .execute(&mut *transaction)
            .await?;
        }
        for gap in gaps {
            let (from, to) = (gap.from.as_millis(), gap.to.as_millis());
            sqlx::query!(
                "INSERT INTO gaps (dataset, community, gap_from, gap_to, found_at, run_id)
                 VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (dataset, community, gap_from) DO UPDATE SET gap_to = excluded.gap_to",
                dataset,
                gap.community,
                from,
                to,
                walked_at,
                writer.run_id,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.content.commit(transaction, "content").await
    }

    /// What walks may have missed, the earliest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn gaps(&self, dataset: &str) -> Result<Vec<Gap>, Error> {
        let rows = sqlx::query!(
            "SELECT community, gap_from, gap_to FROM gaps WHERE dataset = ?
             ORDER BY gap_from, community",
            dataset,
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Gap {
                community: row.community,
                from: Timestamp::from_millis(row.gap_from),
                to: Timestamp::from_millis(row.gap_to),
            })
            .collect())
    }
}
