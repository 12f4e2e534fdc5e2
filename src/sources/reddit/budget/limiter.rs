//! Waits until a call may leave, and books what came of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;

use super::{
    account::{Bounds, Came, Cause, Verdict},
    answer::{Answer, HostRule},
    class::CallClass,
    ledger::{Book, Ledger},
    sheet::{BudgetSheet, Mishap},
    told::Told,
};
use crate::{
    clock::{Clock, Timestamp},
    sources::Error,
};

/// The longest wait in place, which is a window of the server. For more, a task gives up its slot.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// A call whose answer takes longer than its limit has arrived by then, or never will.
const GRACE: Duration = Duration::from_secs(30);

/// How waiting is done: by the runtime, or in simulated time.
pub(crate) trait Timer: Send + Sync + fmt::Debug {
    /// Is done after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The timer of the runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemTimer;

impl Timer for SystemTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// How much is asked, where the server does not say less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The most calls in a window; `None` for what the server grants.
    pub calls_per_window: Option<u64>,
    /// The limit for a whole answer.
    pub total_timeout: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            calls_per_window: None,
            total_timeout: Duration::from_mins(1),
        }
    }
}

/// Lets calls of one client id leave when they may.
#[derive(Clone, Debug)]
pub(in super::super) struct Limiter {
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    timer: Arc<dyn Timer>,
    bounds: Bounds,
    server: Arc<ServerTime>,
}

/// What the answers to this process have told of the server's time.
#[derive(Debug, Default)]
struct ServerTime {
    /// How many milliseconds it is ahead of this machine's.
    ahead: AtomicI64,
    /// Whether it was said that they are far apart.
    told: AtomicBool,
}

/// Clocks that are closer are taken as equal: the server tells whole seconds, some time after it
/// read its clock.
const EQUAL: i64 = 2_000;

/// Clocks that are further apart are worth a word.
const FAR_APART: i64 = 30_000;

impl ServerTime {
    /// Follows the time that the server told when this machine's was `heard_at`.
    fn follow(&self, date: Timestamp, heard_at: Timestamp) {
        // The date is cut to whole seconds: on average it is half a second later.
        let ahead = date.as_millis().saturating_add(500) - heard_at.as_millis();
        let ahead = if ahead.abs() < EQUAL { 0 } else { ahead };
        self.ahead.store(ahead, Ordering::Relaxed);
        if ahead.abs() >= FAR_APART && !self.told.swap(true, Ordering::Relaxed) {
            let side = if ahead > 0 { "behind" } else { "ahead of" };
            tracing::warn!(
                "this machine's clock is {} s {side} the server's; readings follow the server's, \
                 but what is due and which days are over follow this machine's: set its clock",
                ahead.abs() / 1000
            );
        }
    }
}

/// A call that may leave now. Whoever drops it without settling it has asked, and heard nothing.
#[derive(Debug)]
#[must_use]
pub(in super::super) struct Permit {
    host: String,
    /// Its number and class in the budget; none for a call that is not counted.
    counted: Option<(u64, CallClass)>,
}

/// What came of a call, and when its first word was heard.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Outcome {
    pub(in super::super) answer: Answer,
    pub(in super::super) came: Came,
    pub(in super::super) heard_at: Timestamp,
}

/// A wait of this length is told, so that nobody takes it for a standstill.
const WORTH_TELLING: Duration = Duration::from_secs(10);

impl Limiter {
    pub(in super::super) fn new(
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        timer: Arc<dyn Timer>,
        manners: Manners,
    ) -> Self {
        let bounds = Bounds {
            ceiling: manners.calls_per_window,
            life: manners.total_timeout + GRACE,
        };
        Self {
            ledger,
            clock,
            timer,
            bounds,
            server: Arc::default(),
        }
    }

    /// The server's time, as its answers tell it; this machine's before the first.
    pub(in super::super) fn server_now(&self) -> Timestamp {
        let ahead = self.server.ahead.load(Ordering::Relaxed);
        Timestamp::from_millis(self.clock.now().as_millis().saturating_add(ahead))
    }

    pub(in super::super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(in super::super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Waits in this process alone.
    pub(in super::super) async fn pause(&self, duration: Duration) {
        self.timer.sleep(duration).await;
    }

    /// Waits until a call to `host` may leave; with a class it is one that the server counts.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`] where that is further away than a window.
    pub(in super::super) async fn acquire(
        &self,
        host: &str,
        class: Option<CallClass>,
    ) -> Result<Permit, Error> {
        loop {
            let (now, bounds, name) = (self.clock.now(), self.bounds, host.to_owned());
            let turn = self
                .ledger
                .change(move |book| turn(book, now, &name, class, bounds))
                .await?;
            let (wait, why) = match turn {
                Turn::Go(number) => {
                    return Ok(Permit {
                        host: host.to_owned(),
                        counted: number.zip(class),
                    });
                }
                Turn::Wait(wait, why) => (wait, why),
            };
            if wait > LONGEST_WAIT {
                return Err(Error::RateLimited {
                    message: format!("`{host}` is not asked now: {why}"),
                    reset: wait,
                });
            }
            if wait >= WORTH_TELLING {
                let until = now + wait;
                tracing::info!(host, %until, why, "waiting before the next call");
            } else {
                tracing::trace!(host, ?wait, why, "a call waits");
            }
            self.timer.sleep(wait.max(Duration::from_millis(50))).await;
        }
    }

    /// Books what came of a call; `what` says what was asked, without anything secret.
    pub(in super::super) async fn settle(
        &self,
        permit: Permit,
        outcome: Outcome,
        what: &str,
    ) -> Result<(), Error> {
        if let Came::Answer(told) = outcome.came
            && let Some(date) = told.date
        {
            self.server.follow(date, outcome.heard_at);
        }
        let mishap = (outcome.answer != Answer::Good).then(|| Mishap {
            at: outcome.heard_at,
            host: permit.host.clone(),
            answer: outcome.answer,
            what: what.to_owned(),
        });
        self.ledger
            .change(move |book| book_outcome(book, &permit, outcome, mishap))
            .await
    }

    /// The budget as it stands.
    pub(in super::super) fn sheet(&self) -> Result<BudgetSheet, Error> {
        self.ledger.sheet(self.clock.now(), self.bounds.ceiling)
    }
}

/// Whether a call may leave.
enum Turn {
    Go(Option<u64>),
    Wait(Duration, &'static str),
}

fn turn(
    book: &mut Book,
    now: Timestamp,
    host: &str,
    class: Option<CallClass>,
    bounds: Bounds,
) -> Turn {
    let wait = book.breaker(host).wait(now);
    if !wait.is_zero() {
        return Turn::Wait(wait, "it failed too often; see `trendmill reddit status`");
    }
    let verdict = match class {
        Some(class) => Some(book.budget.reserve(now, class, bounds)),
        // A token is not counted, and not asked for either while the server wants to be left alone.
        None => book
            .budget
            .stopped(now)
            .map(|left| Verdict::Wait(left, Cause::Stopped)),
    };
    let number = match verdict {
        None => None,
        Some(Verdict::Go(number)) => Some(number),
        Some(Verdict::Wait(wait, cause)) => {
            let why = match cause {
                Cause::Stopped => "it refused to be asked so often",
                Cause::Probing => "the answer that tells the budget is awaited",
                Cause::Spent => "the budget of requests is spent",
                Cause::Paced => "the calls are spread over the window",
            };
            return Turn::Wait(wait, why);
        }
    };
    book.breaker(host).leave(now);
    Turn::Go(number)
}

fn book_outcome(book: &mut Book, permit: &Permit, outcome: Outcome, mishap: Option<Mishap>) {
    let now = outcome.heard_at;
    if let Some((number, _)) = permit.counted {
        book.budget.settle(now, number, outcome.came);
    }
    if outcome.answer == Answer::TooMuch {
        let told = match outcome.came {
            Came::Answer(told) => told,
            Came::Unsent | Came::Silence => Told::default(),
        };
        book.budget.refuse(now, told);
    }
    let breaker = book.breaker(&permit.host);
    match outcome.answer.host_rule() {
        HostRule::Well => breaker.answered(),
        HostRule::Failing => breaker.failed(now),
        HostRule::Blocked => breaker.blocked(now),
    }
    if let Some(mishap) = mishap {
        book.note(mishap);
    }
}
