//! What is known of a server: whether to ask it, and when.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    Fault, Refusal,
    exchange::{Kind, Trouble},
};

/// After so many images in a row without a caption the server is asked no more.
pub(super) const STRIKES: u32 = 10;

/// What is known of a server.
#[derive(Debug)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Images in a row without a caption.
    strikes: u32,
    /// Why it is asked no more.
    fault: Option<Fault>,
    /// No request leaves before this moment.
    not_before: Instant,
}

impl Health {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            strikes: 0,
            fault: None,
            not_before: Instant::now(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it may be asked at all.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.state().fault.clone().map_or(Ok(()), Err)
    }

    /// Waits until it takes requests.
    pub(super) async fn ready(&self) -> Result<(), Fault> {
        loop {
            self.check()?;
            let not_before = self.state().not_before;
            let left = not_before.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left).await;
        }
    }

    /// It has asked all of us to wait.
    pub(super) fn hold(&self, pause: Duration) {
        let mut state = self.state();
        state.not_before = state.not_before.max(Instant::now() + pause);
    }

    /// It has given a caption.
    pub(super) fn answered(&self) {
        self.state().strikes = 0;
    }

    /// An image has no caption after all tries; what that says of the others.
    pub(super) fn strike(&self, trouble: Trouble) -> Refusal {
        let mut state = self.state();
        if let Some(fault) = &state.fault {
            return fault.clone().into();
        }
        state.strikes += 1;
        let fault = match trouble.kind {
            Kind::Refused => Fault::Refused(trouble.message),
            Kind::Absent => Fault::Down(trouble.message),
            _ if state.strikes < STRIKES => {
                return Refusal::Image {
                    reason: trouble.reason.into_owned(),
                    message: trouble.message,
                };
            }
            kind => {
                let message = format!(
                    "{STRIKES} images in a row have no caption, the last because {}",
                    trouble.message
                );
                match kind {
                    Kind::Passing(after) if trouble.reason == "rate_limited" => {
                        Fault::Busy { message, after }
                    }
                    Kind::Lasting => Fault::Refused(message),
                    _ => Fault::Down(message),
                }
            }
        };
        state.fault = Some(fault.clone());
        fault.into()
    }

    /// It asks for more patience than a request has.
    pub(super) fn busy(&self, message: String, after: Duration) -> Refusal {
        let fault = Fault::Busy {
            message,
            after: Some(after),
        };
        self.state().fault = Some(fault.clone());
        fault.into()
    }
}
