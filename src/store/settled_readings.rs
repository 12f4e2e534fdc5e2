//! Up to where in time all readings at an age are settled, so that only the rest is looked at.

use sqlx::{Sqlite, Transaction};

use super::Error;

/// Which readings: a change of the settings asks for others, of which nothing is settled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling<'a> {
    pub(super) dataset: &'a str,
    /// The age at which they are due, in milliseconds.
    pub(super) age: i64,
    /// A reading up to this age stands for it.
    pub(super) stands_until: i64,
    /// The age at which it is not asked for any more.
    pub(super) given_up_at: i64,
}

impl Settling<'_> {
    /// Up to which publication all is settled.
    pub(super) async fn settled_to(
        self,
        transaction: &mut Transaction<'static, Sqlite>,
    ) -> Result<Option<i64>, Error> {
        Ok(sqlx::query_scalar!(
            "SELECT settled_to FROM settled_readings
             WHERE dataset = ? AND age = ? AND stands_until = ? AND given_up_at = ?",
            self.dataset,
            self.age,
            self.stands_until,
            self.given_up_at,
        )
        .fetch_optional(&mut **transaction)
        .await?)
    }

    /// Notes it.
    pub(super) async fn settle(
        self,
        transaction: &mut Transaction<'static, Sqlite>,
        settled_to: i64,
    ) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO settled_readings (dataset, age, stands_until, given_up_at, settled_to)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET settled_to = excluded.settled_to",
            self.dataset,
            self.age,
            self.stands_until,
            self.given_up_at,
            settled_to,
        )
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}
