//! Communities that a source does not show, and when they are asked again.

use std::{collections::BTreeMap, time::Duration};

use super::{Error, Store};
use crate::{clock::Timestamp, corpus::Refused};

/// After the first refusal; doubled with each that follows.
const FIRST_PAUSE: Duration = Duration::from_mins(30);

/// A community that opens again is read within this time.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// A community that was not shown when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// It is not asked before.
    pub again_at: Timestamp,
    /// What was answered, and what that means.
    pub why: String,
}

impl Store {
    /// By community, in small letters: those that were not shown when they were last asked.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn refusals(&self, dataset: &str) -> Result<BTreeMap<String, Refusal>, Error> {
        let rows = sqlx::query!(
            "SELECT community, again_at, why FROM refusals WHERE dataset = ?",
            dataset
        )
        .fetch_all(self.content.read())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let again_at = Timestamp::from_millis(row.again_at);
                let why = row.why;
                (row.community, Refusal { again_at, why })
            })
            .collect())
    }

    /// Notes in one transaction which communities were refused at `now`, each to be asked again
    /// after a pause that doubles, and which were `walked` and are refused no more.
    ///
    /// # Errors
    ///
    /// Where the database fails; then nothing is noted.
    pub async fn keep_refusals(
        &self,
        dataset: &str,
        refused: &[Refused],
        walked: &[String],
        now: Timestamp,
    ) -> Result<(), Error> {
        if refused.is_empty() && self.refusals(dataset).await?.is_empty() {
            return Ok(());
        }
        let mut transaction = self.content.write().await?;
        for community in walked {
            let community = community.to_ascii_lowercase();
            sqlx::query!(
                "DELETE FROM refusals WHERE dataset = ? AND community = ?",
                dataset,
                community,
            )
            .execute(&mut *transaction)
            .await?;
        }
        for refused in refused {
            let community = refused.community.to_ascii_lowercase();
            let times = sqlx::query_scalar!(
                "SELECT times FROM refusals WHERE dataset = ? AND community = ?",
                dataset,
                community,
            )
            .fetch_optional(&mut *transaction)
            .await?;
            let times = times.unwrap_or(0).saturating_add(1);
            let again_at = (now + pause(times)).as_millis();
            let at = now.as_millis();
            sqlx::query!(
                "INSERT INTO refusals (dataset, community, since, times, again_at, why)
                 VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (dataset, community) DO UPDATE SET
                     times = excluded.times, again_at = excluded.again_at, why = excluded.why",
                dataset,
                community,
                at,
                times,
                again_at,
                refused.why,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.content.commit(transaction, "content").await
    }
}

/// The pause after so many refusals in a row.
fn pause(times: i64) -> Duration {
    let doublings = u32::try_from(times - 1).unwrap_or(0).min(16);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000)
    }

    #[tokio::test]
    async fn a_refused_community_is_asked_ever_more_seldom_until_it_answers() {
        let store = Store::in_memory().await.unwrap();
        let refused = |why: &str| {
            [Refused {
                community: "Secret".to_owned(),
                why: why.to_owned(),
            }]
        };
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let refused = refused("private");
            store.keep_refusals("d", &refused, &[], now).await.unwrap();
            let again = store.refusals("d").await.unwrap()["secret"].again_at;
            pauses.push(again.since(now).as_secs() / 60);
            now = again;
        }
        assert_eq!(pauses[..4], [30, 60, 120, 240]);
        assert_eq!(pauses[8], 24 * 60);
        let others = ["pics".to_owned()];
        store.keep_refusals("d", &[], &others, now).await.unwrap();
        assert_eq!(store.refusals("d").await.unwrap()["secret"].why, "private");
        let open = ["secret".to_owned()];
        store.keep_refusals("d", &[], &open, now).await.unwrap();
        assert!(store.refusals("d").await.unwrap().is_empty());
        let refused = refused("banned");
        store.keep_refusals("d", &refused, &[], now).await.unwrap();
        let again = store.refusals("d").await.unwrap()["secret"].again_at;
        assert_eq!(again.since(now), FIRST_PAUSE);
    }
}
