//! Whether a copy of the databases holds a purged record, or a person, still.

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use super::{NotedPurge, family};
use crate::store::{Database, Error, Store};

impl Store {
    /// Whether a copy of `content.db` holds one of these still. One that cannot be read is said to:
    /// nobody knows better.
    #[tracing::instrument(name = "db.purge.copy_holds", skip_all)]
    pub async fn copy_holds(&self, copy: &Path, noted: &[NotedPurge]) -> bool {
        let mut sought: BTreeMap<&str, Sought<'_>> = BTreeMap::new();
        for NotedPurge { key, traces, .. } in noted {
            let sought = sought.entry(family(&key.dataset)).or_default();
            if traces.is_person {
                let names = traces.author.iter().map(|name| name.to_lowercase());
                sought.people.extend(names);
                sought.people.extend(traces.account.clone());
            } else {
                sought.ids.push(&key.id);
            }
        }
        holds(copy, &sought).await.unwrap_or(true)
    }
}

#[derive(Default)]
struct Sought<'a> {
    ids: Vec<&'a str>,
    people: Vec<String>,
}

async fn holds(copy: &Path, sought: &BTreeMap<&str, Sought<'_>>) -> Result<bool, Error> {
    let copy = Database::open_read_only(copy).await?;
    // It may hold a post of a dump that is not here any more.
    let datasets: Vec<String> = sqlx::query_scalar("SELECT DISTINCT dataset FROM records")
        .fetch_all(copy.read())
        .await?;
    let mut found = false;
    for dataset in datasets {
        let Some(Sought { ids, people }) = sought.get(family(&dataset)) else {
            continue;
        };
        let (ids, people) = (json!(ids).to_string(), json!(people).to_string());
        let held: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM records
                            WHERE dataset = ?1
                              AND (id IN (SELECT value FROM json_each(?2))
                                   OR lower(author) IN (SELECT value FROM json_each(?3))
                                   OR fields ->> 'author_fullname' IN
                                       (SELECT value FROM json_each(?3))))",
        )
        .bind(dataset)
        .bind(ids)
        .bind(people)
        .fetch_one(copy.read())
        .await?;
        found |= held;
    }
    copy.close().await;
    Ok(found)
}
