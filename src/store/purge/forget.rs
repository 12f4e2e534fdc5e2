//! People whose accounts are gone at the source: what they published stays, and nothing names them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use sqlx::{Sqlite, Transaction};

use super::{Fate, PurgeKey, RecordKey, Traces, family, note, remember};
use crate::{
    clock::Timestamp,
    store::{Error, raw},
};

/// What of a record's fields tells who published it.
pub const OF_A_PERSON: [&str; 3] = ["author_fullname", "author_flair_text", "author_premium"];

/// What is noted as the cause.
const CAUSE: &str = "the account is gone at the source";

/// Removes who published these records from all records of theirs in the family, with all that is
/// known of the accounts, and notes that nothing else may name them.
pub(in crate::store) async fn forget_authors(
    key: &PurgeKey,
    transaction: &mut Transaction<'static, Sqlite>,
    dataset: &str,
    ids: &[String],
    now: Timestamp,
) -> Result<(), Error> {
    let ids = json!(ids).to_string();
    let people = sqlx::query!(
        r#"SELECT DISTINCT author, fields ->> 'author_fullname' AS "account: String"
           FROM records WHERE dataset = ? AND id IN (SELECT value FROM json_each(?))
             AND (author IS NOT NULL OR fields ->> 'author_fullname' IS NOT NULL)"#,
        dataset,
        ids,
    )
    .fetch_all(&mut **transaction)
    .await?;
    let (mut names, mut accounts) = (BTreeSet::new(), BTreeSet::new());
    for person in people {
        let both = person.author.iter().chain(&person.account);
        let both: Vec<&str> = both.map(String::as_str).collect();
        let [name, ..] = *both else { continue };
        remember(key, transaction, Fate::Forgotten, dataset, &both, now).await?;
        let note_key = RecordKey {
            dataset: dataset.to_owned(),
            id: format!("u/{name}"),
        };
        names.extend(person.author.as_ref().map(|name| name.to_lowercase()));
        accounts.extend(person.account.clone());
        let traces = Traces {
            is_person: true,
            author: person.author,
            account: person.account,
            ..Traces::default()
        };
        note::write(transaction, &note_key, CAUSE, &traces, now.as_millis()).await?;
    }
    if names.is_empty() && accounts.is_empty() {
        return Ok(());
    }
    let (names, accounts) = (json!(names).to_string(), json!(accounts).to_string());
    let rows = sqlx::query!(
        "SELECT dataset, id FROM records
         WHERE lower(author) IN (SELECT value FROM json_each(?1))
            OR fields ->> 'author_fullname' IN (SELECT value FROM json_each(?2))",
        names,
        accounts,
    )
    .fetch_all(&mut **transaction)
    .await?;
    let mut theirs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        if family(&row.dataset) == family(dataset) {
            theirs.entry(row.dataset).or_default().push(row.id);
        }
    }
    for (dataset, ids) in theirs {
        let ids = json!(ids).to_string();
        sqlx::query!(
            "UPDATE records SET author = NULL,
                 fields = json_remove(fields, '$.author_fullname', '$.author_flair_text',
                                      '$.author_premium')
             WHERE dataset = ? AND id IN (SELECT value FROM json_each(?))",
            dataset,
            ids,
        )
        .execute(&mut **transaction)
        .await?;
        // Who published it stands in what was sent of it too.
        raw::forget(transaction, &dataset, &ids).await?;
    }
    sqlx::query!(
        "DELETE FROM author_readings WHERE dataset = ?1
           AND (lower(name) IN (SELECT value FROM json_each(?2))
                OR author IN (SELECT value FROM json_each(?3)))",
        dataset,
        names,
        accounts,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
