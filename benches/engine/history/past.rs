//! One past run, many times.

use std::path::Path;

use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

/// Repeats the one run of a store, with its tasks, attempts and transitions, `past` times.
pub(crate) async fn multiply(file: &Path, past: usize) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    // Written for the columns that there are, so that a migration does not break it. A copy's id
    // is its number in the last twelve digits: it sorts before the ids of real runs.
    let text = format!(
        "CREATE TEMP TABLE numbers AS WITH RECURSIVE counter (n) AS (
             SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < {past})
         SELECT n, printf('00000000-0000-7000-8000-%012x', n) AS id FROM counter"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(text))
        .execute(&mut connection)
        .await?;
    for (table, changed) in [
        (
            "runs",
            &[("id", "numbers.id"), ("identity", "numbers.id")][..],
        ),
        ("tasks", &[("run_id", "numbers.id")]),
        (
            "attempts",
            &[
                ("run_id", "numbers.id"),
                ("id", "numbers.id || '-' || position"),
            ],
        ),
        ("transitions", &[("run_id", "numbers.id"), ("id", "NULL")]),
    ] {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT '\"' || name || '\"' FROM pragma_table_info(?)")
                .bind(table)
                .fetch_all(&mut connection)
                .await?;
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                changed
                    .iter()
                    .find(|(name, _)| *column == format!("\"{name}\""))
                    .map_or_else(|| format!("t.{column}"), |(_, value)| (*value).to_owned())
            })
            .collect();
        let key = if table == "runs" { "id" } else { "run_id" };
        let text = format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {table} AS t, numbers
             WHERE t.{key} NOT LIKE '00000000-%'",
            columns.join(", "),
            values.join(", "),
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(text))
            .execute(&mut connection)
            .await?;
    }
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE")
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}
