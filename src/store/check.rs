//! Rows that contradict each other: what the model forbids, found in the two databases.
//!
//! Each rule is one statement that answers with a sentence per contradiction. A sound store has
//! none at any instant, whatever died when: that is what the kill tests ask after every kill.

mod attempts;
mod content;
mod runs;

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Error, Store};

/// The most sentences that one rule gives: damage comes in thousands.
const MOST: usize = 100;

/// A contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The rule that is broken; stable.
    pub code: &'static str,
    /// Which rows break it, and how.
    pub message: String,
}

/// The faults found so far.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    /// Notes what a rule has found.
    fn add(&mut self, code: &'static str, messages: Vec<String>) {
        let more = messages.len().saturating_sub(MOST);
        self.0.extend(
            messages
                .into_iter()
                .take(MOST)
                .map(|message| Fault { code, message }),
        );
        if more > 0 {
            self.0.push(Fault {
                code,
                message: format!("and {more} more like these"),
            });
        }
    }
}

impl Store {
    /// Every contradiction between the rows of this store; none where it is sound.
    ///
    /// Each database is read as of one instant, so a store that is at work may be asked.
    ///
    /// # Errors
    ///
    /// Where a database cannot be read.
    #[tracing::instrument(name = "db.check", skip_all)]
    pub async fn faults(&self) -> Result<Vec<Fault>, Error> {
        let mut faults = Faults::default();
        // The state first: what it says was done was durable before, so its content is in what is
        // read afterwards. Read the other way round, a run at work would seem to have lost some.
        let mut state = self.state.read().begin().await?;
        let mut content = self.content.read().begin().await?;
        file(&mut state, "state.db", &mut faults).await?;
        file(&mut content, "content.db", &mut faults).await?;
        runs::check(&mut state, &mut faults).await?;
        attempts::check(&mut state, &mut faults).await?;
        content::check(&mut state, &mut content, &mut faults).await?;
        content::purged(&self.purge_key, &mut content, &mut faults).await?;
        Ok(faults.0)
    }
}

/// What SQLite itself checks: pages, indexes, constraints, foreign keys.
async fn file(
    connection: &mut SqliteConnection,
    name: &str,
    faults: &mut Faults,
) -> Result<(), Error> {
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut *connection)
        .await?;
    let lines = lines.into_iter().filter(|line| line != "ok");
    faults.add(
        "damaged_file",
        lines.map(|line| format!("{name}: {line}")).collect(),
    );
    let rows: Vec<(String, Option<i64>, String)> =
        sqlx::query_as("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check")
            .fetch_all(&mut *connection)
            .await?;
    let dangling = rows.into_iter().map(|(table, row, parent)| {
        let row = row.map_or_else(String::new, |row| format!(" {row}"));
        format!("{name}: row{row} of `{table}` points at a row of `{parent}` that is not there")
    });
    faults.add("dangling_reference", dangling.collect());
    Ok(())
}

/// Runs rules of the form `code: statement`, whose one column `message` is a sentence.
macro_rules! rules {
    ($connection:expr, $faults:expr, $($code:literal: $statement:literal,)+) => {
        $(
            let messages = sqlx::query_scalar!($statement)
                .fetch_all(&mut *$connection)
                .await?;
            $faults.add($code, messages);
        )+
    };
}
use rules;

#[cfg(test)]
mod tests;
