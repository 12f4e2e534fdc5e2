//! Which rows of model versions are purged.

use serde::{Deserialize, Serialize};

use crate::store::{Error, Store};

/// The purged rows of a model version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedRows {
    /// The model.
    pub name: String,
    /// The version.
    pub version: u32,
    /// All purged rows.
    pub rows: u64,
    /// Those of them that the head was fitted on.
    pub learned: u64,
}

impl Store {
    /// Notes that a version has had rows that are purged now: their ids with the part of the split
    /// that each was in. A row that is noted already is not counted again.
    ///
    /// # Errors
    ///
    /// Where the database fails or there is no such version.
    pub async fn note_purged_rows(
        &self,
        (name, version): (&str, u32),
        dataset: &str,
        rows: &[(String, String)],
    ) -> Result<(), Error> {
        let mut transaction = self.state.write().await?;
        for (id, part) in rows {
            let hash = self.purge_key.hash(dataset, id)?;
            let hash = hash.as_slice();
            sqlx::query!(
                "INSERT INTO model_purged_rows (name, version, id_hash, part) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
                name,
                version,
                hash,
                part,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.state.commit(transaction, "purged_rows").await
    }

    /// The versions with purged rows.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn purged_rows(&self) -> Result<Vec<PurgedRows>, Error> {
        let rows = sqlx::query!(
            r#"SELECT name, version, count(*) AS "rows!: i64",
                   sum(part = 'train') AS "learned!: i64"
               FROM model_purged_rows GROUP BY name, version ORDER BY name, version"#
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PurgedRows {
                    version: u32::try_from(row.version).map_err(|error| Error::Inconsistent {
                        table: "model_purged_rows",
                        column: "version",
                        row: format!("{}/{}", row.name, row.version),
                        message: error.to_string(),
                    })?,
                    name: row.name,
                    rows: row.rows.unsigned_abs(),
                    learned: row.learned.unsigned_abs(),
                })
            })
            .collect()
    }
}
