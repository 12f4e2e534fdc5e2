//! Whether a copy of the databases holds a purged record still.

use std::{collections::BTreeMap, path::Path};

use super::{RecordKey, family};
use crate::store::{Database, Error, Store};

impl Store {
    /// Whether a copy of `content.db` holds one of these records. One that cannot be read is said
    /// to: nobody knows better.
    #[tracing::instrument(name = "db.purge.copy_holds", skip_all)]
    pub async fn copy_holds(&self, copy: &Path, keys: &[&RecordKey]) -> bool {
        let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for key in keys {
            ids.entry(family(&key.dataset)).or_default().push(&key.id);
        }
        holds(copy, &ids).await.unwrap_or(true)
    }
}

async fn holds(copy: &Path, ids: &BTreeMap<&str, Vec<&str>>) -> Result<bool, Error> {
    let copy = Database::open_read_only(copy).await?;
    // It may hold a post of a dump that is not here any more.
    let datasets: Vec<String> = sqlx::query_scalar("SELECT DISTINCT dataset FROM records")
        .fetch_all(copy.read())
        .await?;
    let mut found = false;
    for dataset in datasets {
        let Some(ids) = ids.get(family(&dataset)) else {
            continue;
        };
        let ids = serde_json::json!(ids).to_string();
        let held: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM records
                            WHERE dataset = ? AND id IN (SELECT value FROM json_each(?)))",
        )
        .bind(dataset)
        .bind(ids)
        .fetch_one(copy.read())
        .await?;
        found |= held;
    }
    copy.close().await;
    Ok(found)
}
