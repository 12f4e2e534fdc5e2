//! The names that point at model versions, where each has pointed, and the tags of versions.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Store};
use crate::clock::Timestamp;

/// How an alias came to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// A run published the version and the gate let it through.
    Published,
    /// Somebody promoted the version.
    Promoted,
    /// Somebody went back to it.
    RolledBack,
    /// Somebody pointed an alias at it that is not the champion.
    Set,
    /// The alias was taken away.
    Removed,
}

impl MoveKind {
    const ALL: [Self; 5] = [
        Self::Published,
        Self::Promoted,
        Self::RolledBack,
        Self::Set,
        Self::Removed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Set => "set",
            Self::Removed => "removed",
        }
    }
}

/// One move of an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AliasMove {
    /// Where it points since; nothing where it was taken away.
    pub version: Option<u32>,
    /// When.
    pub moved_at: Timestamp,
    /// How it came to move.
    pub how: MoveKind,
    /// Why, in words.
    pub cause: String,
}

/// An alias that is to move.
#[derive(Clone, Copy, Debug)]
pub struct NewMove<'a> {
    /// The model.
    pub name: &'a str,
    /// The alias.
    pub alias: &'a str,
    /// Where it shall point; nothing to take it away.
    pub version: Option<u32>,
    /// When.
    pub moved_at: Timestamp,
    /// How it comes to move.
    pub how: MoveKind,
    /// Why, in words.
    pub cause: &'a str,
}

impl Store {
    /// Moves an alias, and notes the move. Returns where it pointed before.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where the version is not there or its files are removed; else where the
    /// database fails.
    #[tracing::instrument(name = "db.models.move_alias", skip_all)]
    pub async fn move_alias(&self, new: NewMove<'_>) -> Result<Option<u32>, Error> {
        let mut transaction = self.state.write().await?;
        let before = sqlx::query_scalar!(
            "SELECT version FROM model_aliases WHERE name = ? AND alias = ?",
            new.name,
            new.alias,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        move_in(&mut transaction, &new).await?;
        self.state.commit(transaction, "alias").await?;
        Ok(before.and_then(|version| u32::try_from(version).ok()))
    }

    /// Where an alias has pointed, in the order of the moves.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.models.alias_moves", skip_all)]
    pub async fn alias_moves(&self, name: &str, alias: &str) -> Result<Vec<AliasMove>, Error> {
        let rows = sqlx::query!(
            "SELECT id, version, moved_at, how, cause FROM model_alias_moves
             WHERE name = ? AND alias = ? ORDER BY id",
            name,
            alias,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                let how = MoveKind::ALL
                    .into_iter()
                    .find(|how| how.as_str() == row.how);
                Ok(AliasMove {
                    version: row.version.and_then(|version| u32::try_from(version).ok()),
                    moved_at: Timestamp::from_millis(row.moved_at),
                    how: how.ok_or_else(|| Error::Inconsistent {
                        table: "model_alias_moves",
                        column: "how",
                        row: row.id.to_string(),
                        message: format!("`{}` is unknown", row.how),
                    })?,
                    cause: row.cause,
                })
            })
            .collect()
    }

    /// Sets tags of a version, and takes away those without a value.
    ///
    /// # Errors
    ///
    /// Where the database fails or there is no such version.
    #[tracing::instrument(name = "db.models.tag", skip_all)]
    pub async fn tag_version(
        &self,
        (name, version): (&str, u32),
        tags: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        for (key, value) in tags {
            if let Some(value) = value {
                sqlx::query!(
                    "INSERT INTO model_tags (name, version, key, value) VALUES (?, ?, ?, ?)
                     ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value",
                    name,
                    version,
                    key,
                    value,
                )
                .execute(&mut *transaction)
                .await?;
            } else {
                sqlx::query!(
                    "DELETE FROM model_tags WHERE name = ? AND version = ? AND key = ?",
                    name,
                    version,
                    key,
                )
                .execute(&mut *transaction)
                .await?;
            }
        }
        self.state.commit(transaction, "tags").await?;
        Ok(())
    }

    /// Notes that the files of a version go. Its row stays, with its metrics; the same content may
    /// become a version again.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] where an alias points at it; else where the database fails.
    #[tracing::instrument(name = "db.models.remove", skip_all)]
    pub async fn remove_version(
        &self,
        name: &str,
        version: u32,
        now: Timestamp,
    ) -> Result<(), Error> {
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        let aliases = sqlx::query_scalar!(
            "SELECT alias FROM model_aliases WHERE name = ? AND version = ? ORDER BY alias",
            name,
            version,
        )
        .fetch_all(&mut *transaction)
        .await?;
        if let Some(alias) = aliases.first() {
            return Err(Error::Conflict(format!(
                "`{alias}` points at version {version} of `{name}`"
            )));
        }
        // The key is unique, and its content is there no longer.
        sqlx::query!(
            "UPDATE model_versions
             SET removed_at = ?, content_key = content_key || ' removed ' || version
             WHERE name = ? AND version = ? AND removed_at IS NULL",
            now,
            name,
            version,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "version_removed").await?;
        Ok(())
    }
}

/// Moves an alias within a transaction, and notes the move.
pub(super) async fn move_in(
    transaction: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    new: &NewMove<'_>,
) -> Result<(), Error> {
    let (moved_at, how) = (new.moved_at.as_millis(), new.how.as_str());
    if let Some(version) = new.version {
        let done = sqlx::query!(
            "INSERT INTO model_aliases (name, alias, version, moved_at, cause)
             SELECT name, ?1, version, ?2, ?3 FROM model_versions
             WHERE name = ?4 AND version = ?5 AND removed_at IS NULL
             ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version,
                 moved_at = excluded.moved_at, cause = excluded.cause",
            new.alias,
            moved_at,
            new.cause,
            new.name,
            version,
        )
        .execute(&mut **transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Err(Error::Conflict(format!(
                "`{}` has no files of a version {version}",
                new.name
            )));
        }
    } else {
        sqlx::query!(
            "DELETE FROM model_aliases WHERE name = ? AND alias = ?",
            new.name,
            new.alias,
        )
        .execute(&mut **transaction)
        .await?;
    }
    sqlx::query!(
        "INSERT INTO model_alias_moves (name, alias, version, moved_at, how, cause)
         VALUES (?, ?, ?, ?, ?, ?)",
        new.name,
        new.alias,
        new.version,
        moved_at,
        how,
        new.cause,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
