//! A store with a long past.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{chain, daemon::Daemon, measure, start};

/// Milliseconds until work could begin.
pub(crate) struct Ready {
    /// From opening the databases to an engine that takes on runs.
    pub(crate) engine: f64,
    /// Of a whole process that lists one run.
    pub(crate) command: f64,
    /// From the start of the daemon's process to its first answer that it is ready.
    pub(crate) daemon: f64,
    /// Resident megabytes of the idle daemon.
    pub(crate) resident: f64,
    /// What the idle daemon takes of a core, in per cent.
    pub(crate) core: f64,
}

/// Starts an engine on a store with so many past runs; the median of five starts.
pub(crate) async fn start_to_ready(past: usize) -> anyhow::Result<Ready> {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let engine = start(home.path()).await?;
    measure(&engine, &chain(3)).await?;
    engine.handle.drain();
    engine.handle.stopped_for_good().await;
    drop(engine);
    multiply(&home.path().join("data/state.db"), past).await?;
    let (mut engines, mut commands, mut daemons) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = Instant::now();
        let engine = start(home.path()).await?;
        engines.push(began.elapsed().as_secs_f64() * 1e3);
        engine.handle.drain();
        engine.handle.stopped_for_good().await;
        let began = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_trendmill"))
            .arg("--home")
            .arg(home.path())
            .args(["--json", "runs", "list", "--limit", "1"])
            .output()?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        commands.push(began.elapsed().as_secs_f64() * 1e3);
        daemons.push(Daemon::start(home.path())?.ready);
    }
    let (resident, core) = Daemon::start(home.path())?.idle(Duration::from_secs(20))?;
    Ok(Ready {
        engine: crate::median(&mut engines),
        command: crate::median(&mut commands),
        daemon: crate::median(&mut daemons),
        resident,
        core,
    })
}

/// Repeats the one run of a store, with its tasks, attempts and transitions, `past` times.
async fn multiply(file: &Path, past: usize) -> anyhow::Result<()> {
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
