//! Asks about images, with patience and within bounds.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::sleep};

use super::{
    Manners, Question, Refusal, Server,
    exchange::{Kind, Line, Trouble},
    health::Health,
};
use crate::{corpus::ContentHash, encoders::Error, media::Limits};

/// Says whether one more request may be sent, and counts it.
pub type Allowance = Box<dyn Fn() -> bool + Send + Sync>;

/// How often and how patiently one image is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How often a request is sent.
    pub(super) tries: u32,
    /// The pause before the second try; each further one is twice as long.
    pub(super) first_pause: Duration,
    /// Where a server asks for a longer pause, the work is given up until then.
    pub(super) longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 5,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_mins(2),
        }
    }
}

/// A caption that a server gave.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedCaption {
    /// The caption.
    pub text: String,
    /// The question, why the model ended, and the tokens that it took.
    pub details: Value,
}

/// Asks one server one question about many images.
pub struct Client {
    line: Line,
    question: Question,
    permits: Semaphore,
    health: Health,
    allowance: Option<Allowance>,
    limits: Limits,
    patience: Patience,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("line", &self.line)
            .field("question", &self.question)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client for as many images as there are; `allowance` may end it sooner.
    ///
    /// # Errors
    ///
    /// Where the address or the key cannot be used.
    pub fn new(
        server: &Server,
        question: Question,
        manners: &Manners,
        allowance: Option<Allowance>,
    ) -> Result<Self, Error> {
        Ok(Self {
            line: Line::new(server, manners.request_timeout)?,
            question,
            permits: Semaphore::new(manners.concurrency.max(1)),
            health: Health::new(),
            allowance,
            limits: manners.limits,
            patience: Patience::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The caption of the image that is the file `image`.
    ///
    /// It may be called for as many images at once as there is memory for; no more are asked about
    /// at once than the manners say. What may pass is tried again after a pause that grows, varies
    /// from image to image and is never shorter than the server asks for.
    ///
    /// # Errors
    ///
    /// Where the image has no caption; [`Refusal`] says whether others may have one.
    pub async fn caption(self: &Arc<Self>, image: Vec<u8>) -> Result<ServedCaption, Refusal> {
        self.health.check()?;
        let preparing = Arc::clone(self);
        let prepared = tokio::task::spawn_blocking(move || {
            let seed = ContentHash::of(&image);
            Ok((seed, preparing.question.body(&image, &preparing.limits)?))
        });
        let (seed, body) = prepared.await.unwrap_or_else(|_| {
            Err(Refusal::Image {
                reason: "corrupt".to_owned(),
                message: "the image cannot be decoded".to_owned(),
            })
        })?;
        let _permit = self.permits.acquire().await.expect("it is never closed");
        self.ask(&body, seed).await
    }

    async fn ask(&self, body: &[u8], seed: ContentHash) -> Result<ServedCaption, Refusal> {
        let mut tries = 0;
        loop {
            self.health.ready().await?;
            if self.allowance.as_ref().is_some_and(|allow| !allow()) {
                return Err(Refusal::Budget);
            }
            tries += 1;
            let trouble = match self.line.ask(body).await {
                Ok(answer) => {
                    self.health.answered();
                    return Ok(ServedCaption {
                        details: json!({
                            "model": self.question.model,
                            "prompt": self.question.prompt,
                            "max_tokens": self.question.max_tokens,
                            "finish_reason": answer.finish_reason,
                            "usage": answer.usage,
                        }),
                        text: answer.text,
                    });
                }
                Err(trouble) => trouble,
            };
            let pause = self.pause(&trouble, tries, seed)?;
            let Some(pause) = pause else {
                return Err(self.health.strike(trouble));
            };
            tracing::debug!(image = %seed, reason = %trouble.reason, ?pause, "asking again");
            if trouble.reason == "rate_limited" {
                self.health.hold(pause);
            }
            sleep(pause).await;
        }
    }

    /// How long to wait before the next try; `None` where there is none.
    fn pause(
        &self,
        trouble: &Trouble,
        tries: u32,
        seed: ContentHash,
    ) -> Result<Option<Duration>, Refusal> {
        let told = match trouble.kind {
            Kind::Passing(told) => told,
            Kind::Absent => None,
            Kind::Late | Kind::Lasting | Kind::Refused => return Ok(None),
        };
        if let Some(told) = told.filter(|told| *told > self.patience.longest_pause) {
            return Err(self.health.busy(trouble.message.clone(), told));
        }
        if tries >= self.patience.tries {
            return Ok(None);
        }
        let growing = self.patience.first_pause * 2_u32.pow(tries - 1);
        let share = share(seed, tries);
        Ok(Some(match told {
            Some(told) => told + self.patience.first_pause.mul_f64(share),
            None => growing.mul_f64(0.5 + share / 2.0),
        }))
    }
}

/// A number from 0 to 1 that is another one for each image and try, and the same in each run.
fn share(seed: ContentHash, tries: u32) -> f64 {
    let mixed = ContentHash::of(format!("{seed} {tries}"));
    let [first, second, ..] = *mixed.as_bytes();
    f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX)
}
