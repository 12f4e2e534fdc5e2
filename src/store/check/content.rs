//! Content, by itself and beside what the state says of it.

use std::collections::{BTreeMap, HashSet};

use sqlx::SqliteConnection;

use super::{Error, Faults, rules};
use crate::store::purge::PurgeKey;

pub(super) async fn check(
    state: &mut SqliteConnection,
    content: &mut SqliteConnection,
    faults: &mut Faults,
) -> Result<(), Error> {
    rules! { content, faults,
        "image_miscounted": r#"
            SELECT 'image ' || lower(hex(media.content)) || ' counts ' || refs || ' places, but '
                || count(place) || ' hold it' AS "message!: String"
            FROM media LEFT JOIN media_places ON media_places.content = media.content
            GROUP BY media.content HAVING refs != count(place)"#,
        "vector_of_other_length": r#"
            SELECT 'the vectors of encoder ' || lower(hex(fingerprint)) || ' as ' || kind
                || ' have between ' || min(length(vector)) || ' and ' || max(length(vector))
                || ' bytes' AS "message!: String"
            FROM embeddings GROUP BY fingerprint, kind
            HAVING min(length(vector)) != max(length(vector))
                OR max(length(vector)) % iif(kind = 'f16', 2, 4) != 0"#,
        "raw_not_packed": r#"
            SELECT 'the JSON of record `' || record_id || '` of data set `' || dataset
                || '` is no frame of zstd' AS "message!: String"
            FROM raw WHERE substr(body, 1, 4) != x'28b52ffd'"#,
    }
    lost_content(state, content, faults).await?;
    predictions(state, content, faults).await
}

/// A success whose content is not there: it was written to the state before its content was
/// durable, and the content was lost.
async fn lost_content(
    state: &mut SqliteConnection,
    content: &mut SqliteConnection,
    faults: &mut Faults,
) -> Result<(), Error> {
    let counted: BTreeMap<(String, String), i64> =
        sqlx::query!("SELECT run_id, task_id, rows_computed FROM task_progress")
            .fetch_all(&mut *content)
            .await?
            .into_iter()
            .map(|row| ((row.run_id, row.task_id), row.rows_computed))
            .collect();
    // The operators that count their batches; the others tell what they did without a count.
    let told = sqlx::query!(
        r#"SELECT attempts.run_id AS "run_id!", attempts.task_id AS "task_id!",
               max(rows_computed) AS "rows!: i64"
           FROM attempts JOIN tasks USING (run_id, position)
           WHERE attempts.state = 'succeeded' AND rows_computed > 0
             AND op IN ('scrape', 'refresh', 'fetch_images', 'caption', 'embed')
           GROUP BY attempts.run_id, position"#
    )
    .fetch_all(&mut *state)
    .await?;
    let lost = told.into_iter().filter_map(|row| {
        let key = (row.run_id, row.task_id);
        let stored = counted.get(&key).copied().unwrap_or(0);
        (stored < row.rows).then(|| {
            format!(
                "task `{}` of run {} succeeded with {} results, but content.db counts {stored}",
                key.1, key.0, row.rows
            )
        })
    });
    faults.add("lost_content", lost.collect());
    Ok(())
}

/// Records that are purged, and are there although nobody is about to remove them.
pub(super) async fn purged(
    key: &PurgeKey,
    content: &mut SqliteConnection,
    faults: &mut Faults,
) -> Result<(), Error> {
    let hashes: HashSet<Vec<u8>> = sqlx::query_scalar!("SELECT id_hash FROM purged")
        .fetch_all(&mut *content)
        .await?
        .into_iter()
        .collect();
    if hashes.is_empty() {
        return Ok(());
    }
    let stored = sqlx::query!(
        "SELECT dataset, id FROM records
         WHERE (dataset, id) NOT IN (SELECT dataset, record_id FROM purges)"
    )
    .fetch_all(&mut *content)
    .await?;
    let mut back = Vec::new();
    for row in stored {
        if hashes.contains(key.hash(&row.dataset, &row.id)?.as_slice()) {
            back.push(format!(
                "record `{}` of data set `{}` is purged, and is there",
                row.id, row.dataset
            ));
        }
    }
    faults.add("purged_record", back);
    Ok(())
}

/// Predictions by a version that does not exist.
async fn predictions(
    state: &mut SqliteConnection,
    content: &mut SqliteConnection,
    faults: &mut Faults,
) -> Result<(), Error> {
    let used = sqlx::query!("SELECT DISTINCT model, version FROM predictions")
        .fetch_all(&mut *content)
        .await?;
    let mut unknown = Vec::new();
    for row in used {
        let exists = sqlx::query_scalar!(
            "SELECT 1 FROM model_versions WHERE name = ? AND version = ?",
            row.model,
            row.version,
        )
        .fetch_optional(&mut *state)
        .await?;
        if exists.is_none() {
            unknown.push(format!(
                "records have predictions by `{}/{}`, which is not in the registry",
                row.model, row.version
            ));
        }
    }
    faults.add("prediction_of_unknown_version", unknown);
    Ok(())
}
