//! Captions from a server that speaks `/v1/chat/completions`: vLLM, llama.cpp, Ollama, a service.
//!
//! Begin at [`Client::caption`]. An image leaves this machine as a small JPEG inside the request,
//! never as an address, and goes to the one server that the settings name. [`Question`] is what
//! makes captions comparable; [`Manners`] is how the server is treated.
//!
//! What can go wrong is of one of two kinds. [`Refusal::Image`] concerns one image, with one of
//! these reasons: `timeout`, `rate_limited`, `http_STATUS`, `disconnected`, `html`, `malformed`,
//! `empty`, `refused` (by the model), `too_big` (the answer), and those of `media` for files that
//! are no images. [`Fault`] concerns the server: nobody is there, it refuses the key or the model,
//! or so many images in a row failed that asking on is useless.

mod answer;
mod client;
mod exchange;
mod health;
mod picture;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::client::{Allowance, Client, ServedCaption};
pub use self::exchange::look;

use super::Error;
use crate::{config::Secret, corpus::Fingerprint, media::Limits, net::NetSettings};

/// The name of this captioner in pipelines.
pub const NAME: &str = "openai";

/// What is done with an image and asked of the model beside the words, with a version.
const WAY: &str = "upright over white, JPEG 90, temperature 0, seed 7, 1";

/// The server of the settings, and what it is asked where a task does not say.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The server, where one is named.
    pub server: Option<Server>,
    /// The model, where one is named.
    pub model: Option<String>,
    /// What the model is told to do.
    pub prompt: String,
    /// The longest caption, in tokens.
    pub max_tokens: usize,
    /// The longer side of what is sent, in pixels.
    pub max_side: usize,
    /// How the server is treated.
    pub manners: Manners,
    /// How many requests a task may send in one run.
    pub budget: Option<u64>,
}

/// Where to ask.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address, without `/v1`.
    pub base_url: String,
    /// The key that it wants.
    pub key: Option<Secret>,
    /// Who asks, and how long a connection may take.
    pub net: NetSettings,
}

/// How the server is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// How many images are asked about at once.
    pub concurrency: usize,
    /// How long one answer may take.
    pub request_timeout: Duration,
    /// What an image may cost before it is scaled down.
    pub limits: Limits,
}

/// What is asked about each image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    /// The model, as the server calls it.
    pub model: String,
    /// What it is told to do.
    pub prompt: String,
    /// The longest caption, in tokens.
    pub max_tokens: usize,
    /// The longer side of what is sent, in pixels.
    pub max_side: usize,
}

impl Defaults {
    /// What is asked, where `model`, `prompt` and `max_tokens` say so instead.
    ///
    /// # Errors
    ///
    /// Where neither they nor the settings name a model.
    pub fn question(
        &self,
        model: Option<String>,
        prompt: Option<String>,
        max_tokens: Option<usize>,
    ) -> Result<Question, Error> {
        let unset = "no model is named for the captioner `openai`; set `captioner.openai.model`";
        Ok(Question {
            model: model
                .or_else(|| self.model.clone())
                .ok_or_else(|| Error::Server(unset.to_owned()))?,
            prompt: prompt.unwrap_or_else(|| self.prompt.clone()),
            max_tokens: max_tokens.unwrap_or(self.max_tokens),
            max_side: self.max_side,
        })
    }

    /// The server.
    ///
    /// # Errors
    ///
    /// Where the settings name none.
    pub fn server(&self) -> Result<&Server, Error> {
        let unset =
            "no server is named for the captioner `openai`; set `captioner.openai.base_url`";
        let server = self.server.as_ref();
        server.ok_or_else(|| Error::Server(unset.to_owned()))
    }
}

impl Question {
    /// What makes captions comparable: model, words, length and preprocessing. Not the server, so
    /// that one that has moved is not asked everything again.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[
            ("captioner", NAME),
            ("model", &self.model),
            ("prompt", &self.prompt),
            ("max_tokens", &self.max_tokens.to_string()),
            ("preprocessing", &format!("{} px, {WAY}", self.max_side)),
        ])
    }

    /// The body of the request about an image, which is a data URI.
    fn request(&self, image: &str) -> Value {
        json!({
            "model": self.model,
            "messages": [{
                "role": "user",
                "content": [
                    { "type": "text", "text": self.prompt },
                    { "type": "image_url", "image_url": { "url": image } },
                ],
            }],
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "seed": 7,
        })
    }
}

/// Why there is no caption.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is this image's; others are not concerned.
    #[error("{message}")]
    Image {
        /// The reason code.
        reason: String,
        /// In words.
        message: String,
    },
    /// No more requests may be sent.
    #[error("the budget of requests is spent")]
    Budget,
    /// It is the server's: there is no use in asking about other images now.
    #[error(transparent)]
    Server(#[from] Fault),
}

/// Why a server is asked no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It refuses whatever it is asked until somebody mends it: the key, the model, the address.
    #[error("{0}")]
    Refused(String),
    /// It is not there, or fails whatever it is asked; it may come back.
    #[error("{0}")]
    Down(String),
    /// It asks for patience.
    #[error("{message}")]
    Busy {
        /// In words.
        message: String,
        /// For how long, where it says so.
        after: Option<Duration>,
    },
}
