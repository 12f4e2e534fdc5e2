//! The budget of a client id for people.

use serde::{Deserialize, Serialize};

use super::{answer::Answer, class::CallClass, ledger::Ledger, window::WINDOW};
use crate::{clock::Timestamp, sources::Error};

/// The budget of a client id at one moment. Times are this machine's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetSheet {
    /// When it was read.
    pub read_at: Timestamp,
    /// How many seconds the server's clock is ahead of this machine's; `null` before any answer.
    pub clock_ahead: Option<f64>,
    /// When a call left last; `null` where nothing was asked yet.
    pub last_call: Option<Timestamp>,
    /// The window that the server told last; `null` before it has told one.
    pub window: Option<WindowSheet>,
    /// By class, the most important first.
    pub classes: Vec<ClassSheet>,
    /// Calls that have left and are not answered.
    pub in_flight: u64,
    /// Until then the server has refused to be asked.
    pub stopped_until: Option<Timestamp>,
    /// By host.
    pub breakers: Vec<BreakerSheet>,
    /// What went wrong, the latest first.
    pub last_errors: Vec<Mishap>,
}

/// A window of the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowSheet {
    /// When it began.
    pub start: Timestamp,
    /// When it ends and the server counts anew.
    pub reset: Timestamp,
    /// Whether that is past: nothing is known of the present window yet.
    pub is_over: bool,
    /// How many calls the server grants in it.
    pub limit: u64,
    /// How many it has counted, whoever asked.
    pub used: u64,
    /// How many are left by its count, without those that it may have counted since.
    pub remaining: u64,
    /// Calls that it may have counted without having told so.
    pub unaccounted: u64,
}

/// What a class has of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassSheet {
    /// The class.
    pub class: CallClass,
    /// How many calls were made for it in the window.
    pub calls: u64,
    /// How many are kept for it now.
    pub reserved: u64,
}

/// Whether a host is asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BreakerSheet {
    /// The host.
    pub host: String,
    /// `closed` (it is asked), `open` (it is left alone) or `half_open` (one call tries it).
    pub state: &'static str,
    /// Failures in a row.
    pub failures: u32,
    /// Until when it is left alone.
    pub until: Option<Timestamp>,
}

/// An answer that was none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mishap {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub host: String,
    /// Its kind; see the table of rules.
    pub(super) answer: Answer,
    /// What was asked, and what was answered.
    pub what: String,
}

impl Mishap {
    /// The kind of the answer, in words.
    pub fn meaning(&self) -> &'static str {
        self.answer.meaning()
    }
}

impl Ledger {
    /// The budget at `now`; `ceiling` is the most calls that the settings allow in a window.
    ///
    /// # Errors
    ///
    /// [`Error::Unfit`] where the file cannot be read.
    pub fn sheet(&self, now: Timestamp, ceiling: Option<u64>) -> Result<BudgetSheet, Error> {
        let book = self.read()?;
        let budget = &book.budget;
        let server_now = budget.server_time(now);
        let here = |at: Timestamp| Timestamp::from_millis(at.as_millis() - budget.offset);
        let window = budget.window.as_ref();
        let classes = CallClass::ALL.into_iter().map(|class| ClassSheet {
            class,
            calls: window.map_or(0, |window| window.calls.get(&class).copied().unwrap_or(0)),
            reserved: window.map_or(0, |window| {
                let limit = ceiling.unwrap_or(u64::MAX).min(window.limit);
                window.kept_for(class, limit, server_now)
            }),
        });
        let breakers = book.breakers.iter().map(|(host, breaker)| BreakerSheet {
            host: host.clone(),
            state: breaker.state(now),
            failures: breaker.failures,
            until: breaker.open.as_ref().map(|open| open.until),
        });
        Ok(BudgetSheet {
            read_at: now,
            clock_ahead: (window.is_some() || budget.offset != 0)
                .then(|| budget.offset as f64 / 1000.0),
            last_call: budget.last_start.map(here),
            window: window.map(|window| WindowSheet {
                start: here(window.end - WINDOW),
                reset: here(window.end),
                is_over: server_now >= window.end,
                limit: window.limit,
                used: window.limit.saturating_sub(window.left),
                remaining: window.left,
                unaccounted: budget.strays.len() as u64,
            }),
            classes: classes.collect(),
            in_flight: budget.flights.len() as u64,
            stopped_until: budget
                .stop
                .map(|stop| here(stop.until))
                .filter(|until| *until > now),
            breakers: breakers.collect(),
            last_errors: book.mishaps.iter().rev().cloned().collect(),
        })
    }
}
