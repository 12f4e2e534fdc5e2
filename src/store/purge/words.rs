//! Sentences of the state that name a purged record.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use serde_json::Value;

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
        // What tasks hand on is an object, and has their sentences once more.
        macro_rules! forget_within {
            ($read:literal, $write:literal) => {
                let rows = sqlx::query_scalar!($read)
                    .fetch_all(&mut *transaction)
                    .await?;
                for text in rows.into_iter().filter(|text| names(text)) {
                    let Some(without) = without(&text, &names) else {
                        continue;
                    };
                    replaced += sqlx::query!($write, without, text)
                        .execute(&mut *transaction)
                        .await?
                        .rows_affected();
                }
            };
        }
        forget_within!(
            r#"SELECT DISTINCT outcome AS "text!" FROM tasks WHERE outcome IS NOT NULL"#,
            "UPDATE tasks SET outcome = ? WHERE outcome = ?"
        );
        forget_within!(
            r#"SELECT DISTINCT result AS "text!" FROM attempts
               WHERE result IS NOT NULL AND state <> 'running'"#,
            "UPDATE attempts SET result = ? WHERE result = ?"
        );
        self.state.commit(transaction, "purge_words").await?;
        Ok(replaced)
    }

    /// Whether `names` holds for something that cannot be replaced: for a pipeline's text as it ran,
    /// or for settings and parameters of runs.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn are_words_left(
        &self,
        names: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<bool, Error> {
        let mut texts = sqlx::query_scalar!(
            r#"SELECT text AS "text!: String" FROM definitions
               UNION SELECT params FROM runs UNION SELECT graph FROM runs"#
        )
        .fetch(self.state.read());
        while let Some(text) = texts.try_next().await? {
            if names(&text) {
                return Ok(true);
            }
        }
        Ok(false)
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

/// The object without its texts for which `names` holds; none where it has no such text.
fn without(text: &str, names: &impl Fn(&str) -> bool) -> Option<String> {
    let mut object: Value = serde_json::from_str(text).ok()?;
    replace(&mut object, names).then(|| object.to_string())
}

fn replace(value: &mut Value, names: &impl Fn(&str) -> bool) -> bool {
    let mut any = false;
    match value {
        Value::String(text) if names(text) => {
            INSTEAD.clone_into(text);
            any = true;
        }
        Value::Array(items) => {
            for item in items {
                any |= replace(item, names);
            }
        }
        Value::Object(fields) => {
            for (_, item) in fields {
                any |= replace(item, names);
            }
        }
        _ => {}
    }
    any
}
