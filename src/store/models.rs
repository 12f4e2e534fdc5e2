//! Model versions and the names that point at one.

use std::collections::BTreeMap;

use super::{
    Error, Store,
    aliases::{MoveKind, NewMove, move_in},
};
use crate::clock::Timestamp;

/// One version of a model, as the database knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelVersionRow {
    /// The model's name: that of its pipeline.
    pub name: String,
    /// 1, 2, 3 … per name.
    pub version: u32,
    /// The run that made it.
    pub run_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The start of its run's data interval.
    pub interval_start: Timestamp,
    /// The manifest, as JSON.
    pub manifest: String,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
    /// How many of its labelled rows are purged since.
    pub purged_rows: u64,
    /// What people have noted of it.
    pub tags: BTreeMap<String, String>,
    /// When its files were removed.
    pub removed_at: Option<Timestamp>,
}

/// A version that is about to be recorded.
#[derive(Clone, Debug)]
pub struct NewModelVersion<'a> {
    /// The model's name.
    pub name: &'a str,
    /// The version's number.
    pub version: u32,
    /// The run that made it.
    pub run_id: &'a str,
    /// When it was made.
    pub created_at: Timestamp,
    /// The start of its run's data interval.
    pub interval_start: Timestamp,
    /// The hash of row set, settings and encoders.
    pub content_key: &'a str,
    /// The manifest, as JSON.
    pub manifest: &'a str,
    /// An alias that moves to it in the same transaction, and why.
    pub alias: Option<(&'a str, &'a str)>,
}

impl Store {
    /// The versions of a model, or of all models, oldest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.models.list", skip_all)]
    pub async fn model_versions(&self, name: Option<&str>) -> Result<Vec<ModelVersionRow>, Error> {
        let rows = sqlx::query_as!(
            RawVersion,
            r#"SELECT name, version, run_id, created_at, interval_start, manifest,
                   ifnull((SELECT json_group_array(alias ORDER BY alias) FROM model_aliases
                           WHERE model_aliases.name = model_versions.name
                             AND model_aliases.version = model_versions.version), '[]')
                       AS "aliases!: String",
                   (SELECT count(*) FROM model_purged_rows
                    WHERE model_purged_rows.name = model_versions.name
                      AND model_purged_rows.version = model_versions.version)
                       AS "purged_rows!: i64",
                   ifnull((SELECT json_group_object(key, value) FROM model_tags
                           WHERE model_tags.name = model_versions.name
                             AND model_tags.version = model_versions.version), '{}')
                       AS "tags!: String",
                   removed_at
               FROM model_versions WHERE ?1 IS NULL OR name = ?1 ORDER BY name, version"#,
            name,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(ModelVersionRow::try_from).collect()
    }

    /// The version of a model with this number, where there is one.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.models.one", skip_all, level = "debug")]
    pub async fn model_version(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<ModelVersionRow>, Error> {
        let row = sqlx::query_as!(
            RawVersion,
            r#"SELECT name, version, run_id, created_at, interval_start, manifest,
                   ifnull((SELECT json_group_array(alias ORDER BY alias) FROM model_aliases
                           WHERE model_aliases.name = model_versions.name
                             AND model_aliases.version = model_versions.version), '[]')
                       AS "aliases!: String",
                   (SELECT count(*) FROM model_purged_rows
                    WHERE model_purged_rows.name = model_versions.name
                      AND model_purged_rows.version = model_versions.version)
                       AS "purged_rows!: i64",
                   ifnull((SELECT json_group_object(key, value) FROM model_tags
                           WHERE model_tags.name = model_versions.name
                             AND model_tags.version = model_versions.version), '{}')
                       AS "tags!: String",
                   removed_at
               FROM model_versions WHERE name = ? AND version = ?"#,
            name,
            version,
        )
        .fetch_optional(self.state.read())
        .await?;
        row.map(ModelVersionRow::try_from).transpose()
    }

    /// The version of a model to which an alias points.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn aliased_version(&self, name: &str, alias: &str) -> Result<Option<u32>, Error> {
        let version = sqlx::query_scalar!(
            "SELECT version FROM model_aliases WHERE name = ? AND alias = ?",
            name,
            alias,
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(version.and_then(|version| u32::try_from(version).ok()))
    }

    /// The version of this model with this row set, settings and encoders, where there is one.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn model_version_by_key(
        &self,
        name: &str,
        content_key: &str,
    ) -> Result<Option<u32>, Error> {
        let version = sqlx::query_scalar!(
            r#"SELECT version AS "version!" FROM model_versions WHERE name = ? AND content_key = ?"#,
            name,
            content_key,
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(version.and_then(|version| u32::try_from(version).ok()))
    }

    /// The version in which a run ended, where it made or met one.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn model_version_of_run(&self, run_id: &str) -> Result<Option<(String, u32)>, Error> {
        let row = sqlx::query!(
            "SELECT name, version FROM model_version_runs WHERE run_id = ?",
            run_id
        )
        .fetch_optional(self.state.read())
        .await?;
        Ok(row.and_then(|row| Some((row.name, u32::try_from(row.version).ok()?))))
    }

    /// The runs of a model that ended in each of its versions: version and interval start, in the
    /// order of the intervals.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn model_history(&self, name: &str) -> Result<Vec<(u32, Timestamp)>, Error> {
        let rows = sqlx::query!(
            "SELECT version, interval_start FROM model_versions WHERE name = ?
             ORDER BY interval_start, version",
            name,
        )
        .fetch_all(self.state.read())
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                Some((
                    u32::try_from(row.version).ok()?,
                    Timestamp::from_millis(row.interval_start),
                ))
            })
            .collect())
    }

    /// Records a version whose files are durable, links its run to it and moves an alias, in one
    /// transaction.
    ///
    /// # Errors
    ///
    /// Where the database fails, or a version of this number or content is there already.
    pub async fn add_model_version(&self, new: NewModelVersion<'_>) -> Result<(), Error> {
        let (created_at, interval_start) =
            (new.created_at.as_millis(), new.interval_start.as_millis());
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "INSERT INTO model_versions
                 (name, version, run_id, created_at, interval_start, content_key, manifest)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            new.name,
            new.version,
            new.run_id,
            created_at,
            interval_start,
            new.content_key,
            new.manifest,
        )
        .execute(&mut *transaction)
        .await?;
        link(
            &mut transaction,
            new.run_id,
            new.name,
            new.version,
            interval_start,
        )
        .await?;
        if let Some((alias, cause)) = new.alias {
            let moved = NewMove {
                name: new.name,
                alias,
                version: Some(new.version),
                moved_at: new.created_at,
                how: MoveKind::Published,
                cause,
            };
            move_in(&mut transaction, &moved).await?;
        }
        self.state.commit(transaction, "version").await?;
        Ok(())
    }

    /// Links a run to the version that it met.
    ///
    /// # Errors
    ///
    /// Where the database fails or there is no such version.
    pub async fn link_run_to_version(
        &self,
        run_id: &str,
        name: &str,
        version: u32,
        interval_start: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        link(
            &mut transaction,
            run_id,
            name,
            version,
            interval_start.as_millis(),
        )
        .await?;
        self.state.commit(transaction, "version_link").await?;
        Ok(())
    }
}

/// The columns of a version as they are stored.
#[derive(Debug)]
struct RawVersion {
    name: String,
    version: i64,
    run_id: String,
    created_at: i64,
    interval_start: i64,
    manifest: String,
    aliases: String,
    purged_rows: i64,
    tags: String,
    removed_at: Option<i64>,
}

impl TryFrom<RawVersion> for ModelVersionRow {
    type Error = Error;

    fn try_from(row: RawVersion) -> Result<Self, Error> {
        let bad = |column, message: String| Error::Inconsistent {
            table: "model_versions",
            column,
            row: format!("{}/{}", row.name, row.version),
            message,
        };
        Ok(Self {
            version: u32::try_from(row.version).map_err(|e| bad("version", e.to_string()))?,
            aliases: serde_json::from_str(&row.aliases)
                .map_err(|e| bad("aliases", e.to_string()))?,
            created_at: Timestamp::from_millis(row.created_at),
            interval_start: Timestamp::from_millis(row.interval_start),
            purged_rows: row.purged_rows.unsigned_abs(),
            tags: serde_json::from_str(&row.tags).map_err(|e| bad("tags", e.to_string()))?,
            removed_at: row.removed_at.map(Timestamp::from_millis),
            name: row.name,
            run_id: row.run_id,
            manifest: row.manifest,
        })
    }
}

async fn link(
    transaction: &mut sqlx::Transaction<'static, sqlx::Sqlite>,
    run_id: &str,
    name: &str,
    version: u32,
    interval_start: i64,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO model_version_runs (run_id, name, version, interval_start)
         VALUES (?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING",
        run_id,
        name,
        version,
        interval_start,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
