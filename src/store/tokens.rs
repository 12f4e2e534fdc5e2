//! The tokens of the daemon's API, as hashes.

use serde::Serialize;

use super::{Error, Store};
use crate::clock::Timestamp;

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRow {
    /// Whom or what it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ceased to be good.
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// Adds a token. `false` where there is one of this name.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tokens.add", skip_all)]
    pub async fn add_token(&self, name: &str, hash: &[u8], now: Timestamp) -> Result<bool, Error> {
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "INSERT INTO tokens (name, hash, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            name,
            hash,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "token").await?;
        Ok(done.rows_affected() > 0)
    }

    /// All tokens, by name.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tokens.list", skip_all)]
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        let rows = sqlx::query!("SELECT name, created_at, revoked_at FROM tokens ORDER BY name")
            .fetch_all(self.state.read())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| TokenRow {
                name: row.name,
                created_at: Timestamp::from_millis(row.created_at),
                revoked_at: row.revoked_at.map(Timestamp::from_millis),
            })
            .collect())
    }

    /// Makes a token worthless. `false` where there is none of this name that is good.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.tokens.revoke", skip_all)]
    pub async fn revoke_token(&self, name: &str, now: Timestamp) -> Result<bool, Error> {
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        let done = sqlx::query!(
            "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
            now,
            name,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "token").await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whether a token of this hash is good.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn is_token(&self, hash: &[u8]) -> Result<bool, Error> {
        let found = sqlx::query_scalar!(
            "SELECT 1 AS found FROM tokens WHERE hash = ? AND revoked_at IS NULL",
            hash,
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(found.is_some())
    }

    /// Whether any token is good.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn has_tokens(&self) -> Result<bool, Error> {
        let found =
            sqlx::query_scalar!("SELECT 1 AS found FROM tokens WHERE revoked_at IS NULL LIMIT 1")
                .fetch_optional(self.state.read())
                .await?;
        Ok(found.is_some())
    }
}
