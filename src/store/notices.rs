//! Notices: what people are to be told, once per cause.

mod causes;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use causes::{RunEnd, RunEnds};

use super::{Error, Store};
use crate::clock::Timestamp;

/// Something that people are to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNotice {
    /// What it is about; while a notice of the same cause stands, nobody is told again.
    pub cause: String,
    /// Its kind: `run_failed`, …
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// What a program may want to know; an object.
    pub details: Value,
    /// How often it came.
    pub times: u32,
    /// Whether it is over as soon as it is told.
    pub passing: bool,
    /// It is raised only where this cause stood and is gone with the same write.
    pub ends: Option<String>,
    /// The ways on which it is sent.
    pub ways: Vec<&'static str>,
}

/// A notice as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NoticeRow {
    /// Its number.
    pub id: i64,
    /// What it is about.
    pub cause: String,
    /// Its kind.
    pub kind: String,
    /// Whether what it tells still holds.
    pub state: NoticeState,
    /// For people.
    pub message: String,
    /// What a program may want to know.
    #[schema(value_type = Object)]
    pub details: Value,
    /// How often it came while it stood.
    pub times: u32,
    /// When it came first.
    pub raised_at: Timestamp,
    /// When it came last.
    pub last_at: Timestamp,
    /// When it was over.
    pub cleared_at: Option<Timestamp>,
    /// When it was last sent on some way.
    pub sent_at: Option<Timestamp>,
    /// The ways on which it is still to be sent.
    pub pending: Vec<String>,
    /// How often sending failed.
    pub tries: u32,
    /// Why sending failed last.
    pub error: Option<String>,
}

/// Whether what a notice tells still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// It does.
    Open,
    /// It is over.
    Closed,
}

impl NoticeState {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Which notices are listed.
#[derive(Clone, Copy, Debug)]
pub struct NoticeFilter {
    /// Only those in this state.
    pub state: Option<NoticeState>,
    /// Only those older than this one.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

impl Store {
    /// Raises and clears notices and moves the cursor, in one transaction.
    ///
    /// A notice whose cause stands is counted and not sent again; `clear` names causes that are
    /// gone, which arms them again.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.notices.write", skip_all, level = "debug")]
    pub async fn write_notices(
        &self,
        raise: &[NewNotice],
        clear: &[String],
        cursor: Option<i64>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let now = now.as_millis();
        let mut transaction = self.state.write().await?;
        let clear = serde_json::to_string(clear).expect("plain data");
        let gone = sqlx::query_scalar!(
            "UPDATE notices SET cleared_at = ?
             WHERE cleared_at IS NULL AND cause IN (SELECT value FROM json_each(?))
             RETURNING cause",
            now,
            clear,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let due = |notice: &&NewNotice| {
            notice
                .ends
                .as_ref()
                .is_none_or(|cause| gone.contains(cause))
        };
        for notice in raise.iter().filter(due) {
            let details = notice.details.to_string();
            let pending = serde_json::to_string(&notice.ways).expect("plain data");
            let cleared_at = notice.passing.then_some(now);
            sqlx::query!(
                "INSERT INTO notices (cause, kind, message, details, times, raised_at, last_at,
                     cleared_at, pending, tries, next_try)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)
                 ON CONFLICT (cause) WHERE cleared_at IS NULL DO UPDATE SET
                     times = times + excluded.times, last_at = excluded.last_at",
                notice.cause,
                notice.kind,
                notice.message,
                details,
                notice.times,
                now,
                now,
                cleared_at,
                pending,
                now,
            )
            .execute(&mut *transaction)
            .await?;
        }
        if let Some(cursor) = cursor {
            sqlx::query!(
                "INSERT INTO notice_cursor (one, transition_id) VALUES (1, ?)
                 ON CONFLICT (one) DO UPDATE SET transition_id = excluded.transition_id",
                cursor,
            )
            .execute(&mut *transaction)
            .await?;
        }
        self.state.commit(transaction, "notices").await?;
        Ok(())
    }

    /// Notices, the newest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.notices.list", skip_all, level = "debug")]
    pub async fn notices(&self, filter: &NoticeFilter) -> Result<Vec<NoticeRow>, Error> {
        let open = filter.state.map(|state| state == NoticeState::Open);
        let rows = sqlx::query_as!(
            RawNotice,
            "SELECT id, cause, kind, message, details, times, raised_at, last_at, cleared_at,
                 sent_at, pending, tries, error
             FROM notices
             WHERE (?1 IS NULL OR (cleared_at IS NULL) = ?1) AND (?2 IS NULL OR id < ?2)
             ORDER BY id DESC LIMIT ?3",
            open,
            filter.before,
            filter.limit,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(NoticeRow::try_from).collect()
    }

    /// The notices that stand, oldest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn standing_notices(&self) -> Result<Vec<NoticeRow>, Error> {
        let rows = sqlx::query_as!(
            RawNotice,
            "SELECT id, cause, kind, message, details, times, raised_at, last_at, cleared_at,
                 sent_at, pending, tries, error
             FROM notices WHERE cleared_at IS NULL ORDER BY id",
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(NoticeRow::try_from).collect()
    }

    /// The notices that are to be sent now on some way, oldest first.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    #[tracing::instrument(name = "db.notices.due", skip_all, level = "debug")]
    pub async fn due_notices(&self, now: Timestamp) -> Result<Vec<NoticeRow>, Error> {
        let now = now.as_millis();
        let rows = sqlx::query_as!(
            RawNotice,
            "SELECT id, cause, kind, message, details, times, raised_at, last_at, cleared_at,
                 sent_at, pending, tries, error
             FROM notices WHERE pending <> '[]' AND next_try <= ? ORDER BY id LIMIT 100",
            now,
        )
        .fetch_all(self.state.read())
        .await?;
        rows.into_iter().map(NoticeRow::try_from).collect()
    }

    /// When the next notice is to be sent.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn next_notice(&self) -> Result<Option<Timestamp>, Error> {
        let next = sqlx::query_scalar!(
            r#"SELECT min(next_try) AS "next: i64" FROM notices WHERE pending <> '[]'"#
        )
        .fetch_one(self.state.read())
        .await?;
        Ok(next.map(Timestamp::from_millis))
    }

    /// Notes what became of sending notices: `pending` is where it is still to be sent, `arrived`
    /// whether somebody got it just now, `error` why somebody did not, and `next_try` when it is
    /// tried again.
    ///
    /// # Errors
    ///
    /// Where the database fails.
    pub async fn note_sending(
        &self,
        notices: &[i64],
        pending: &[String],
        arrived: bool,
        error: Option<&str>,
        next_try: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let ids = serde_json::to_string(notices).expect("plain data");
        let pending = serde_json::to_string(pending).expect("plain data");
        let failed = error.is_some();
        let (now, next_try) = (now.as_millis(), next_try.as_millis());
        let mut transaction = self.state.write().await?;
        sqlx::query!(
            "UPDATE notices SET pending = ?1, error = ?2, next_try = ?3, tries = tries + ?4,
                 sent_at = CASE WHEN ?5 THEN ?6 ELSE sent_at END
             WHERE id IN (SELECT value FROM json_each(?7))",
            pending,
            error,
            next_try,
            failed,
            arrived,
            now,
            ids,
        )
        .execute(&mut *transaction)
        .await?;
        self.state.commit(transaction, "sending").await?;
        Ok(())
    }
}

/// The columns of a notice as they are stored.
#[derive(Debug)]
struct RawNotice {
    id: i64,
    cause: String,
    kind: String,
    message: String,
    details: String,
    times: i64,
    raised_at: i64,
    last_at: i64,
    cleared_at: Option<i64>,
    sent_at: Option<i64>,
    pending: String,
    tries: i64,
    error: Option<String>,
}

impl TryFrom<RawNotice> for NoticeRow {
    type Error = Error;

    fn try_from(raw: RawNotice) -> Result<Self, Error> {
        let bad = |column, error: serde_json::Error| Error::Inconsistent {
            table: "notices",
            column,
            row: raw.id.to_string(),
            message: error.to_string(),
        };
        Ok(Self {
            details: serde_json::from_str(&raw.details).map_err(|e| bad("details", e))?,
            pending: serde_json::from_str(&raw.pending).map_err(|e| bad("pending", e))?,
            id: raw.id,
            state: match raw.cleared_at {
                None => NoticeState::Open,
                Some(_) => NoticeState::Closed,
            },
            cause: raw.cause,
            kind: raw.kind,
            message: raw.message,
            times: super::runs::count(raw.times),
            raised_at: Timestamp::from_millis(raw.raised_at),
            last_at: Timestamp::from_millis(raw.last_at),
            cleared_at: raw.cleared_at.map(Timestamp::from_millis),
            sent_at: raw.sent_at.map(Timestamp::from_millis),
            tries: super::runs::count(raw.tries),
            error: raw.error,
        })
    }
}
