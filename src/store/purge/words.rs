//! Sentences of the state that name a purged record.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::{Error, Store};

/// What stands in place of such a sentence.
const INSTEAD: &str = "(purged)";

impl Store {
    /// Replaces the messages, causes and errors of the state for which `names` holds. Returns how
    /// many.
    ///
    /// # Errors
    ///
    /// Where the database fails; then none is replaced.
    #[tracing::instrument(name = "db.purge.words", skip_all)]
    pub async fn forget_words(
        &self,
        names: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<u64, Error> {
        let mut transaction = self.state.write().await?;
        let mut replaced = 0;
        macro_rules! forget {
            ($read:literal, $write:literal) => {
                let rows = sqlx::query_scalar!($read)
                    .fetch_all(&mut *transaction)
                    .await?;
                for text in rows.into_iter().filter(|text| names(text)) {
                    replaced += sqlx::query!($write, INSTEAD, text)
                        .execute(&mut *transaction)
                        .await?
                        .rows_affected();
                }
            };
        }
        forget!(
            r#"SELECT DISTINCT message AS "text!" FROM tasks WHERE message IS NOT NULL"#,
            "UPDATE tasks SET message = ? WHERE message = ?"
        );
        forget!(
            r#"SELECT DISTINCT cause AS "text!" FROM tasks"#,
            "UPDATE tasks SET cause = ? WHERE cause = ?"
        );
        forget!(
            r#"SELECT DISTINCT cause AS "text!" FROM runs"#,
            "UPDATE runs SET cause = ? WHERE cause = ?"
        );
        forget!(
            r#"SELECT DISTINCT cause AS "text!" FROM transitions"#,
            "UPDATE transitions SET cause = ? WHERE cause = ?"
        );
        forget!(
            r#"SELECT DISTINCT error AS "text!" FROM attempts WHERE error IS NOT NULL"#,
            "UPDATE attempts SET error = ? WHERE error = ?"
        );
        forget!(
            r#"SELECT DISTINCT message AS "text!" FROM notices"#,
            "UPDATE notices SET message = ? WHERE message = ?"
        );
        forget!(
            r#"SELECT DISTINCT error AS "text!" FROM notices WHERE error IS NOT NULL"#,
            "UPDATE notices SET error = ? WHERE error = ?"
        );
        // This one is an object.
        let rows = sqlx::query!("SELECT id, details FROM notices")
            .fetch_all(&mut *transaction)
            .await?;
        for row in rows.into_iter().filter(|row| names(&row.details)) {
            replaced += sqlx::query!("UPDATE notices SET details = '{}' WHERE id = ?", row.id)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
        }
        self.state.commit(transaction, "purge_words").await?;
        Ok(replaced)
    }

    /// The data sets of each run that has read some.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn datasets_of_runs(&self) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
        let rows = sqlx::query!(
            r#"SELECT run_id, outcome ->> '$.output.dataset' AS "dataset!: String" FROM tasks
               WHERE outcome ->> '$.output.dataset' IS NOT NULL"#
        )
        .fetch_all(self.state.read())
        .await?;
        let mut datasets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            datasets.entry(row.run_id).or_default().insert(row.dataset);
        }
        Ok(datasets)
    }
}
